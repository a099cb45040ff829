"""What the gateway signs: the return from checkout, and each webhook's raw body. Hex HMAC-SHA256."""

import hashlib
import hmac


def sign(*, secret: str, message: bytes) -> str:
    """The hex digest the gateway's documentation asks the merchant to compare with."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def return_signature(*, key_secret: str, order_id: str, payment_id: str) -> str:
    """What proves to the merchant that this payment belongs to this order."""
    return sign(secret=key_secret, message=f"{order_id}|{payment_id}".encode())
