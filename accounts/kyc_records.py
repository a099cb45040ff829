"""What is on record of identity documents: looked at by those who decide, sealed anew, erased."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db.models import QuerySet

from accounts import audit, kyc_images
from accounts.kyc import ADDRESS, BORN, PERMISSION
from accounts.kyc_numbers import PURPOSE as NUMBER
from accounts.models import KycSubmission, User
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.sealing import reseal, unseal

log = structlog.get_logger("accounts.kyc_records")

# After that nobody asks any more why it was refused.
REFUSED_LIFETIME: Final = timedelta(days=90)
MOST_IN_ONE_RUN: Final = 1000
_SEALED: Final = {"born_sealed": BORN, "address_sealed": ADDRESS, "number_sealed": NUMBER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a person wrote of themselves, for whoever decides; never logged."""

    born: str
    address: str
    number: str
    is_of_another: bool


def open_submission(*, submission: KycSubmission, by: User, now: datetime) -> Opened | None:
    """
    What is sealed of it; None where it is erased. Each look is on record.

    :raises Refusal: `permission_denied`.
    :raises Unreadable: no data key opens it.
    """
    _require_may_look(by)
    if not submission.number_sealed:
        return None
    audit.record("kyc.looked_at", now=now, actor=by, subject=submission.user, object=submission.public_id)
    elsewhere = KycSubmission.objects.filter(
        document=submission.document,
        number_index=bytes(submission.number_index),
        status=KycSubmission.Status.APPROVED,
    ).exclude(user=submission.user_id)
    born, address, number = (unseal(getattr(submission, name), purpose=purpose) for name, purpose in _SEALED.items())
    return Opened(born=born, address=address, number=number, is_of_another=elsewhere.exists())


def open_image(*, submission: KycSubmission, by: User, now: datetime) -> bytes:
    """
    The image, a JPEG. Each look is on record.

    :raises Refusal: `permission_denied`; `not_found`: it is erased.
    """
    _require_may_look(by)
    if not submission.image_name:
        raise Refusal("not_found")
    audit.record("kyc.image_looked_at", now=now, actor=by, subject=submission.user, object=submission.public_id)
    return kyc_images.read(name=submission.image_name, digest=bytes(submission.image_digest))


def erase_submissions(*, user: User, now: datetime) -> int:
    """
    Of a person who leaves: all but what was approved, which the law wants kept for years (`erasing`). What waited is
    refused. Images go with the next sweep, which finds that no row names them.

    :returns: how many were erased.
    """
    of_theirs = KycSubmission.objects.filter(user=user)
    of_theirs.filter(status=KycSubmission.Status.PENDING).update(
        status=KycSubmission.Status.REFUSED, decided_at=now, reason="The account was closed."
    )
    return _erase(of_theirs.exclude(status=KycSubmission.Status.APPROVED))


def erase_kept(*, submissions: QuerySet[KycSubmission]) -> int:
    """
    Approved ones that nobody may ask for any more.

    :returns: how many were erased.
    """
    return _erase(submissions)


def erase_refused(*, now: datetime) -> int:
    """Refused ones, once nobody asks why any more."""
    old = KycSubmission.objects.filter(status=KycSubmission.Status.REFUSED, decided_at__lt=now - REFUSED_LIFETIME)
    return _erase(old)


def reseal_submissions() -> int:
    """
    After a new key was put first in `DATA_KEYS`: every value and every image under it. Safe at any time and twice.

    :returns: how many values and images were sealed anew.
    :raises Unreadable: one that no key opens.
    """
    changed, last = 0, 0
    while True:
        rows = list(KycSubmission.objects.filter(pk__gt=last).exclude(number_sealed=b"").order_by("pk")[:200])
        if not rows:
            return changed
        last = rows[-1].pk
        changed += sum(_reseal_row(row) + _reseal_image(row) for row in rows)


def _reseal_row(row: KycSubmission) -> int:
    changed = 0
    for name, purpose in _SEALED.items():
        sealed = getattr(row, name)
        anew = reseal(sealed, purpose=purpose)
        if anew is not None:
            # What was erased meanwhile stays erased.
            changed += KycSubmission.objects.filter(pk=row.pk, **{name: sealed}).update(**{name: anew})
    return changed


def _reseal_image(row: KycSubmission) -> int:
    try:
        return int(kyc_images.reseal_image(name=row.image_name))
    except FileNotFoundError:
        # Erased this moment; or else lost, which whoever runs this must hear of.
        if KycSubmission.objects.filter(pk=row.pk, image_name=row.image_name).exists():
            log.error("kyc.image_missing", submission=row.public_id)
        return 0


def _erase(submissions: QuerySet[KycSubmission]) -> int:
    erased = 0
    for pk in submissions.exclude(image_name="").order_by("pk").values_list("pk", flat=True)[:MOST_IN_ONE_RUN]:
        erased += KycSubmission.objects.filter(pk=pk).update(
            full_name="",
            born_sealed=b"",
            address_sealed=b"",
            number_sealed=b"",
            # An index of nothing: the document may be shown again, by whoever opens an account anew.
            number_index=secrets.token_bytes(32),
            last_four="",
            image_name="",
        )
    return erased


def _require_may_look(by: User) -> None:
    if not by.has_perm(PERMISSION):
        raise Refusal("permission_denied")
