"""The gateway's ids: a prefix and fourteen case-sensitive alphanumerics."""

import re
import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 14


def new_id(prefix: str) -> str:
    """`order` gives `order_EKwxwAgItmmXdp`; 83 random bits, so clashes are left to the primary key."""
    return f"{prefix}_{new_token()}"


def new_token() -> str:
    """Fourteen alphanumerics without a prefix, as in `x-razorpay-event-id`."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def is_id(prefix: str, value: str) -> bool:
    """Whether `value` has the form of an id with that prefix."""
    return re.fullmatch(rf"{prefix}_[A-Za-z0-9]{{{_LENGTH}}}", value) is not None


def new_reference() -> str:
    """Twelve digits, as banks number their transfers: an RRN or a UTR."""
    return "".join(secrets.choice(string.digits) for _ in range(12))
