"""Changing addresses, as the tests of it do: by the API, with the codes that were sent."""

import re
from typing import Any

from accounts.models import User
from tests.accounts.people import PASSWORD, call, code_sent_to, deliver, messages_to

LINK = re.compile(r"https?://\S+[?]token=([a-p]{40})\b")


def ask(access: str, address: str, *, password: str = PASSWORD, otp: str = "") -> Any:
    body = {"email" if "@" in address else "phone": address, "password": password}
    return call("POST", "/me/addresses", {**body, "otp": otp} if otp else body, access=access)


def confirm(access: str, change: str, code: str = "", own_code: str = "") -> Any:
    given = {"id": change, "code": code, "own_code": own_code}
    return call("POST", "/me/addresses/confirm", {name: text for name, text in given.items() if text}, access=access)


def remove(access: str, channel: str, *, password: str = PASSWORD, otp: str = "") -> Any:
    body = {"password": password, **({"otp": otp} if otp else {})}
    return call("DELETE", f"/me/addresses/{channel}", body, access=access)


def change_to(user: User, access: str, address: str, *, own: str = "") -> str:
    """All of it, by somebody without a second factor. Returns the change's public id."""
    answer = ask(access, address)
    assert answer.status_code == 202, answer.content
    own_code, code = code_sent_to(own or str(user.email)), code_sent_to(address)
    done = confirm(access, answer.json()["id"], code, own_code)
    assert done.status_code == 200, done.content
    return str(answer.json()["id"])


def undo_tokens(address: str) -> list[str]:
    """Of all messages to this address, the newest first."""
    deliver()
    return [found[1] for message in messages_to(address) if (found := LINK.search(message.text))]
