"""
Messages with a code, and what a code proves: that whoever registered holds the address.

Two steps, because a rollback must not give tries back: `spend_try` counts in a transaction of its own that is
committed before any code is looked at; `verify` (or another deed, with `matching`) then judges inside the caller's
transaction.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from accounts import senders, tries
from accounts.actors import actor_of
from accounts.addresses import LONGEST, Address
from accounts.delivery_times import FIRST_WAIT
from accounts.models import AddressTries, Channel, KnownDevice, Notification, OutgoingMessage, User, VerificationCode
from wallet_project.kernel.clients import client, network_of
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id

CODE_DIGITS: Final = 6
CODE_LIFETIME: Final = timedelta(minutes=10)
MOST_FAILURES_OF_A_CODE: Final = 5
# Over all registrations of an address: else each new one would bring fresh guesses.
TRIES_OF_AN_ADDRESS: Final = tries.Limit(AddressTries.Kind.CODE, most=10, window=timedelta(minutes=15))
# Of one network at one address, or of one known device; and of all networks together.
TRIES_OF_A_RESET: Final = tries.Limit(AddressTries.Kind.RESET, most=10, window=timedelta(minutes=15))
ALL_TRIES_OF_A_RESET: Final = tries.Limit(AddressTries.Kind.RESET, most=30, window=timedelta(days=1))
# Past these, messages are dropped without a word: an answer would tell who is registered. Each network has a part of
# what an address is sent, so that a stranger's asking leaves room for the person's own.
MESSAGES_TO_A_CLAIM: Final = tries.Limit(AddressTries.Kind.SENT, most=5, window=timedelta(hours=1))
MESSAGES_FROM_A_NETWORK: Final = tries.Limit(AddressTries.Kind.SENT, most=10, window=timedelta(hours=1))
MESSAGES_TO_AN_ADDRESS: Final = tries.Limit(AddressTries.Kind.SENT, most=40, window=timedelta(hours=1))
RESETS_FROM_A_NETWORK: Final = tries.Limit(AddressTries.Kind.SENT, most=5, window=timedelta(hours=1))
RESETS_OF_AN_ADDRESS: Final = tries.Limit(AddressTries.Kind.SENT, most=20, window=timedelta(hours=1))
# Of one address, the newest, when a code is asked for without saying for which registration.
CLAIMS_SENT_AGAIN: Final = 3
NOTICES_OF_A_KIND: Final = tries.Limit(AddressTries.Kind.SENT, most=20, window=timedelta(hours=1))
# The id of no message: what a sender is woken for where nobody is due one, so that the time is the same.
NOBODYS: Final = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One try at an address, counted already.

    :ivar codes: those (pks) that it may be held against.
    :ivar counters: where it was counted, for a success to forget.
    """

    address: Address
    codes: tuple[int, ...]
    counters: tuple[str, ...]


def request_message(
    *,
    user: User | None,
    address: Address,
    purpose: OutgoingMessage.Purpose,
    now: datetime,
    details: Mapping[str, str] | None = None,
    device: KnownDevice | None = None,
    notification: Notification | None = None,
) -> list[int]:
    """
    Note that a message must go out, unless this person or this address had too many lately, or too many that the
    network asked for which asks now (`kernel.clients.client`). What is refused is not counted.

    :param user: None where nobody is due one: the same statements run and nothing remains, so that the time does not
        tell who is registered.
    :param details: what its text names (`accounts.messages`); never a code or a secret.
    :param device: of theirs, that asks for a new password: it is counted by itself.
    :param notification: what the app shows of the same.
    :returns: the new OutgoingMessage's pk (`NOBODYS` for nobody), or nothing.
    """
    require_transaction("default")
    details = dict(details or {})
    before: list[str] = []
    for limit, counted in _limits(user, address, purpose, details, device):
        if tries.spend(limit=limit, address=counted[:LONGEST], now=now) is not None:
            for each in before:
                tries.give_back(kind=limit.kind, address=each)
            return []
        before.append(counted[:LONGEST])
    # A savepoint for everybody; nobody's row is gone with it before its missing person is looked for at COMMIT.
    with transaction.atomic():
        message = OutgoingMessage.objects.create(
            user_id=user.pk if user else NOBODYS,
            purpose=purpose,
            channel=address.channel,
            address=address.value,
            details=details,
            notification=notification,
            requested_at=now,
            next_at=now + FIRST_WAIT,
        )
        if user is None:
            transaction.set_rollback(True)
    return [message.pk if user else NOBODYS]


