"""Disputes: payers who ask their bank for their money back."""

from django.db import models
from django.db.models import Q

from ledger.models import Hold, Transaction
from payments.models.orders import PaymentAttempt


class Dispute(models.Model):
    """
    A payment that is disputed. While it is, its money is held, or as much of it as is still there.

    `shortfall_minor` is what was not there any more; of a dispute that is lost it is owed to us.
    """

    class State(models.TextChoices):
        OPEN = "OPEN"
        UNDER_REVIEW = "UNDER_REVIEW"
        ACTION_REQUIRED = "ACTION_REQUIRED"
        WON = "WON"
        LOST = "LOST"
        CLOSED = "CLOSED"

    attempt = models.ForeignKey(PaymentAttempt, models.PROTECT, related_name="disputes")
    gateway = models.CharField(max_length=20)
    dispute_id = models.CharField(max_length=64)
    amount_minor = models.BigIntegerField(help_text="In minor units: paise.")
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=15, choices=State, default=State.OPEN)
    reason = models.CharField(max_length=100, blank=True)
    hold = models.OneToOneField(Hold, models.PROTECT, null=True, blank=True, related_name="dispute")
    shortfall_minor = models.BigIntegerField(default=0)
    lost_by = models.OneToOneField(
        Transaction, models.PROTECT, null=True, blank=True, related_name="lost_dispute", help_text="What paid it back."
    )
    respond_by = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    check_at = models.DateTimeField(null=True, blank=True)
    checks = models.PositiveSmallIntegerField(default=0)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["gateway", "dispute_id"], name="dispute_known_once"),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, shortfall_minor__gte=0), name="dispute_amounts_positive"
            ),
        ]
        indexes = [
            models.Index(fields=["check_at"], condition=Q(check_at__isnull=False), name="dispute_due"),
            models.Index(
                fields=["attempt"],
                condition=Q(state__in=["OPEN", "UNDER_REVIEW", "ACTION_REQUIRED"]),
                name="dispute_undecided",
            ),
        ]

    def __str__(self) -> str:
        return self.dispute_id
