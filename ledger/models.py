"""The ledger's rows: transactions, their immutable entries, and the keys that make each take effect once."""

from decimal import Decimal
from typing import Final

from django.db import models
from django.db.models import F, Q

from accounts.models import Actor
from wallet_project.kernel.ids import new_uuid, public_id
from wallet_project.kernel.money import BOUND, Money
from wallets.models import Wallet

# A well-formed request may name fifteen digits. Past BOUND it is refused, and the refusal remembers it.
_LARGEST_REFUSED: Final = Decimal(10) ** 15


class Transaction(models.Model):
    """
    One movement of money between two wallets, or the recorded refusal of one.

    A row here has two entries once money moved and none before. Only `status`, `failure_code`,
    `posted_at` and `completed_at` ever change, and only away from PENDING (a trigger).
    """

    class Type(models.TextChoices):
        ADD = "ADD"
        TRANSFER = "TRANSFER"
        PAY = "PAY"
        WITHDRAW = "WITHDRAW"
        REFUND = "REFUND"
        REVERSAL = "REVERSAL"
        FEE = "FEE"
        SETTLEMENT = "SETTLEMENT"
        CHARGEBACK = "CHARGEBACK"
        ADJUSTMENT = "ADJUSTMENT"

    class Status(models.TextChoices):
        PENDING = "PENDING"
        SUCCESS = "SUCCESS"
        FAILED = "FAILED"

    PREFIX: Final = "txn"

    id = models.BigIntegerField(primary_key=True)
    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    from_wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="+", db_index=False)
    to_wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="+", null=True, db_index=False)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    currency = models.CharField(max_length=3)
    decimals = models.PositiveSmallIntegerField()
    type = models.CharField(max_length=10, choices=Type)
    status = models.CharField(max_length=7, choices=Status)
    failure_code = models.CharField(max_length=40, blank=True)
    initiator = models.ForeignKey(Actor, models.PROTECT, related_name="+", db_index=False)
    group = models.BigIntegerField(null=True, help_text="The first transaction of its group, where there are siblings.")
    reverses = models.ForeignKey("self", models.PROTECT, null=True, related_name="reversals", db_index=False)
    note = models.CharField(max_length=280, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    posted_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0) & (Q(amount__lt=BOUND) | Q(status="FAILED", amount__lt=_LARGEST_REFUSED)),
                name="transaction_amount_bounds",
            ),
            models.CheckConstraint(
                condition=Q(to_wallet__isnull=False) | Q(status="FAILED", failure_code="recipient_unavailable"),
                name="transaction_to_wallet_known",
            ),
            models.CheckConstraint(
                condition=~Q(from_wallet=F("to_wallet")) | Q(to_wallet__isnull=True) | Q(status="FAILED"),
                name="transaction_between_two_wallets",
            ),
            models.CheckConstraint(
                condition=(
                    Q(status="PENDING", failure_code="", completed_at__isnull=True)
                    | Q(status="SUCCESS", failure_code="", completed_at__isnull=False, posted_at__isnull=False)
                    | (Q(status="FAILED", completed_at__isnull=False) & ~Q(failure_code=""))
                ),
                name="transaction_status_and_times_agree",
            ),
            models.CheckConstraint(
                condition=~Q(type__in=["REVERSAL", "REFUND"]) | Q(reverses__isnull=False),
                name="transaction_reversal_names_what_it_reverses",
            ),
            models.UniqueConstraint(fields=["reverses"], condition=Q(type="REVERSAL"), name="transaction_one_reversal"),
        ]
        indexes = [
            # History reads both backwards and merges them; `id` settles ties.
            models.Index(fields=["from_wallet", "created_at", "id"], name="transaction_out"),
            # Others' failed attempts are not the payee's to see; the own failed top-up is.
            models.Index(
                fields=["to_wallet", "created_at", "id"],
                condition=~Q(status="FAILED") | Q(type="ADD"),
                name="transaction_in",
            ),
            models.Index(fields=["reverses"], condition=Q(reverses__isnull=False), name="transaction_reverses"),
            models.Index(fields=["group"], condition=Q(group__isnull=False), name="transaction_group"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.public_id}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


class LedgerEntry(models.Model):
    """
    One side of a movement, for ever: triggers refuse UPDATE, DELETE and TRUNCATE to every role.

    `sequence` counts 1, 2, 3 … per wallet; `hash` chains it to the entry before (see `ledger.chain`).
    """

    id = models.BigIntegerField(primary_key=True)
    # The trigger `entries_balance` holds both sides to the transaction's own wallets, and no row of either table is
    # ever removed: foreign keys would say the same again, at a sixth of a posting's cost in the database.
    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="entries", db_index=False, db_constraint=False)
    transaction = models.ForeignKey(
        Transaction, models.PROTECT, related_name="entries", db_index=False, db_constraint=False
    )
    sequence = models.BigIntegerField()
    debit = models.DecimalField(max_digits=24, decimal_places=4)
    credit = models.DecimalField(max_digits=24, decimal_places=4)
    balance_after = models.DecimalField(max_digits=24, decimal_places=4)
    hash = models.BinaryField(max_length=32)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "ledger entries"
        permissions = [("export_ledgerentry", "Can export all entries")]
        constraints = [
            models.UniqueConstraint(fields=["wallet", "sequence"], name="entry_sequence"),
            # The stubs do not know that a Q is an expression.
            models.UniqueConstraint("transaction", Q(debit__gt=0), name="entry_two_legs"),  # type: ignore[call-overload]
            models.CheckConstraint(
                condition=Q(debit__gt=0, debit__lt=BOUND, credit=0) | Q(credit__gt=0, credit__lt=BOUND, debit=0),
                name="entry_one_side",
            ),
            models.CheckConstraint(
                condition=Q(balance_after__gt=-BOUND, balance_after__lt=BOUND), name="entry_balance_bounds"
            ),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="entry_sequence_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.wallet_id} #{self.sequence}"


class IdempotencyKey(models.Model):
    """
    What an initiator's key stood for, kept for ever: the same request replays, another is refused.

    A table of its own, so that history can be partitioned by time later.
    """

    pk = models.CompositePrimaryKey("initiator_id", "key")
    # The trigger `keys_name_their_own` holds both to one transaction of that initiator: more than foreign keys could.
    initiator = models.ForeignKey(Actor, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    transaction = models.ForeignKey(
        Transaction, models.PROTECT, related_name="keys", db_index=False, db_constraint=False
    )
    http_status = models.PositiveSmallIntegerField()
    checkout = models.JSONField(null=True, help_text="As first given, for top-ups.")
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.initiator_id} {self.key}"


class Hold(models.Model):
    """
    A part of a wallet's balance that is promised and has not moved: what may be spent is the balance less its holds.

    Made, captured and released by the posting kernel alone, under the wallet's lock. `reference` is the caller's name
    for it, so that the same promise is made once. One that has ended stays, as it ended.
    """

    class Status(models.TextChoices):
        OPEN = "OPEN"
        CAPTURED = "CAPTURED"
        RELEASED = "RELEASED"
        EXPIRED = "EXPIRED"

    PREFIX: Final = "hld"

    id = models.BigIntegerField(primary_key=True)
    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="holds", db_index=False)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=20)
    reference = models.CharField(max_length=100, unique=True)
    status = models.CharField(max_length=8, choices=Status, default=Status.OPEN)
    # The trigger `holds_are_held` ties it to a SUCCESS out of this very wallet; more than a foreign key could.
    captured_by = models.OneToOneField(
        Transaction, models.PROTECT, null=True, related_name="captured_hold", db_constraint=False
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, amount__lt=BOUND), name="hold_amount_bounds"),
            models.CheckConstraint(
                condition=Q(status="OPEN", ended_at__isnull=True) | (~Q(status="OPEN") & Q(ended_at__isnull=False)),
                name="hold_ended_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status="CAPTURED", captured_by__isnull=False)
                | (~Q(status="CAPTURED") & Q(captured_by__isnull=True)),
                name="hold_captured_by_something",
            ),
        ]
        indexes = [
            models.Index(fields=["wallet"], condition=Q(status="OPEN"), name="hold_open"),
            models.Index(
                fields=["expires_at"], condition=Q(status="OPEN", expires_at__isnull=False), name="hold_expiring"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.public_id}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)
