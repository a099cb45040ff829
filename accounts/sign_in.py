"""
Signing in, staying signed in, and signing out.

A refresh token is spent by one conditional UPDATE: of any number that arrive at once exactly one wins, and the
others are proof that a copy exists, which ends the session.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import audit, known_devices, notices, second_factor, sessions, sign_in_limits, tokens
from accounts.addresses import Address
from accounts.models import Session, User
from accounts.passwords import LONGEST
from accounts.queries import newest_claimant_of, owner_of, session_with_user
from accounts.second_factor import Place
from wallet_project.kernel.clients import client
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


@dataclass(frozen=True, slots=True)
class SignedIn:
    """
    :ivar device_tokens: what the device is to show at its next sign-in; its own for this person comes first.
    :ivar messages: outgoing messages to be sent.
    """

    pair: TokenPair
    device_tokens: tuple[str, ...]
    messages: list[int]

    @property
    def device(self) -> str:
        return self.device_tokens[0]


def check_credentials(*, address: Address, password: str, device_tokens: Sequence[str], now: datetime) -> User:
    """
    The person who verified this address, if the password is theirs. Whether they have a second factor to show as well,
    the caller asks (`second_factor.is_on`), and `check_second_factor` judges it.

    :param device_tokens: what the device shows (`known_devices.tokens_in`).
    :raises Refusal: `credentials_invalid`, `too_many_tries`, `busy`; and, only to whoever knows the password,
        `not_verified`, `blocked`.
    """
    owner, claimant = owner_of(address), newest_claimant_of(address)
    with _judged(account=owner or address, device_tokens=device_tokens, now=now):
        return _check_password(owner=owner, claimant=claimant, password=password)


def check_second_factor(*, user: User, code: str, device_tokens: Sequence[str], now: datetime) -> None:
    """
    The second step of a sign-in whose first was judged before: a wrong code counts as a wrong password does.

    :raises Refusal: `otp_invalid`, `too_many_tries`, `busy`.
    """
    with _judged(account=user, device_tokens=device_tokens, now=now) as place:
        second_factor.check(user=user, code=code, now=now, place=place)


def sign_in(
    *, address: Address, password: str, otp: str | None, device_tokens: Sequence[str], now: datetime
) -> SignedIn:
    """
    Begin a session of tokens on one device.

    :param otp: a code of the second factor, where the person has one.
    :raises Refusal: as `check_credentials`; and `otp_required`, `otp_invalid`.
    """
    owner, claimant = owner_of(address), newest_claimant_of(address)
    with _judged(account=owner or address, device_tokens=device_tokens, now=now) as place:
        user = _check_password(owner=owner, claimant=claimant, password=password)
        has_factor = second_factor.is_on(user)
        if has_factor:
            if otp is None:
                raise Refusal("otp_required")
            second_factor.check(user=user, code=otp, now=now, place=place)
    begun = sessions.begin(user=user, kind=Session.Kind.API, device_tokens=device_tokens, factor=has_factor, now=now)
    return SignedIn(_pair(user, begun.session, now), begun.device_tokens, begun.messages)


@contextmanager
def _judged(*, account: User | Address, device_tokens: Sequence[str], now: datetime) -> Iterator[Place]:
    """Within the limits of a sign-in, and on record if it is refused once it was judged. Gives where it takes place."""
    person = account if isinstance(account, User) else None
    device = known_devices.device_of(user=person, tokens=device_tokens, now=now)
    counts = sign_in_limits.counts_of(account=account, device=device, network=client.get().address)
    with sign_in_limits.counted(counts=counts, now=now):
        try:
            yield Place.NEW_DEVICE if device is None else Place.KNOWN_DEVICE
        except Refusal as refusal:
            audit.record("sign_in", now=now, subject=person, refused=refusal.code)
            raise


def _check_password(*, owner: User | None, claimant: User | None, password: str) -> User:
    """
    One hash is computed whatever is found, so that the time does not tell who is registered.

    :param owner: who verified the address.
    :param claimant: who registered it last, verified or not.
    """
    user = owner or claimant
    if len(password) > LONGEST:
        raise Refusal("credentials_invalid")
    if user is None or user.status == User.Status.CLOSED:
        make_password(password)
        raise Refusal("credentials_invalid")
    if not user.check_password(password):
        raise Refusal("credentials_invalid")
    if user.status == User.Status.BLOCKED:
        raise Refusal("blocked")
    if owner is None:
        raise Refusal("not_verified")
    return user


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
    if not sessions.is_open(session=session, now=now) or user.token_version != claims.token_version:
        raise Refusal("token_invalid")
    # Conditions on this row alone: whoever waits for the winner's lock has them judged again on the new row,
    # which a sub-select would not be.
    session.refresh_id = new_uuid()
    session.expires_at = min(now + sessions.API_LIFETIME, session.created_at + LONGEST_SESSION)
    spent = Session.objects.filter(pk=session.pk, refresh_id=claims.id, revoked_at=None).update(
        refresh_id=session.refresh_id, expires_at=session.expires_at, last_used_at=now
    )
    if spent != 1:
        _end_for_reuse(session, now)
        raise Refusal("token_invalid", "That token was used before, so the session has been ended. Sign in again.")
    return _pair(user, session, now)


def sign_out(*, refresh: str, now: datetime) -> None:
    """
    End the session that this refresh token belongs to, spent or not. Safe to call twice.

    :raises Refusal: `token_invalid` for what was never a refresh token of ours, or has expired.
    """
    _, session = _read(refresh, now)
    sessions.end(user=session.user, session=session.public_id, now=now)


def _end_for_reuse(session: Session, now: datetime) -> None:
    """Of any number who come second one ends it, and tells. What waits to be sent the sweep finds."""
    with transaction.atomic():
        if Session.objects.filter(pk=session.pk, revoked_at=None).update(revoked_at=now):
            audit.record("session.reuse", now=now, subject=session.user, object=session.public_id)
            notices.notify(user=session.user, kind="session_reuse", now=now, device=session.label)


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