def _limits(
    user: User | None,
    address: Address,
    purpose: OutgoingMessage.Purpose,
    details: Mapping[str, str],
    device: KnownDevice | None,
) -> list[tuple[tries.Limit, str]]:
    """What is counted of a message: what strangers can ask for never uses up what the owner needs."""
    network = network_of(client.get().address)
    nobody = f"nobody {details.get('place', '')} {address.value}"
    person = nobody if user is None else user.public_id
    match purpose:
        case OutgoingMessage.Purpose.RESET if device is not None:
            return [(MESSAGES_TO_A_CLAIM, f"device {device.pk} reset")]
        case OutgoingMessage.Purpose.RESET:
            every = asking_for_a_reset(user=user, address=address)
            return [(RESETS_FROM_A_NETWORK, f"{network} {every}"), (RESETS_OF_AN_ADDRESS, every)]
        case OutgoingMessage.Purpose.STEP_UP:
            most = settings.STEP_UP_MESSAGES_AN_HOUR
            return [(tries.Limit(AddressTries.Kind.SENT, most=most, window=timedelta(hours=1)), f"{person} step-up")]
        case OutgoingMessage.Purpose.NOTICE:
            return [(NOTICES_OF_A_KIND, f"{person} {address.channel} notice {details['kind']}")]
        case OutgoingMessage.Purpose.ADDRESS if "change" in details:
            return [(MESSAGES_TO_A_CLAIM, f"{person} own address")]
        case OutgoingMessage.Purpose.ADDRESS:
            claim = f"{person} new address"
        case OutgoingMessage.Purpose.CODE:
            # Anybody may ask for another code of somebody's registration.
            claim = f"{network} {person} {address.channel}"
        case _:
            claim = f"{person} {address.channel}"
    every = f"of {nobody}" if user is None else address.value
    return [
        (MESSAGES_TO_A_CLAIM, claim),
        (MESSAGES_FROM_A_NETWORK, f"{network} {every}"),
        (MESSAGES_TO_AN_ADDRESS, every),
    ]


def asking_for_a_reset(*, user: User | None, address: Address) -> str:
    """Where all messages for a new password are counted that strangers ask for."""
    return f"{user.public_id if user else f'nobody {address.value}'} {address.channel} reset"[:LONGEST]


def resend(*, address: Address, registration: str | None = None, now: datetime) -> list[int]:
    """
    Another code for each registration that claims this address, the newest few of them: every message tells whose it
    is. Earlier codes stay good.

    :param registration: only for this one, by its person's public id.
    :returns: ids of the messages to send, `NOBODYS` in place of those that are missing; fewer past a limit. Never says
        why; what is done, and so the time, is the same.
    """
    if not senders.can_reach(address.channel):
        return []
    most = CLAIMS_SENT_AGAIN if registration is None else 1
    with transaction.atomic():
        claimants = claiming(address=address)
        has_owner = any(has_verified(user=user, channel=address.channel) for user in claimants)
        wanted = claimants if registration is None else claimants.filter(uuid=_uuid(registration))
        newest = list(wanted.order_by("-pk").values_list("pk", flat=True)[:most])
        # Locked, so that none is dropped by another's success before its message is noted.
        held = claimants.filter(pk__in=[NOBODYS, *newest]).order_by("pk").select_for_update(no_key=True)
        due = [user for user in held if not has_owner and user.status == User.Status.ACTIVE]
        messages: list[int] = []
        # The newest last: it is then the newest of the messages, too.
        for place, user in enumerate([*[None] * (most - len(due)), *due]):
            # Nobodies are counted one by one, as registrations are.
            details = {"place": str(place)} if user is None else {}
            messages += request_message(
                user=user, address=address, purpose=OutgoingMessage.Purpose.CODE, details=details, now=now
            )
    return messages


def new_code(*, message: OutgoingMessage, now: datetime) -> str:
    """A fresh code for this message; only its digest is stored."""
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
    VerificationCode.objects.create(
        verification=message, digest=_digest(message.pk, code), expires_at=now + CODE_LIFETIME
    )
    return code


