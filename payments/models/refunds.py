"""Refunds of payments, at the gateway."""

from django.db import models
from django.db.models import Q

from ledger.models import Transaction
from payments.models.orders import PaymentAttempt


class GatewayRefund(models.Model):
    """
    Money on its way back to whoever paid. Written together with its REFUND, or found at the gateway and then posted.

    `key` is ours and the same in every retry; empty for one that the gateway made without us.
    """

    class State(models.TextChoices):
        NEW = "NEW", "not sent yet"
        UNKNOWN = "UNKNOWN", "sent, and no answer came: it may have been made"
        PENDING = "PENDING", "on its way to the payer"
        PROCESSED = "PROCESSED", "done"
        FAILED = "FAILED", "not made, the money is back"

    transaction = models.OneToOneField(Transaction, models.PROTECT, related_name="gateway_refund")
    attempt = models.ForeignKey(PaymentAttempt, models.PROTECT, related_name="refunds")
    gateway = models.CharField(max_length=20)
    key = models.CharField(max_length=64, blank=True)
    refund_id = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001  (null: not known yet; unique)
    amount_minor = models.BigIntegerField(help_text="In minor units: paise.")
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=9, choices=State, default=State.NEW)
    status = models.CharField(max_length=20, blank=True, help_text="The gateway's own word.")
    reason = models.CharField(max_length=200, blank=True)
    reference = models.CharField(max_length=100, blank=True, help_text="The payer's bank's: RRN or ARN.")
    sends = models.PositiveSmallIntegerField(default=0, help_text="How often it was sent, under the one key.")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True, help_text="First.")
    check_at = models.DateTimeField(null=True, blank=True)
    checks = models.PositiveSmallIntegerField(default=0)

    class Meta:
        default_permissions = ("view",)
        permissions = [("refund_topup", "Can give top-ups back")]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "key"], condition=~Q(key=""), name="refund_key_once"),
            models.UniqueConstraint(fields=["gateway", "refund_id"], name="refund_known_once"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_amount_positive"),
        ]
        indexes = [
            models.Index(fields=["check_at"], condition=Q(check_at__isnull=False), name="refund_due"),
            models.Index(
                fields=["transaction"], condition=Q(state__in=["NEW", "UNKNOWN", "PENDING"]), name="refund_open"
            ),
        ]

    def __str__(self) -> str:
        return self.refund_id or self.key
