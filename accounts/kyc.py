"""
Know your customer: a person submits an identity document, somebody else looks at it, and their level is FULL or not.

What names or places a person is sealed before it is stored, and no log and no refusal repeats any of it.
"""

import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import audit, kyc_images, kyc_providers
from accounts.kyc_numbers import PURPOSE as NUMBER
from accounts.kyc_numbers import index_of, read_number
from accounts.models import KycSubmission, User
from accounts.names import clean_full_name
from accounts.notices import notify
from wallet_project.kernel.card_numbers import refuse_card_number
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.reasons import read_reason
from wallet_project.kernel.sealing import seal

log = structlog.get_logger("accounts.kyc")

PERMISSION: Final = "accounts.decide_kycsubmission"
BORN: Final = "accounts.kyc.born"
ADDRESS: Final = "accounts.kyc.address"
YOUNGEST_YEARS: Final = 18
OLDEST_YEARS: Final = 120
SHORTEST_ADDRESS: Final = 10
LONGEST_ADDRESS: Final = 300
LONGEST_REASON: Final = 500

_PENDING: Final = KycSubmission.Status.PENDING
_ONE_PERSON: Final = "kyc_document_of_one_person"


@dataclass(frozen=True, slots=True, kw_only=True)
class KycStanding:
    """
    Where a person stands.

    :ivar submission: their newest one, if any.
    """

    level: str
    submission: KycSubmission | None
    may_submit: bool


def submit(
    *,
    user: User,
    full_name: str,
    born: date,
    address: str,
    document: str,
    number: str,
    image: bytes,
    now: datetime,
) -> KycSubmission:
    """
    Put a document before whoever looks at it. One at a time; after a refusal another may follow.

    Whether the same document is known of somebody else is not told here: an answer would say who is a customer.

    :param document: one of `KycSubmission.Document`.
    :param number: as typed; blanks and dashes mean nothing.
    :param image: the file's bytes, judged by nothing else.
    :raises Refusal: `invalid`; `kyc_pending`: one is being looked at; `kyc_complete`: the level is FULL; `blocked`: the
        account was closed or blocked this moment.
    """
    # Before any work is done; under the person's lock once more.
    _require_may_submit(User.objects.get(pk=user.pk))
    full_name, address = clean_full_name(full_name), _read_address(address)
    _require_adult(born, now)
    number = read_number(document=document, number=number)
    drawn = kyc_images.draw_anew(image)
    # The file first: a row without one never exists, and a file without a row is swept.
    name = kyc_images.keep(drawn=drawn)
    try:
        with transaction.atomic():
            # Whoever closes the account at this moment comes before, and this is refused, or after, and it is erased.
            _require_may_submit(User.objects.select_for_update(no_key=True).get(pk=user.pk))
            submission = KycSubmission.objects.create(
                user=user,
                full_name=full_name,
                born_sealed=seal(born.isoformat(), purpose=BORN),
                address_sealed=seal(address, purpose=ADDRESS),
                document=document,
                number_sealed=seal(number, purpose=NUMBER),
                number_index=index_of(document=document, number=number),
                last_four=number[-4:],
                image_name=name,
                image_digest=kyc_images.digest_of(drawn),
                provider=kyc_providers.CHOSEN,
                submitted_at=now,
            )
            audit.record("kyc.submitted", now=now, actor=user, subject=user, object=submission.public_id)
    except Refusal:
        kyc_images.erase(name=name)
        raise
    _hand_over(submission)
    return submission


def decide(*, submission: KycSubmission, by: User, approve: bool, reason: str, now: datetime) -> list[int]:
    """
    Somebody of support approves or refuses, never their own. Approved, the person's level is FULL at once.

    :param reason: the person reads it.
    :returns: ids of the messages that tell them.
    :raises Refusal: `permission_denied`; `invalid` (no reason; the document is another person's); `kyc_over`: decided
        before.
    """
    _require_may_decide(submission, by, now, kind="kyc.decided")
    return _decide(submission, by=by, approve=approve, reason=reason, now=now)


def take_back(*, submission: KycSubmission, by: User, reason: str, now: datetime) -> list[int]:
    """
    An approval does not hold any more: the document was forged, or is another's. The person's level is MINIMUM at once,
    and with it their limits; they may submit again.

    :param reason: the person reads it.
    :returns: ids of the messages that tell them.
    :raises Refusal: `permission_denied`; `invalid`: no reason; `kyc_over`: it is not approved.
    """
    _require_may_decide(submission, by, now, kind="kyc.taken_back")
    reason = read_reason(reason, longest=LONGEST_REASON)
    with transaction.atomic():
        person = User.objects.select_for_update(no_key=True).get(pk=submission.user_id)
        taken = KycSubmission.objects.filter(pk=submission.pk, status=KycSubmission.Status.APPROVED).update(
            status=KycSubmission.Status.REFUSED, decided_by=by, decided_at=now, reason=reason
        )
        if not taken:
            raise Refusal("kyc_over")
        User.objects.filter(pk=person.pk).update(kyc_level=User.KycLevel.MINIMUM)
        audit.record("kyc.taken_back", now=now, actor=by, subject=person, object=submission.public_id, reason=reason)
        return notify(user=person, kind="kyc_decided", now=now, decision="taken back", reason=reason)


