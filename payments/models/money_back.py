"""Money that was sent to the wrong person, asked back by whoever sent it."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ledger.models import Hold, Transaction
from wallet_project.kernel.ids import new_uuid, public_id
from wallet_project.kernel.money import Money

OPEN: Final = ("ASKED", "HELD")


class MoneyBack(models.Model):
    """
    One request for the money of a TRANSFER, and what became of it. What has ended stays as it ended (a trigger).

    :ivar asker: who sent the money; `asked`, who got it.
    :ivar hold: what `asked` has agreed to set aside meanwhile; captured by `refund`, or released when it ends.
    :ivar refund: the REFUND that gave the money back.
    :ivar closed_by: of support, who ended it for both (`EXPIRED`).
    """

    class Status(models.TextChoices):
        ASKED = "ASKED", "waits for an answer"
        HELD = "HELD", "set aside until it is decided"
        GIVEN = "GIVEN", "given back"
        DECLINED = "DECLINED", "declined"
        WITHDRAWN = "WITHDRAWN", "withdrawn by who asked"
        EXPIRED = "EXPIRED", "over without an answer"

    PREFIX: Final = "mbk"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    transfer = models.ForeignKey(Transaction, models.PROTECT, related_name="money_backs")
    asker = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    asked = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    note = models.CharField(max_length=280, blank=True)
    status = models.CharField(max_length=9, choices=Status, default=Status.ASKED)
    hold = models.OneToOneField(Hold, models.PROTECT, null=True, blank=True, related_name="money_back")
    refund = models.OneToOneField(Transaction, models.PROTECT, null=True, blank=True, related_name="money_given_back")
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    held_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    closing_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("close_moneyback", "Can close requests for money back")]
        verbose_name = "request for money back"
        verbose_name_plural = "requests for money back"
        constraints = [
            models.UniqueConstraint(fields=["transfer"], condition=Q(status__in=OPEN), name="moneyback_open_once"),
            models.UniqueConstraint(fields=["transfer"], condition=Q(status="GIVEN"), name="moneyback_given_once"),
            models.CheckConstraint(condition=~Q(asker=F("asked")), name="moneyback_of_another"),
            models.CheckConstraint(
                condition=Q(status__in=OPEN, ended_at__isnull=True) | (~Q(status__in=OPEN) & Q(ended_at__isnull=False)),
                name="moneyback_ended_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status="GIVEN", refund__isnull=False) | (~Q(status="GIVEN") & Q(refund__isnull=True)),
                name="moneyback_given_by_a_refund",
            ),
            models.CheckConstraint(
                condition=Q(hold__isnull=False, held_at__isnull=False)
                | (Q(hold__isnull=True, held_at__isnull=True) & ~Q(status="HELD")),
                name="moneyback_held_by_a_hold",
            ),
            models.CheckConstraint(
                condition=Q(closed_by__isnull=True, closing_reason="")
                | (Q(closed_by__isnull=False, status="EXPIRED") & ~Q(closing_reason="")),
                name="moneyback_closed_for_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["asker", "id"], name="moneyback_asker"),
            models.Index(fields=["asked", "id"], name="moneyback_asked"),
            models.Index(fields=["expires_at"], condition=Q(status__in=OPEN), name="moneyback_open"),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.public_id}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)

    @property
    def money(self) -> Money:
        return self.transfer.money

    @property
    def is_open(self) -> bool:
        return self.status in OPEN
