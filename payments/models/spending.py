"""What each wallet has spent and added, as the limits and the step-up count it."""

from django.db import models
from django.db.models import F, Q

from ledger.models import Transaction
from wallets.models import Wallet


class Spending(models.Model):
    """
    One movement that its wallet's owner asked for, or (negative) one that was given back. Written by its posting, under
    the wallet's lock, and never changed.

    Each row carries the totals up to itself, so that a limit costs the reading of a last row and no sum: `day_total`
    of this type and day, `month_total` of this type and month, and `payee_total`, the growing total of what went from
    this wallet to this payee without a step-up. What went there within 24 hours is the last one less the last that is
    older.
    """

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="+", db_index=False)
    transaction = models.ForeignKey(Transaction, models.PROTECT, related_name="+")
    type = models.CharField(max_length=10, choices=Transaction.Type)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    payee_wallet = models.ForeignKey(Wallet, models.PROTECT, null=True, related_name="+", db_index=False)
    bank_account = models.ForeignKey(
        "payments.BankAccount", models.PROTECT, null=True, related_name="+", db_index=False
    )
    stepped_up = models.BooleanField(default=False)
    day = models.DateField(help_text="In the wallet's own time zone.")
    day_total = models.DecimalField(max_digits=24, decimal_places=4)
    month_total = models.DecimalField(max_digits=24, decimal_places=4)
    payee_total = models.DecimalField(max_digits=24, decimal_places=4, default=0)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(payee_wallet__isnull=True) | Q(bank_account__isnull=True), name="spending_one_payee"
            ),
            models.CheckConstraint(
                condition=Q(day_total__gte=0, month_total__gte=F("day_total")), name="spending_totals"
            ),
        ]
        indexes = [
            models.Index(fields=["wallet", "type", "-id"], name="spending_by_type"),
            models.Index(
                fields=["wallet", "payee_wallet", "-created_at", "-id"],
                condition=Q(payee_wallet__isnull=False),
                name="spending_by_payee",
            ),
            models.Index(
                fields=["wallet", "bank_account", "-created_at", "-id"],
                condition=Q(bank_account__isnull=False),
                name="spending_by_account",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.amount} of {self.wallet_id}"
