"""
Encryption at rest, for the few columns that a stolen copy of the database must not tell.

Values are sealed with Fernet (AES-128-CBC and HMAC-SHA256, `cryptography`). The first of `DATA_KEYS` encrypts and all
of them decrypt, so that keys rotate: put a new one first, `manage.py reseal`, then drop the old one. Each purpose has
keys of its own, derived by HKDF (RFC 5869): what was sealed for one column opens in no other.

A sealed value cannot be looked for. Where equal ones must be found, a blind index stands beside it: a keyed digest,
whose key is `DATA_INDEX_KEY` and no data key, because digests cannot be made anew from themselves when keys rotate.
"""

import base64
import hmac
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """None of the data keys opens it: sealed for another purpose, with a key that is gone, or tampered with."""


def seal(text: str, *, purpose: str) -> bytes:
    """
    Encrypted and authenticated; the same text gives another value each time.

    :param purpose: which column this is for; the same when it is opened.
    """
    return seal_bytes(text.encode(), purpose=purpose)


def seal_bytes(content: bytes, *, purpose: str) -> bytes:
    """`seal`, for what is no text: an image. It grows by a third."""
    return _keys(tuple(settings.DATA_KEYS), purpose).encrypt(content)


def unseal(sealed: bytes | memoryview, *, purpose: str) -> str:
    """
    :raises Unreadable:
    """
    return unseal_bytes(sealed, purpose=purpose).decode()


def unseal_bytes(sealed: bytes | memoryview, *, purpose: str) -> bytes:
    """
    :raises Unreadable:
    """
    try:
        return _keys(tuple(settings.DATA_KEYS), purpose).decrypt(bytes(sealed))
    except InvalidToken as error:
        # From here on nobody sees the value, not even in a traceback.
        raise Unreadable(f"No data key opens this {purpose}.") from error


def reseal(sealed: bytes | memoryview, *, purpose: str) -> bytes | None:
    """
    Under the first key: the new value, or None where it already is.

    :raises Unreadable:
    """
    first = _keys((settings.DATA_KEYS[0],), purpose)
    try:
        first.decrypt(bytes(sealed))
    except InvalidToken:
        return seal_bytes(unseal_bytes(sealed, purpose=purpose), purpose=purpose)
    return None


def blind_index(text: str, *, purpose: str) -> bytes:
    """HMAC-SHA256: equal for equal texts of one purpose, and without the key of use to nobody."""
    return hmac.digest(_derived(settings.DATA_INDEX_KEY, f"index of {purpose}"), text.encode(), "sha256")


@lru_cache(maxsize=16)
def _keys(keys: tuple[bytes, ...], purpose: str) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key, f"seal of {purpose}"))) for key in keys])


@lru_cache(maxsize=64)
def _derived(key: bytes, info: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info.encode()).derive(key)
