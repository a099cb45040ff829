"""
Step-up: before a payment that would hurt, its payer shows once more who they are.

A challenge belongs to one person and one request (its key, payee, amount: all that its fingerprint says), works once,
dies after five wrong codes, and expires. A code is judged, and a wrong one counted, in a transaction of its own that is
committed whatever comes of the payment; what spends the challenge is the posting itself, so that it lives and dies with
the money.
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
from accounts.models import AddressTries, Channel, OutgoingMessage, TotpDevice, User
from accounts.verification import code_matches, request_message
from ledger.movements import Key, Movement
from payments.models import StepUp
from payments.spending import Payee, Standing
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.money import Money

HEADER: Final = "X-Step-Up"
LIFETIME: Final = timedelta(minutes=10)
MOST_FAILURES: Final = 5
# Over all challenges of a person: else each new one would bring five fresh guesses.
WRONG_CODES: Final = tries.Limit(AddressTries.Kind.STEP_UP, most=20, window=timedelta(hours=1))
# Whoever asks again sooner gets no second message; and no challenge that would be over before one can be read.
ANOTHER_MESSAGE_AFTER: Final = timedelta(seconds=60)
# What was never spent is of no use to anybody a day later.
KEPT_UNSPENT: Final = timedelta(days=1)
MOST_FORGOTTEN_AT_ONCE: Final = 10_000
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


_CHANNELS: Final = {Channel.EMAIL: StepUp.Channel.EMAIL, Channel.PHONE: StepUp.Channel.SMS}
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
    amount, is_new = movement.amount, standing.is_new_payee
    if movement.type == "ADD":
        return False
    if movement.type == "REFUND":
        # Given back to whom it came from, so never to a stranger: its size counts, and what else was given back today.
        return amount >= settings.STEP_UP_FROM or standing.day_total + amount > settings.STEP_UP_PAST_A_DAY
    return (
        amount >= settings.STEP_UP_FROM
        or (is_new and amount >= settings.STEP_UP_FROM_NEW_PAYEE)
        or (is_new and payee.bank_account is not None and settings.STEP_UP_FIRST_WITHDRAWAL)
        or standing.payee_lately + amount > settings.STEP_UP_PAST_A_DAY
    )


def challenge(*, user: User, key: Key, payee_name: str, amount: Movement, now: datetime) -> StepUpRequired:
    """
    What to answer a request that needs a step-up: a challenge for it, and a code on its way.

    Asked again it is the same challenge as long as that lives; and after a minute another code, which replaces the one
    before. Nothing of the request is kept.

    :raises Refusal: `too_many_requests`: this person was sent too many codes.
    """
    binding = _binding(key)
    has_app = second_factor.has_settled(user, now) and TotpDevice.objects.filter(user=user, confirmed=True).exists()
    address = None if has_app else _address_of(user)
    channel = StepUp.Channel.TOTP if address is None else _CHANNELS[address.channel]
    alive = StepUp.objects.filter(
        user=user,
        binding=binding,
        channel=channel,
        spent_at=None,
        failures__lt=MOST_FAILURES,
        expires_at__gt=now + ANOTHER_MESSAGE_AFTER,
    )
    with transaction.atomic():
        # One after another, so that equal requests at once bring one message.
        User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        known = alive.order_by("-pk").first()
        if known is not None and (address is None or _was_told_lately(known, now)):
            return StepUpRequired(known, [])
        messages: list[int] = []
        if address is not None:
            details = {"payee": payee_name, "amount": Money(amount.amount, amount.currency).spelled}
            messages = request_message(
                user=user, address=address, purpose=OutgoingMessage.Purpose.STEP_UP, details=details, now=now
            )
            if not messages:
                if known is not None:
                    return StepUpRequired(known, [])
                raise Refusal(
                    "too_many_requests",
                    "Too many codes were sent to you. Wait a while.",
                    retry_after_seconds=_TOO_MANY_MESSAGES_SECONDS,
                )
        asked = known or StepUp(user=user, binding=binding, channel=channel, created_at=now, expires_at=now + LIFETIME)
        asked.verification_id = messages[0] if messages else None
        if known is None:
            asked.save(force_insert=True)
        else:
            asked.save(update_fields=["verification_id"])
    return StepUpRequired(asked, messages)


def prove(*, user: User, answer: str, key: Key, now: datetime) -> int:
    """
    Judge `<challenge>:<code>` for this request.

    The same code again for the same challenge is right again, so that a request which has to be sent twice is, and one
    that was answered already is answered alike.

    :returns: the challenge (its primary key), to be spent in the posting.
    :raises Refusal: `step_up_invalid` (wrong, expired, spent, another's, or for another request), `too_many_tries`.
    :raises RuntimeError: inside a transaction, whose rollback would give the try back.
    """
    name, _, code = answer.strip().partition(":")
    uuid = parse_public_id(StepUp.PREFIX, name)
    code = "".join(code.split())
    if uuid is None or not code:
        raise Refusal("step_up_invalid")
    with transaction.atomic(durable=True):
        # First, so that one person's codes are judged one after another.
        wait = tries.spend(limit=WRONG_CODES, address=user.public_id, now=now)
        proven, locked_for = _judge(user, uuid, _binding(key), code, now, may_guess=wait is None)
        if proven is None:
            record("step_up", now=now, actor=user, subject=user, refused="step_up_invalid", object=name)
        if proven is not None or locked_for is not None:
            tries.give_back(kind=WRONG_CODES.kind, address=user.public_id)
    if proven is None:
        wait = wait or locked_for
        if wait is not None:
            raise Refusal("too_many_tries", "Too many wrong codes. Wait a while.", retry_after_seconds=wait)
        raise Refusal("step_up_invalid")
    return proven


def spend(*, challenge: int, transaction: int, now: datetime | None) -> None:
    """
    Within the posting that it was shown for.

    :raises Refusal: `step_up_invalid`: another posting has spent it; nothing of this one happens.
    """
    proven = StepUp.objects.filter(pk=challenge, spent_at=None, proven_digest__isnull=False)
    if proven.update(spent_at=now, spent_by_id=transaction) != 1:
        raise Refusal("step_up_invalid")


def forget_unspent(*, now: datetime) -> int:
    """
    Delete challenges that nobody answered. Spent ones stay with their payment.

    :returns: how many.
    """
    over = StepUp.objects.filter(spent_at=None, expires_at__lt=now - KEPT_UNSPENT)
    forgotten, _ = StepUp.objects.filter(pk__in=over.values("pk")[:MOST_FORGOTTEN_AT_ONCE]).delete()
    return forgotten


def _judge(
    user: User, uuid: UUID, binding: bytes, code: str, now: datetime, *, may_guess: bool
) -> tuple[int | None, int | None]:
    """
    The challenge, if this is its code; a wrong one is counted. And how many seconds codes of the app are not looked at:
    then nothing is counted, and the challenge stays good.
    """
    require_transaction("default")
    row = StepUp.objects.select_for_update(no_key=True).filter(uuid=uuid, user=user, binding=binding).first()
    if row is None:
        return None, None
    is_over = row.expires_at <= now or row.failures >= MOST_FAILURES
    digest = _digest(row.pk, code)
    if row.proven_digest is not None and hmac.compare_digest(bytes(row.proven_digest), digest):
        # Of a spent one the payment has happened, and its key answers.
        return (row.pk if row.spent_at is not None or not is_over else None), None
    if row.spent_at is not None or is_over or not may_guess:
        return None, None
    is_right, wait = _look(user, row, code, now)
    if is_right:
        StepUp.objects.filter(pk=row.pk).update(proven_digest=digest)
        return row.pk, None
    if wait is None:
        StepUp.objects.filter(pk=row.pk).update(failures=F("failures") + 1)
    return None, wait


def _look(user: User, row: StepUp, code: str, now: datetime) -> tuple[bool, int | None]:
    """Whether it is the code; or how many seconds nothing is looked at."""
    if row.channel == StepUp.Channel.TOTP:
        if not second_factor.has_settled(user, now):
            return False, None
        judgement = second_factor.judge_totp(user=user, code=code, now=now)
        return judgement.accepted is not None, judgement.wait_seconds
    message = row.verification_id
    return message is not None and code_matches(verification_id=message, code=code, now=now), None


def _was_told_lately(known: StepUp, now: datetime) -> bool:
    message = known.verification_id or 0
    lately = OutgoingMessage.objects.filter(pk=message, requested_at__gt=now - ANOTHER_MESSAGE_AFTER)
    return lately.exists()


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
