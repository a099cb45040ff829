"""
Signing in, staying signed in, and signing out.

A refresh token is spent by one conditional UPDATE: of any number that arrive at once exactly one wins, and the
others are proof that a copy exists, which ends the session.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.contrib.auth.hashers import make_password

from accounts import tokens
from accounts.addresses import Address
from accounts.models import Session, User
from accounts.passwords import LONGEST
from accounts.queries import newest_claimant_of, owner_of, session_with_user
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import new_uuid

log = structlog.get_logger("accounts.sign_in")

# However often it is renewed: then the password is asked for again.
LONGEST_SESSION: Final = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class TokenPair:
    access: str
    refresh: str
    expires_in_seconds: int


def check_credentials(*, address: Address, password: str) -> User:
    """
    The person who verified this address, if the password is theirs.

    One hash is computed whatever is found, so that the time does not tell who is registered.

    :raises Refusal: `credentials_invalid`; and, only to whoever knows the password, `not_verified`, `blocked`.
    """
    owner = owner_of(address)
    user = owner or newest_claimant_of(address)
    if len(password) > LONGEST:
        raise Refusal("credentials_invalid")
    if user is None:
        make_password(password)
        raise Refusal("credentials_invalid")
    if not user.check_password(password):
        raise Refusal("credentials_invalid")
    if user.status == User.Status.BLOCKED:
        raise Refusal("blocked")
    if owner is None:
        raise Refusal("not_verified")
    return user


def sign_in(*, address: Address, password: str, now: datetime) -> TokenPair:
    """
    Begin a session on one device.

    :raises Refusal: as `check_credentials`.
    """
    user = check_credentials(address=address, password=password)
    session = Session.objects.create(
        user=user, refresh_id=new_uuid(), created_at=now, last_used_at=now, expires_at=now + tokens.REFRESH_LIFETIME
    )
    log.info("accounts.signed_in", user=user.public_id, session=session.public_id)
    return _pair(user, session, now)


def refresh(*, refresh: str, now: datetime) -> TokenPair:
    """
    Spend a refresh token for a new pair. A second use of one token ends the session: its family of refresh
    tokens and its access tokens.

    :raises Refusal: `token_invalid`, `blocked`.
    """
    claims, session = _read(refresh, now)
    user = session.user
    if user.status == User.Status.BLOCKED:
        raise Refusal("blocked")
    if session.revoked_at is not None or session.expires_at <= now or user.token_version != claims.token_version:
        raise Refusal("token_invalid")
    # Conditions on this row alone: whoever waits for the winner's lock has them judged again on the new row,
    # which a sub-select would not be.
    session.refresh_id = new_uuid()
    session.expires_at = min(now + tokens.REFRESH_LIFETIME, session.created_at + LONGEST_SESSION)
    spent = Session.objects.filter(pk=session.pk, refresh_id=claims.id, revoked_at=None).update(
        refresh_id=session.refresh_id, expires_at=session.expires_at, last_used_at=now
    )
    if spent != 1:
        Session.objects.filter(pk=session.pk, revoked_at=None).update(revoked_at=now)
        log.warning("accounts.refresh_reused", user=user.public_id, session=session.public_id)
        raise Refusal("token_invalid", "That token was used before, so the session has been ended. Sign in again.")
    return _pair(user, session, now)


def sign_out(*, refresh: str, now: datetime) -> None:
    """
    End the session that this refresh token belongs to, spent or not. Safe to call twice.

    :raises Refusal: `token_invalid` for what was never a refresh token of ours, or has expired.
    """
    _, session = _read(refresh, now)
    Session.objects.filter(pk=session.pk, revoked_at=None).update(revoked_at=now)


def _read(refresh: str, now: datetime) -> tuple[tokens.Claims, Session]:
    try:
        claims = tokens.decode(refresh, type=tokens.REFRESH, now=now)
    except tokens.TokenRefused as error:
        raise Refusal("token_invalid") from error
    session = session_with_user(claims.session)
    if session is None or session.user.uuid != claims.user:
        raise Refusal("token_invalid")
    return claims, session


def _pair(user: User, session: Session, now: datetime) -> TokenPair:
    return TokenPair(
        access=tokens.encode(type=tokens.ACCESS, user=user, session=session, now=now),
        refresh=tokens.encode(type=tokens.REFRESH, user=user, session=session, id=session.refresh_id, now=now),
        expires_in_seconds=int(tokens.ACCESS_LIFETIME.total_seconds()),
    )
