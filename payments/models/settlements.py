"""What the gateway paid into our bank account, item by item."""

from django.db import models

from ledger.models import Transaction


class SettledItem(models.Model):
    """
    One payment, refund or adjustment of a settlement, as the gateway's report has it. In minor units.

    `transaction` is the first posting of its group, set in that very posting; null for an item that could not be
    explained, which is a case.
    """

    gateway = models.CharField(max_length=20)
    settlement_id = models.CharField(max_length=64)
    entity_id = models.CharField(max_length=64)
    kind = models.CharField(max_length=20)
    debit_minor = models.BigIntegerField()
    credit_minor = models.BigIntegerField()
    amount_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField(help_text="Tax included.")
    tax_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    payment_id = models.CharField(max_length=64, blank=True)
    utr = models.CharField(max_length=100, blank=True)
    settled_at = models.DateTimeField()
    transaction = models.OneToOneField(
        Transaction, models.PROTECT, null=True, blank=True, related_name="settled_item", help_text="What posted it."
    )

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["gateway", "settlement_id", "entity_id"], name="settled_item_once"),
        ]
        indexes = [models.Index(fields=["settled_at"], name="settled_item_when")]

    def __str__(self) -> str:
        return f"{self.settlement_id} {self.entity_id}"
