"""Several people register one address: each gets messages of their own, and nobody's code opens another's account."""

import re
from datetime import UTC, datetime

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.addresses import any_address
from accounts.models import AddressTries, OutgoingMessage, User
from accounts.verification import (
    MESSAGES_FROM_A_NETWORK,
    MESSAGES_TO_AN_ADDRESS,
    TRIES_OF_AN_ADDRESS,
    request_message,
)
from tests.accounts.people import (
    PASSWORD,
    asked_from,
    call,
    code_sent_to,
    deliver,
    messages_to,
    new_email,
    register_by_api,
)

pytestmark = pytest.mark.usefixtures("database")


def test_strangers_use_up_no_message_of_a_newcomer_until_many_networks_ask() -> None:
    email = any_address(new_email())

    def registered(network: str, *, times: int = 12) -> int:
        """How many of so many registrations from there bring a message."""
        with asked_from(network), transaction.atomic():
            claims = [User.objects.create(full_name="Zoya", email=email.value) for _ in range(times)]
            purpose = OutgoingMessage.Purpose.CODE
            return sum(len(request_message(user=each, address=email, purpose=purpose, now=now)) for each in claims)

    now = timezone.now()
    assert registered("10.1.1.1") == registered("2001:db8:1:1::1") == MESSAGES_FROM_A_NETWORK.most
    # Another address of the same network brings no more.
    assert registered("2001:db8:1:1::2") == 0
    assert registered("10.1.2.1", times=1) == 1
    rest = [registered(f"10.1.1.{number}") for number in range(2, 5)]
    assert 1 + 2 * MESSAGES_FROM_A_NETWORK.most + sum(rest) == MESSAGES_TO_AN_ADDRESS.most
    # What the address's own limit refused is counted of no network.
    spent = AddressTries.objects.get(kind="SENT", address=f"10.1.1.4 {email.value}")
    assert spent.count == 0


def test_a_code_sent_again_is_for_ones_own_registration_though_zoya_registered_after() -> None:
    """Zoya registers Asha's address with a password of hers, in the hope that Asha types a code of Zoya's."""
    email, zoyas = new_email(), "zoyas-own-secret-77"
    browser, asha = Client(), {"full_name": "Asha Rao", "address": email, "password": PASSWORD, "accepts": "on"}
    assert browser.post("/register", asha)["Location"] == "/verify"
    deliver()
    register_by_api(email=email, password=zoyas)
    zoyas_code = code_sent_to(email)
    before = len(messages_to(email))
    browser.post("/verify/resend", {"address": email})
    code = code_sent_to(email)
    assert len(messages_to(email)) == before + 1
    # A stranger's wrong tries, all that there are, and Zoya's code: neither takes Asha's page from her.
    for _ in range(TRIES_OF_AN_ADDRESS.most + 1):
        last = call("POST", "/auth/verify", {"email": email, "code": "no code"}, network="10.2.2.2")
    assert last.status_code == 429
    assert browser.post("/verify", {"address": email, "code": zoyas_code}).status_code == 400
    browser.post("/verify/resend", {"address": email})
    code = code_sent_to(email)
    assert browser.post("/verify", {"address": email, "code": code})["Location"] == "/sign-in"
    assert call("POST", "/auth/token", {"email": email, "password": zoyas}).json()["code"] == "credentials_invalid"
    assert call("POST", "/auth/token", {"email": email, "password": PASSWORD}).status_code == 200


def test_without_saying_which_each_registration_gets_its_own_code_and_the_message_tells_whose() -> None:
    email = new_email()
    ids = [register_by_api(email=email, full_name=name).json()["user"]["id"] for name in ("Asha Rao", "Zoya")]
    User.objects.filter(full_name="Asha Rao", email=email).update(created_at=datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
    deliver()
    before = len(messages_to(email))
    assert call("POST", "/auth/verify/resend", {"email": email}).status_code == 202
    deliver()
    zoyas, ashas = messages_to(email)[: len(messages_to(email)) - before]
    assert zoyas.text.startswith("Hello Zoya, ")
    assert ashas.text.startswith("Hello Asha Rao, ")
    assert "04 Mar, " in ashas.text
    (code,) = re.findall(r"(?<!\d)\d{6,8}(?!\d)", ashas.text)
    body = {"email": email, "code": code}
    assert call("POST", "/auth/verify", {**body, "user": ids[1]}).json()["code"] == "code_invalid"
    assert call("POST", "/auth/verify", {**body, "user": "usr_nobody"}).json()["code"] == "code_invalid"
    call("POST", "/auth/verify/resend", {"email": email, "user": ids[0]})
    body["code"] = code_sent_to(email)
    assert len(messages_to(email)) == before + 3
    assert call("POST", "/auth/verify", {**body, "user": ids[0]}).json()["user"]["full_name"] == "Asha Rao"