def decide_as_provider(*, provider: str, reference: str, approve: bool, reason: str, now: datetime) -> list[int]:
    """
    A provider's answer about what was handed to it. Who it is, its door has made sure of.

    :param reference: as `hand_over` returned it.
    :raises Refusal: `not_found`: nothing was handed to this provider under that reference; and as `decide`.
    """
    handed = KycSubmission.objects.filter(provider=provider, provider_reference=reference)
    submission = handed.exclude(provider_reference="").select_related("user").order_by("pk").first()
    if submission is None:
        raise Refusal("not_found")
    return _decide(submission, by=None, approve=approve, reason=reason, now=now)


def may_decide(*, submission: KycSubmission, by: User) -> bool:
    """Nobody decides about themselves, whatever else they may do."""
    return by.has_perm(PERMISSION) and by.pk != submission.user_id


def kyc_of(*, user: User) -> KycStanding:
    """How far this person is."""
    newest = KycSubmission.objects.filter(user=user).order_by("-pk").first()
    waits = newest is not None and newest.status == _PENDING
    return KycStanding(
        level=user.kyc_level,
        submission=newest,
        may_submit=user.kyc_level != User.KycLevel.FULL and not waits,
    )


def _require_may_submit(user: User) -> None:
    """As their row stands now."""
    if user.status != User.Status.ACTIVE:
        raise Refusal("blocked")
    if user.kyc_level == User.KycLevel.FULL:
        raise Refusal("kyc_complete")
    if KycSubmission.objects.filter(user=user, status=_PENDING).exists():
        raise Refusal("kyc_pending")


def _require_may_decide(submission: KycSubmission, by: User, now: datetime, *, kind: str) -> None:
    """Whoever tried is on record, outside of anything that is rolled back."""
    if may_decide(submission=submission, by=by):
        return
    refused = "permission_denied"
    audit.record(kind, now=now, actor=by, subject=submission.user, object=submission.public_id, refused=refused)
    raise Refusal(refused)


def _hand_over(submission: KycSubmission) -> None:
    reference = kyc_providers.PROVIDERS[submission.provider].hand_over(submission=submission)
    if reference:
        KycSubmission.objects.filter(pk=submission.pk).update(provider_reference=reference)


def _decide(submission: KycSubmission, *, by: User | None, approve: bool, reason: str, now: datetime) -> list[int]:
    reason = read_reason(reason, longest=LONGEST_REASON)
    kind = "kyc.approved" if approve else "kyc.refused"
    try:
        with transaction.atomic():
            # The person first, as whoever closes their account locks them.
            person = User.objects.select_for_update(no_key=True).get(pk=submission.user_id)
            # Whoever is first decides.
            decided = KycSubmission.objects.filter(pk=submission.pk, status=_PENDING).update(
                status=KycSubmission.Status.APPROVED if approve else KycSubmission.Status.REFUSED,
                decided_by=by,
                decided_at=now,
                reason=reason,
            )
            if not decided:
                raise Refusal("kyc_over")
            if approve:
                User.objects.filter(pk=person.pk).update(kyc_level=User.KycLevel.FULL)
            audit.record(
                kind,
                now=now,
                actor=by,
                subject=person,
                object=submission.public_id,
                reason=reason,
                provider=submission.provider,
            )
            decision = "approved" if approve else "refused"
            return notify(user=person, kind="kyc_decided", now=now, decision=decision, reason=reason)
    except IntegrityError as error:
        if _ONE_PERSON not in str(error):
            raise
    audit.record(
        kind, now=now, actor=by, subject=submission.user, object=submission.public_id, refused="document_of_another"
    )
    raise Refusal.of_field(
        "decision", "This document was approved for another person, so it can only be refused here.", "unique"
    )


def _read_address(text: str) -> str:
    """Lines of text, one blank between words."""
    lines = [" ".join(line.split()) for line in unicodedata.normalize("NFC", text).splitlines()]
    address = "\n".join(line for line in lines if line)
    if not SHORTEST_ADDRESS <= len(address) <= LONGEST_ADDRESS:
        raise Refusal.of_field(
            "address", f"Write your address in {SHORTEST_ADDRESS} to {LONGEST_ADDRESS} characters, as on the document."
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn") for letter in address if letter != "\n"):
        raise Refusal.of_field("address", "An address holds no control characters.")
    refuse_card_number(field="address", text=address)
    return address


def _require_adult(born: date, now: datetime) -> None:
    """Years as the law counts them: on the day itself one is a year older, where the person lives."""
    today = now.astimezone(ZoneInfo(settings.TIME_ZONE)).date()
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if age < 0 or age > OLDEST_YEARS:
        raise Refusal.of_field("born", "Write your date of birth.")
    if age < YOUNGEST_YEARS:
        raise Refusal.of_field("born", f"You must be {YOUNGEST_YEARS} or older.")
