"""
The terms of use and the privacy notice: which edition of each is in force, and who agreed to it when.

A text that was in force never changes: what changes is a further edition, with a version, a day and a template of its
own. What somebody agreed to is a row for each document and version, which the application's role cannot rewrite.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from django.utils import timezone

from accounts import audit
from accounts.models import Consent, User
from wallet_project.kernel.clients import client

Document = Consent.Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """
    :ivar version: never used again for another text of this document.
    :ivar in_force_on: the day from whose beginning, by the wallet's clock, it is asked for.
    """

    document: Consent.Document
    version: str
    in_force_on: date

    @property
    def name(self) -> str:
        """Of the document and its version, for a form to carry along."""
        return f"{self.document.value}:{self.version}"

    @property
    def template(self) -> str:
        return f"accounts/documents/{self.document.value.lower()}_{self.version}.html"


# Oldest first. Whoever agreed to an older edition is led to the newest once, before a page that moves money.
EDITIONS: Final = (
    Edition(document=Document.TERMS, version="2026-11", in_force_on=date(2026, 11, 1)),
    Edition(document=Document.PRIVACY, version="2026-11", in_force_on=date(2026, 11, 1)),
)


def edition_in_force(*, document: Consent.Document, now: datetime) -> Edition:
    """The first edition holds for whatever was before it, too."""
    first, *later = [edition for edition in EDITIONS if edition.document == document]
    today = timezone.localdate(now)
    return next((edition for edition in reversed(later) if edition.in_force_on <= today), first)


def in_force(*, now: datetime) -> list[Edition]:
    """One edition of each document."""
    return [edition_in_force(document=document, now=now) for document in Document]


def missing(*, user: User, now: datetime) -> list[Edition]:
    """What is in force and this person has not agreed to."""
    given = set(Consent.objects.filter(user=user).values_list("document", "version"))
    return [edition for edition in in_force(now=now) if (edition.document.value, edition.version) not in given]


def agree(*, user: User, seen: Collection[str], now: datetime) -> list[Edition]:
    """
    This person agrees to what they were shown, as far as it is in force. Twice is as good as once.

    :param seen: names of editions (`Edition.name`).
    :returns: what is still missing: an edition that came into force after the page was shown.
    """
    wanted = missing(user=user, now=now)
    _give([edition for edition in wanted if edition.name in seen], user=user, given_at=now)
    return [edition for edition in wanted if edition.name not in seen]


def agree_by_registration(*, user: User) -> None:
    """
    Nobody registers without agreeing to what is in force; it goes on record with the claim that was proved. Recorded
    with the claim itself, it would tell by its time whether an address was free.
    """
    _give(missing(user=user, now=user.created_at), user=user, given_at=user.created_at)


def _give(editions: Iterable[Edition], *, user: User, given_at: datetime) -> None:
    given = list(editions)
    if not given:
        return
    address = client.get().address or None
    Consent.objects.bulk_create(
        [
            Consent(user=user, document=edition.document, version=edition.version, given_at=given_at, address=address)
            for edition in given
        ],
        # Of two at once the second finds the row there.
        ignore_conflicts=True,
    )
    versions = {edition.document.value.lower(): edition.version for edition in given}
    audit.record("consent.given", now=given_at, actor=user, subject=user, **versions)
