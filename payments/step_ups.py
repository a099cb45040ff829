"""
Step-up: before a payment that would hurt, its payer shows once more who they are.

A challenge belongs to one person and one request (its key, payee, amount: all that its fingerprint says), works once,
dies after five wrong codes, and expires. Wrong codes are counted before they are judged and committed by themselves;
what spends the challenge is the posting itself, so that it lives and dies with the money.
"""

import hmac
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F

from accounts import second_factor, senders, tries
from accounts.addresses import Address
from accounts.audit import record
from accounts.models import AddressTries, Channel, TotpDevice, User, Verification
from accounts.verification import code_matches, request_message
from ledger.movements import Key, Movement
from payments.models import StepUp
from payments.spending import Payee, Standing
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.money import Money

HEADER: Final = "X-Step-Up"
LIFETIME: Final = timedelta(minutes=10)
MOST_FAILURES: Final = 5
# Over all challenges of a person: else each new one would bring five fresh guesses.
WRONG_CODES: Final = tries.Limit(AddressTries.Kind.STEP_UP, most=20, window=timedelta(hours=1))
# Whoever asks again sooner gets the same challenge, and no second message.
ANOTHER_MESSAGE_AFTER: Final = timedelta(seconds=60)
_TOO_MANY_MESSAGES_SECONDS: Final = 600


class Needed(Exception):
    """Raised by the gate of a posting: it needs a challenge and has none."""


