"""
Tokens: EdDSA (Ed25519, RFC 8037) JSON web tokens with a `kid`, made and read. Nothing here asks the database.

PyJWT is called directly: SimpleJWT's TokenBackend holds one key and writes no `kid`, so a key could never be
rotated. Claims: sub (usr_ id), sid (session), ver (token_version), typ, jti, iat, exp, iss, aud.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from accounts.models import Session, User
from wallet_project.kernel.ids import new_uuid, parse_public_id

ACCESS: Final = "access"
REFRESH: Final = "refresh"
ACCESS_LIFETIME: Final = timedelta(minutes=10)
REFRESH_LIFETIME: Final = timedelta(days=30)
ISSUER: Final = "wallet"
AUDIENCE: Final = "wallet-api"
ALGORITHM: Final = "EdDSA"
LONGEST_TOKEN: Final = 2048
# One check of an Ed25519 signature costs 113 of an authentication's 150 microseconds.
MOST_REMEMBERED_SIGNATURES: Final = 4096
_CLAIMS: Final = ["sub", "sid", "ver", "typ", "jti", "iat", "exp", "iss", "aud"]


class TokenRefused(Exception):
    """Forged, malformed, expired, or of the other type. Never says which: a caller has no use for it."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token of ours says."""

    user: uuid.UUID
    session: uuid.UUID
    token_version: int
    id: uuid.UUID
    type: str
    expires_at: int
    kid: str


def encode(*, type: str, user: User, session: Session, id: uuid.UUID | None = None, now: datetime) -> str:
    """A signed token of `ACCESS` or `REFRESH` type. `id` becomes its jti; an access token needs none of its own."""
    lifetime = ACCESS_LIFETIME if type == ACCESS else REFRESH_LIFETIME
    issued_at = int(now.timestamp())
    kid = next(iter(settings.TOKEN_SIGNING_KEYS))
    return jwt.encode(
        {
            "sub": user.public_id,
            "sid": session.public_id,
            "ver": user.token_version,
            "typ": type,
            "jti": (id or new_uuid()).hex,
            "iat": issued_at,
            "exp": issued_at + int(lifetime.total_seconds()),
            "iss": ISSUER,
            "aud": AUDIENCE,
        },
        _signing_key(settings.TOKEN_SIGNING_KEYS[kid]),
        algorithm=ALGORITHM,
        headers={"kid": kid},
    )


def decode(token: str, *, type: str, now: datetime) -> Claims:
    """
    The claims of a token that we signed, of this type, and that has not expired.

    :raises TokenRefused:
    """
    if len(token) > LONGEST_TOKEN:
        raise TokenRefused
    claims = _verified(token)
    # Looked at every time: the signature of a token that is over, or of a key withdrawn, may still be remembered.
    if claims.type != type or claims.expires_at <= now.timestamp() or claims.kid not in settings.TOKEN_SIGNING_KEYS:
        raise TokenRefused
    return claims


@lru_cache(maxsize=MOST_REMEMBERED_SIGNATURES)
def _verified(token: str) -> Claims:
    """Refusals raise, and so are not remembered."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        seed = settings.TOKEN_SIGNING_KEYS.get(kid) if isinstance(kid, str) else None
        if seed is None:
            raise TokenRefused
        # One algorithm, named by us: the token's own `alg` (none, HS256) chooses nothing.
        payload = jwt.decode(
            token,
            _verifying_key(seed),
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False},
        )
        return _read(payload, str(kid))
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise TokenRefused from error


def _read(payload: dict[str, Any], kid: str) -> Claims:
    user = parse_public_id(User.PREFIX, payload["sub"])
    session = parse_public_id(Session.PREFIX, payload["sid"])
    if user is None or session is None:
        raise TokenRefused
    return Claims(
        user=user,
        session=session,
        token_version=int(payload["ver"]),
        id=uuid.UUID(hex=payload["jti"]),
        type=str(payload["typ"]),
        expires_at=int(payload["exp"]),
        kid=kid,
    )


@cache
def _signing_key(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


@cache
def _verifying_key(seed: bytes) -> Ed25519PublicKey:
    return _signing_key(seed).public_key()
