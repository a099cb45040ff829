"""Orders at the gateway, and the attempts to pay them."""

from django.db import models
from django.db.models import Q

from ledger.models import Transaction


class GatewayOrder(models.Model):
    """
    Where one ADD is to be paid. Written together with the ADD; the gateway's own id follows when it is known.

    `check_at` is when the gateway is next asked on nobody's request; null when there is nothing left to hear.
    The lease lets one of several equal requests talk to the gateway, and no other.
    """

    class State(models.TextChoices):
        NEW = "NEW", "not known to be at the gateway yet"
        OPEN = "OPEN", "waiting to be paid"
        PAID = "PAID"
        EXPIRED = "EXPIRED", "given up; a late payment is still credited"
        REFUSED = "REFUSED", "the gateway would not take it"

    transaction = models.OneToOneField(Transaction, models.PROTECT, related_name="order")
    gateway = models.CharField(max_length=20)
    order_id = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001  (null: not known yet; unique)
    amount_minor = models.BigIntegerField(help_text="In minor units: paise.")
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=7, choices=State, default=State.NEW)
    lease = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    check_at = models.DateTimeField(null=True, blank=True)
    checks = models.PositiveSmallIntegerField(default=0)

    class Meta:
        default_permissions = ("view",)
        permissions = [("ask_gateway", "Can ask the gateway again")]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "order_id"], name="order_known_once"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="order_amount_positive"),
        ]
        indexes = [
            models.Index(fields=["check_at"], condition=Q(check_at__isnull=False), name="order_due"),
            models.Index(fields=["transaction"], condition=Q(state__in=["NEW", "OPEN"]), name="order_open"),
        ]

    def __str__(self) -> str:
        return self.order_id or f"order of {self.transaction_id}"

    @property
    def receipt(self) -> str:
        """What the gateway knows it by before we know the gateway's id: the transaction's public id."""
        return self.transaction.public_id


class PaymentAttempt(models.Model):
    """
    One payment of an order, as the gateway last told it.

    `credited_by` is the transaction that brought its money, set in that very posting. At most one attempt of an
    order has one: a second guard beside the kernel's, which completes a PENDING transaction once.
    """

    order = models.ForeignKey(GatewayOrder, models.PROTECT, related_name="attempts")
    gateway = models.CharField(max_length=20)
    payment_id = models.CharField(max_length=64)
    amount_minor = models.BigIntegerField(help_text="In minor units: paise.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20)
    method = models.CharField(max_length=20, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_reason = models.CharField(max_length=100, blank=True)
    credited_by = models.OneToOneField(
        Transaction, models.PROTECT, null=True, blank=True, related_name="paid_by", help_text="What brought its money."
    )
    reference = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="The payer's bank's: RRN, UTR or the like."
    )
    refunded_minor = models.BigIntegerField(default=0, db_default=0, help_text="As the gateway last told it.")
    fee_minor = models.BigIntegerField(null=True, blank=True, help_text="What the gateway keeps of it, tax included.")
    tax_minor = models.BigIntegerField(null=True, blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["gateway", "payment_id"], name="attempt_known_once"),
            models.UniqueConstraint(
                fields=["order"], condition=Q(credited_by__isnull=False), name="attempt_one_credited_per_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.payment_id} {self.status}"


class ParkedPayment(models.Model):
    """
    A captured payment that credits nobody: a second one of its order, one of a wrong amount, one that had all gone back
    to its payer before it was heard of, or one that came late and past the limits.

    Its money waits in suspense, where `transaction` brought it in the very posting that wrote this, until it has been
    refunded.
    """

    class Reason(models.TextChoices):
        SECOND = "SECOND", "the order had been paid before"
        AMOUNT = "AMOUNT", "the amount or the currency is not the order's"
        GONE = "GONE", "all of it had gone back before it was heard of"
        LIMIT = "LIMIT", "it came when its order had been given up, and past a limit"

    attempt = models.OneToOneField(PaymentAttempt, models.PROTECT, related_name="parked")
    transaction = models.OneToOneField(Transaction, models.PROTECT, related_name="parked")
    reason = models.CharField(max_length=6, choices=Reason)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.attempt_id} {self.reason}"
