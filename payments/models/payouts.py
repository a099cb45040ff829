"""Payouts: withdrawals on their way to a bank."""

from django.db import models
from django.db.models import Q

from ledger.models import Transaction
from payments.models.bank_accounts import BankAccount


class Payout(models.Model):
    """
    One WITHDRAW at the bank's side. Written together with it.

    `key` is our own, derived from the transaction and the same in every retry, so that the gateway pays it once.
    `check_at` is when it is next sent or asked about; null when there is nothing left to do.
    """

    class State(models.TextChoices):
        NEW = "NEW", "not sent yet"
        UNKNOWN = "UNKNOWN", "sent, and no answer came: it may have been paid"
        QUEUED = "QUEUED", "waits at the gateway"
        PROCESSING = "PROCESSING", "on its way to the bank"
        PROCESSED = "PROCESSED", "arrived"
        FAILED = "FAILED", "never left, the money is back"
        REVERSED = "REVERSED", "the bank sent it back"

    transaction = models.OneToOneField(Transaction, models.PROTECT, related_name="payout")
    bank_account = models.ForeignKey(BankAccount, models.PROTECT, related_name="payouts")
    gateway = models.CharField(max_length=20)
    key = models.CharField(max_length=36)
    payout_id = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001  (null: not known yet; unique)
    amount_minor = models.BigIntegerField(help_text="In minor units: paise.")
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    status = models.CharField(max_length=20, blank=True, help_text="The gateway's own word.")
    reason = models.CharField(max_length=200, blank=True)
    utr = models.CharField(max_length=100, blank=True, help_text="The bank's reference.")
    fee_minor = models.BigIntegerField(null=True, blank=True, help_text="Charged on top, tax included.")
    tax_minor = models.BigIntegerField(null=True, blank=True)
    sends = models.PositiveSmallIntegerField(default=0, help_text="How often it was sent, under the one key.")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True, help_text="First.")
    check_at = models.DateTimeField(null=True, blank=True)
    checks = models.PositiveSmallIntegerField(default=0)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["gateway", "key"], name="payout_key_once"),
            models.UniqueConstraint(fields=["gateway", "payout_id"], name="payout_known_once"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payout_amount_positive"),
        ]
        indexes = [
            models.Index(fields=["check_at"], condition=Q(check_at__isnull=False), name="payout_due"),
            models.Index(
                fields=["transaction"],
                condition=Q(state__in=["NEW", "UNKNOWN", "QUEUED", "PROCESSING"]),
                name="payout_open",
            ),
        ]

    def __str__(self) -> str:
        return self.payout_id or self.key