class StepUpRequired(Refusal):
    """
    :ivar messages: ids of the messages that now wait to be sent; the door wakes the sender.
    """

    def __init__(self, challenge: StepUp, messages: list[int]) -> None:
        super().__init__(
            "step_up_required",
            _ASKING[StepUp.Channel(challenge.channel)],
            extra={
                "challenge": challenge.public_id,
                "channel": challenge.channel,
                "expires_at": challenge.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        )
        self.messages = messages


_ASKING: Final = {
    StepUp.Channel.TOTP: "Confirm this payment with the code that your authenticator app shows.",
    StepUp.Channel.EMAIL: "Confirm this payment with the code that we sent you by e-mail.",
    StepUp.Channel.SMS: "Confirm this payment with the code that we sent you by SMS.",
}


def is_needed(*, movement: Movement, payee: Payee, standing: Standing) -> bool:
    """
    From an amount on; from a lower one to a payee never paid before; for a first withdrawal to an account; and when
    what went to one payee within 24 hours without a step-up would pass a sum, so that many small payments are no dodge.
    """
    amount, is_new = movement.amount, standing.payee_total is None
    if movement.type == "ADD":
        return False
    return (
        amount >= settings.STEP_UP_FROM
        or (is_new and amount >= settings.STEP_UP_FROM_NEW_PAYEE)
        or (is_new and payee.bank_account is not None and settings.STEP_UP_FIRST_WITHDRAWAL)
        or standing.payee_lately + amount > settings.STEP_UP_PAST_A_DAY
    )


def challenge(*, user: User, key: Key, payee_name: str, amount: Movement, now: datetime) -> StepUpRequired:
    """
    What to answer a request that needs a step-up: a challenge for it, and a code on its way.

    Asked again within a minute it is the same challenge. Nothing of the request is kept.

    :raises Refusal: `too_many_requests`: this person was sent too many codes.
    """
    binding = _binding(key)
    recent = StepUp.objects.filter(
        user=user,
        binding=binding,
        spent_at=None,
        failures__lt=MOST_FAILURES,
        created_at__gt=now - ANOTHER_MESSAGE_AFTER,
    )
    with transaction.atomic():
        # One after another, so that equal requests at once bring one message.
        User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        known = recent.order_by("-pk").first()
        if known is not None:
            return StepUpRequired(known, [])
        made = StepUp(user=user, binding=binding, created_at=now, expires_at=now + LIFETIME)
        messages: list[int] = []
        if TotpDevice.objects.filter(user=user, confirmed=True).exists():
            made.channel = StepUp.Channel.TOTP
        else:
            address = _address_of(user)
            made.channel = StepUp.Channel.EMAIL if address.channel == Channel.EMAIL else StepUp.Channel.SMS
            messages = request_message(
                user=user,
                address=address,
                purpose=Verification.Purpose.STEP_UP,
                details={"payee": payee_name, "amount": Money(amount.amount, amount.currency).spelled},
                now=now,
            )
            if not messages:
                raise Refusal(
                    "too_many_requests",
                    "Too many codes were sent to you. Wait a while.",
                    retry_after_seconds=_TOO_MANY_MESSAGES_SECONDS,
                )
            made.verification_id = messages[0]
        made.save(force_insert=True)
    return StepUpRequired(made, messages)


def prove(*, user: User, answer: str, key: Key, now: datetime) -> int:
    """
    Judge `<challenge>:<code>` for this request.

    :returns: the challenge (its primary key), to be spent in the posting.
    :raises Refusal: `step_up_invalid` (wrong, expired, spent, another's, or for another request), `too_many_tries`.
    """
    name, _, code = answer.strip().partition(":")
    uuid = parse_public_id(StepUp.PREFIX, name)
    code = "".join(code.split())
    if uuid is None or not code:
        raise Refusal("step_up_invalid")
    found = _count_try(user, uuid, _binding(key), now)
    if found is None:
        record("step_up", now=now, actor=user, subject=user, refused="step_up_invalid", object=name)
        raise Refusal("step_up_invalid")
    if not (_is_proven(found.pk, code) or _is_right(user, found, code, now) or _is_proven(found.pk, code)):
        record("step_up", now=now, actor=user, subject=user, refused="step_up_invalid", object=name)
        raise Refusal("step_up_invalid")
    with transaction.atomic():
        StepUp.objects.filter(pk=found.pk).update(proven_digest=_digest(found.pk, code), failures=F("failures") - 1)
        tries.forget(kind=AddressTries.Kind.STEP_UP, address=user.public_id)
    return found.pk


def spend(*, challenge: int, transaction: int, now: datetime | None) -> None:
    """
    Within the posting that it was shown for.

    :raises Refusal: `step_up_invalid`: another posting has spent it; nothing of this one happens.
    """
    proven = StepUp.objects.filter(pk=challenge, spent_at=None, proven_digest__isnull=False)
    if proven.update(spent_at=now, spent_by_id=transaction) != 1:
        raise Refusal("step_up_invalid")


def _count_try(user: User, uuid: UUID, binding: bytes, now: datetime) -> StepUp | None:
    """
    Count a wrong code before it is judged, and commit that; a right one is taken back.

    :returns: the challenge, if it may be judged at all.
    """
    with transaction.atomic(durable=True):
        wait = tries.spend(limit=WRONG_CODES, address=user.public_id, now=now)
        row = (
            StepUp.objects.select_for_update(no_key=True)
            .filter(uuid=uuid, user=user, binding=binding, spent_at=None, expires_at__gt=now)
            .first()
        )
        judged = row is not None and wait is None and row.failures < MOST_FAILURES
        if row is not None and judged:
            StepUp.objects.filter(pk=row.pk).update(failures=F("failures") + 1)
    if wait is not None:
        raise Refusal("too_many_tries", "Too many wrong codes. Wait a while.", retry_after_seconds=wait)
    return row if judged else None


def _is_right(user: User, found: StepUp, code: str, now: datetime) -> bool:
    if found.channel == StepUp.Channel.TOTP:
        try:
            second_factor.check_totp(user=user, code=code, now=now)
        except Refusal as refusal:
            if refusal.code != "otp_invalid":
                raise
            return False
        return True
    return found.verification_id is not None and code_matches(verification_id=found.verification_id, code=code, now=now)


def _is_proven(pk: int, code: str) -> bool:
    """The same code was right before, for a posting that did not come to its end."""
    digest = StepUp.objects.values_list("proven_digest", flat=True).get(pk=pk)
    return digest is not None and hmac.compare_digest(bytes(digest), _digest(pk, code))


def _address_of(user: User) -> Address:
    """Where the code goes: a verified e-mail, or else the phone."""
    if user.email and user.email_verified_at is not None:
        return Address(Channel.EMAIL, user.email)
    if user.phone and user.phone_verified_at is not None and senders.can_reach(Channel.PHONE):
        return Address(Channel.PHONE, user.phone)
    raise Refusal("step_up_invalid", "There is no address that a code could be sent to. Ask support.")


def _binding(key: Key) -> bytes:
    return sha256(key.fingerprint + key.key.encode()).digest()


def _digest(pk: int, code: str) -> bytes:
    return hmac.digest(settings.CODE_PEPPER, f"step-up {pk}:{code}".encode(), "sha256")
