"""
Verification: a code proves that whoever registered holds the address.

Two steps, because a rollback must not give tries back: `spend_try` counts in a transaction of its own that is
committed before any code is looked at; `verify` then judges inside the caller's transaction.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from accounts import senders, tries
from accounts.actors import actor_of
from accounts.addresses import Address
from accounts.models import AddressTries, Channel, User, Verification, VerificationCode
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal

CODE_DIGITS: Final = 6
CODE_LIFETIME: Final = timedelta(minutes=10)
MOST_FAILURES_OF_A_CODE: Final = 5
# Over all registrations of an address: else each new one would bring fresh guesses.
TRIES_OF_AN_ADDRESS: Final = tries.Limit(AddressTries.Kind.CODE, most=10, window=timedelta(minutes=15))
# Past these, messages are dropped without a word: an answer would tell who is registered.
MESSAGES_TO_A_CLAIM: Final = tries.Limit(AddressTries.Kind.SENT, most=5, window=timedelta(hours=1))
MESSAGES_TO_AN_ADDRESS: Final = tries.Limit(AddressTries.Kind.SENT, most=20, window=timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at an address, counted already. `codes` are the codes (pks) that it may be held against."""

    address: Address
    codes: tuple[int, ...]


def request_message(*, user: User, address: Address, purpose: Verification.Purpose, now: datetime) -> list[int]:
    """
    Note that a message must go out, unless this person or this address had too many lately.

    :returns: the new Verification's pk, or nothing.
    """
    require_transaction("default")
    for limit, counted in (
        (MESSAGES_TO_A_CLAIM, f"{user.public_id} {address.channel}"),
        (MESSAGES_TO_AN_ADDRESS, address.value),
    ):
        if tries.spend(limit=limit, address=counted, now=now) is not None:
            return []
    message = Verification.objects.create(
        user=user, purpose=purpose, channel=address.channel, address=address.value, requested_at=now
    )
    return [message.pk]


def resend(*, address: Address, now: datetime) -> list[int]:
    """
    Another code for the newest registration that claims this address. Earlier codes stay good.

    :returns: ids of the messages to send: one, or none where nobody waits for a code. Never says why.
    """
    if not senders.can_reach(address.channel):
        return []
    with transaction.atomic():
        claimants = _claiming(address)
        if any(_has_verified(user, address.channel) for user in claimants):
            return []
        # Locked, so that it is not dropped by another's success before its message is noted.
        newest = claimants.order_by("-pk").select_for_update(no_key=True).first()
        if newest is None or newest.status == User.Status.BLOCKED:
            return []
        return request_message(user=newest, address=address, purpose=Verification.Purpose.CODE, now=now)


def new_code(*, message: Verification, now: datetime) -> str:
    """A fresh code for this message; only its digest is stored."""
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
    VerificationCode.objects.create(
        verification=message, digest=_digest(message.pk, code), expires_at=now + CODE_LIFETIME
    )
    return code


def spend_try(*, address: Address, now: datetime) -> Attempt:
    """
    Count a try at this address and at every live code of it, and commit that, before anything is judged.

    An address nobody registered is counted alike. A code past its own limit is simply wrong from then on:
    a 429 would tell an address that waits for a code from one that has an owner.

    :raises Refusal: `too_many_tries` once the address is past its limit; a right code is then refused too.
    :raises RuntimeError: inside a transaction, whose rollback would give the try back.
    """
    with transaction.atomic(durable=True):
        wait = tries.spend(limit=TRIES_OF_AN_ADDRESS, address=address.value, now=now)
        # The counter's row is locked, so tries at one address come here one after another.
        codes = VerificationCode.objects.filter(
            verification__purpose=Verification.Purpose.CODE,
            verification__channel=address.channel,
            verification__address=address.value,
            expires_at__gt=now,
            failures__lt=MOST_FAILURES_OF_A_CODE,
        )
        live = tuple(codes.values_list("pk", flat=True)) if wait is None else ()
        VerificationCode.objects.filter(pk__in=live).update(failures=F("failures") + 1)
    if wait is not None:
        raise Refusal("too_many_tries", "Too many wrong codes. Wait, then ask for a new one.", retry_after_seconds=wait)
    return Attempt(address, live)


def verify(*, attempt: Attempt, code: str, now: datetime) -> User:
    """
    The registration whose code this is becomes a person; others lose their claim to the address.

    Of two who race for one address the second finds its codes gone. Nobody's password is touched.

    :raises Refusal: `code_invalid` (wrong, used, expired, or the address has an owner by now), `blocked`.
    """
    require_transaction("default")
    address = attempt.address
    # First the counter, then people, then codes: `spend_try` goes from counter to codes, so whoever tries the same
    # address waits here. People are locked in one order too, for two addresses can have the same claimants.
    # list() matters: an unread queryset locks nothing.
    tries.hold(kind=AddressTries.Kind.CODE, address=address.value)
    claimants = list(_claiming(address).order_by("pk").select_for_update())
    found = _matching(attempt, code, now)
    winner = next((user for user in claimants if found is not None and user.pk == found.verification.user_id), None)
    if winner is None or any(_has_verified(user, address.channel) for user in claimants):
        raise Refusal("code_invalid")
    if winner.status == User.Status.BLOCKED:
        raise Refusal("blocked")
    for user in claimants:
        if user is not winner:
            _drop_claim(user, address.channel)
    setattr(winner, f"{address.channel.value}_verified_at", now)
    winner.save(update_fields=[f"{address.channel.value}_verified_at"])
    winner.verifications.filter(channel=address.channel, purpose=Verification.Purpose.CODE).delete()
    tries.forget(kind=AddressTries.Kind.CODE, address=address.value)
    actor_of(winner)
    return winner


def _matching(attempt: Attempt, code: str, now: datetime) -> VerificationCode | None:
    """Every code is compared, so that the time tells nothing of which it was."""
    rows = VerificationCode.objects.filter(pk__in=attempt.codes, expires_at__gt=now).select_related("verification")
    matching = [row for row in rows if hmac.compare_digest(bytes(row.digest), _digest(row.verification_id, code))]
    return matching[0] if matching else None


def _digest(message: int, code: str) -> bytes:
    """Bound to its message: one code cannot stand in for another that happens to be equal."""
    return hmac.new(settings.CODE_PEPPER, f"{message}:{code}".encode(), sha256).digest()


def _claiming(address: Address) -> QuerySet[User]:
    return User.objects.filter(**{address.channel.value: address.value})


def _has_verified(user: User, channel: Channel) -> bool:
    return getattr(user, f"{channel.value}_verified_at") is not None


def _drop_claim(user: User, channel: Channel) -> None:
    """A registration that claims nothing else goes; one with another address keeps that."""
    other = user.phone if channel == Channel.EMAIL else user.email
    if other is None:
        user.delete()
        return
    setattr(user, channel.value, None)
    user.save(update_fields=[channel.value])
    user.verifications.filter(channel=channel).delete()