def spend_try(
    *,
    address: Address,
    now: datetime,
    purpose: OutgoingMessage.Purpose = OutgoingMessage.Purpose.CODE,
    registration: str | None = None,
    device: KnownDevice | None = None,
) -> Attempt:
    """
    Count a try at this address and at every live code of it, and commit that, before anything is judged.

    Codes of each purpose have counts of their own, so that whoever registers an address uses up no try of its owner's.
    Tries for a new password are counted by the network that they come from and, more of them, over all networks.

    An address nobody registered is counted alike. A code past its own limit is simply wrong from then on:
    a 429 would tell an address that waits for a code from one that has an owner.

    :param registration: only codes of this one, by its person's public id, counted by themselves: no stranger knows it.
    :param device: of the address's owner, counted by itself.
    :raises Refusal: `too_many_tries` once the address is past its limit; a right code is then refused too.
    :raises RuntimeError: inside a transaction, whose rollback would give the try back.
    """
    with transaction.atomic(durable=True):
        waits, counters = [], []
        for limit, counted, refuses in _tries(address, purpose, registration, device):
            wait = tries.spend(limit=limit, address=counted[:LONGEST], now=now)
            counters.append(counted[:LONGEST])
            waits.append((wait or 0) if refuses else 0)
        # The address's own row is locked, so tries at one address come here one after another.
        codes = VerificationCode.objects.filter(
            verification__purpose=purpose,
            verification__channel=address.channel,
            verification__address=address.value,
            expires_at__gt=now,
            failures__lt=MOST_FAILURES_OF_A_CODE,
        )
        if registration is not None:
            codes = codes.filter(verification__user__uuid=_uuid(registration))
        live = tuple(codes.values_list("pk", flat=True)) if not any(waits) else ()
        VerificationCode.objects.filter(pk__in=live).update(failures=F("failures") + 1)
    if any(waits):
        word = "follow the link in the message" if purpose == OutgoingMessage.Purpose.RESET else "ask for a new one"
        raise Refusal("too_many_tries", f"Too many wrong codes. Wait, or {word}.", retry_after_seconds=max(waits))
    return Attempt(address, live, tuple(counters))


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
    claimants = list(claiming(address=address).order_by("pk").select_for_update())
    found = matching(attempt=attempt, code=code, now=now)
    winner = next((user for user in claimants if found is not None and user.pk == found.user_id), None)
    if winner is None or any(has_verified(user=user, channel=address.channel) for user in claimants):
        raise Refusal("code_invalid")
    if winner.status == User.Status.BLOCKED:
        raise Refusal("blocked")
    for user in claimants:
        if user is not winner:
            drop_claim(user=user, channel=address.channel)
    setattr(winner, f"{address.channel.value}_verified_at", now)
    try:
        with transaction.atomic():
            winner.save(update_fields=[f"{address.channel.value}_verified_at"])
    except IntegrityError as error:
        # Somebody who has an account already proved the address this very moment (`address_changes`).
        raise Refusal("code_invalid") from error
    winner.verifications.filter(channel=address.channel, purpose=OutgoingMessage.Purpose.CODE).delete()
    for counter in attempt.counters:
        tries.forget(kind=AddressTries.Kind.CODE, address=counter)
    actor_of(winner)
    return winner


def matching(*, attempt: Attempt, code: str, now: datetime) -> OutgoingMessage | None:
    """
    The message whose code this is, of those that the attempt may be held against.

    Every code is compared, so that the time tells nothing of which it was.
    """
    rows = VerificationCode.objects.filter(pk__in=attempt.codes, expires_at__gt=now).select_related("verification")
    found = [row for row in rows if hmac.compare_digest(bytes(row.digest), _digest(row.verification_id, code))]
    return found[0].verification if found else None


def code_matches(*, verification_id: int, code: str, now: datetime) -> bool:
    """
    Whether this is a live code of that message. Whoever asks counts the tries, and lets a code be used once.

    Every code is compared in full, so that the time tells nothing.
    """
    rows = VerificationCode.objects.filter(verification_id=verification_id, expires_at__gt=now)
    given = _digest(verification_id, code)
    return sum(hmac.compare_digest(bytes(row.digest), given) for row in rows) > 0


def _tries(
    address: Address, purpose: OutgoingMessage.Purpose, registration: str | None, device: KnownDevice | None
) -> list[tuple[tries.Limit, str, bool]]:
    """
    What is counted of a try, and whether it refuses once it is past its limit. Last comes the address itself, in any
    case: its row puts those who try at once one after another.
    """
    of_all = address.value
    if purpose != OutgoingMessage.Purpose.RESET:
        own = [] if registration is None else [(TRIES_OF_AN_ADDRESS, f"{_uuid(registration)} {of_all}", True)]
        return [*own, (TRIES_OF_AN_ADDRESS, of_all, registration is None)]
    by = network_of(client.get().address) if device is None else f"device {device.pk}"
    return [(TRIES_OF_A_RESET, f"{by} {of_all}", True), (ALL_TRIES_OF_A_RESET, of_all, device is None)]


def _uuid(registration: str) -> UUID:
    """Of a public id; nobody's for what is none."""
    return parse_public_id(User.PREFIX, registration) or UUID(int=0)


def _digest(message: int, code: str) -> bytes:
    """Bound to its message: one code cannot stand in for another that happens to be equal."""
    return hmac.new(settings.CODE_PEPPER, f"{message}:{code}".encode(), sha256).digest()


def claiming(*, address: Address) -> QuerySet[User]:
    """Everybody at this address: its owner, and whoever registered it without a code."""
    return User.objects.filter(**{address.channel.value: address.value})


def has_verified(*, user: User, channel: Channel) -> bool:
    return getattr(user, f"{channel.value}_verified_at") is not None


def drop_claim(*, user: User, channel: Channel) -> None:
    """Somebody else proved the address. A claim to nothing else goes; whoever has another address keeps that."""
    other = user.phone if channel == Channel.EMAIL else user.email
    if other is None:
        user.delete()
        return
    setattr(user, channel.value, None)
    user.save(update_fields=[channel.value])
    user.verifications.filter(channel=channel).delete()
