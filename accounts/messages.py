"""The texts that people get about their account. A code is its message's only run of six to eight digits."""

import re
import unicodedata
from typing import Final

from accounts.senders import Message
from accounts.verification import CODE_LIFETIME

# A registration's name is a stranger's words in somebody's mailbox: no digits, and no dot that could make a link.
_MARKS_IN_NAMES: Final = " .'’-\u200c\u200d"
_LONGEST_GREETED_NAME: Final = 40
_MINUTES: Final = int(CODE_LIFETIME.total_seconds() // 60)


def code_message(*, full_name: str, code: str) -> Message:
    """The name tells whose registration this is: somebody else may have claimed the reader's address."""
    return Message(
        subject="Your wallet code",
        text=(
            f"{_greeting(full_name)}your wallet code is {code}. It is good for {_MINUTES} minutes. "
            "Nobody of ours will ever ask you for it. If you did not register, ignore this message."
        ),
    )


def taken_message() -> Message:
    """Names nobody: whoever tried is not to be believed."""
    return Message(
        subject="Somebody tried to register with your address",
        text=(
            "Somebody tried to open a wallet with this address, which already has one. If it was you, sign in "
            "instead. If not, there is nothing to do: your wallet and your password are as they were."
        ),
    )


def _greeting(full_name: str) -> str:
    harmless = (
        len(full_name) <= _LONGEST_GREETED_NAME
        and all(unicodedata.category(letter)[0] in "LM" or letter in _MARKS_IN_NAMES for letter in full_name)
        and not re.search(r"\.\S", full_name)
    )
    return f"Hello {full_name}, " if harmless else "Hello, "
