"""Wallets: whose money, how much, and may it move."""

from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from wallet_project.kernel.ids import new_uuid, public_id
from wallet_project.kernel.money import BOUND, Money

GENESIS: Final = bytes(32)


class Currency(models.Model):
    """A currency that wallets hold, with its number of decimals after ISO 4217."""

    code = models.CharField(primary_key=True, max_length=3)
    decimals = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name_plural = "currencies"
        constraints = [
            # Wallets and transactions repeat `decimals`; a composite foreign key ties them to this pair.
            models.UniqueConstraint(fields=["code", "decimals"], name="currency_code_decimals"),
            models.CheckConstraint(condition=Q(decimals__gte=0, decimals__lte=4), name="currency_decimals_range"),
        ]

    def __str__(self) -> str:
        return self.code


class Wallet(models.Model):
    """
    An account of the ledger.

    `balance`, `held`, `entry_count`, `head` and `moved_at` are written by the posting kernel alone;
    `head` is the hash of the last entry, all zeros before the first. Invariant: for each currency the
    balances of all wallets sum to zero.
    """

    class Kind(models.TextChoices):
        USER = "USER"
        MERCHANT = "MERCHANT"
        SYSTEM = "SYSTEM"

    class Purpose(models.TextChoices):
        """What a SYSTEM wallet stands for; empty for all others."""

        NONE = ""
        GATEWAY_CLEARING = "gateway_clearing", "what the gateway owes us"
        PAYOUT_CLEARING = "payout_clearing", "on its way to banks"
        BANK = "bank", "the escrow account"
        FEE_INCOME = "fee_income", "fees earned"
        GATEWAY_FEES = "gateway_fees", "fees paid to the gateway"
        GST = "gst", "goods and services tax"
        CHARGEBACKS = "chargebacks", "disputed money to be recovered"
        PROMOTIONS = "promotions", "money given away"
        SUSPENSE = "suspense", "money whose owner cannot hold it"

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE"
        FROZEN = "FROZEN"
        CLOSED = "CLOSED"

    PREFIX: Final = "wal"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="wallets", db_index=False
    )
    kind = models.CharField(max_length=8, choices=Kind)
    purpose = models.CharField(max_length=16, choices=Purpose, default=Purpose.NONE, blank=True)
    shard = models.PositiveSmallIntegerField(default=0)
    label = models.CharField(max_length=100, blank=True)
    currency = models.CharField(max_length=3)
    decimals = models.PositiveSmallIntegerField()
    balance = models.DecimalField(max_digits=24, decimal_places=4, default=Decimal(0))
    held = models.DecimalField(max_digits=24, decimal_places=4, default=Decimal(0))
    minimum_balance = models.DecimalField(max_digits=24, decimal_places=4, default=Decimal(0))
    status = models.CharField(max_length=6, choices=Status, default=Status.ACTIVE)
    entry_count = models.BigIntegerField(default=0)
    head = models.BinaryField(default=GENESIS, max_length=32)
    moved_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="SYSTEM", owner__isnull=True) | (~Q(kind="SYSTEM") & Q(owner__isnull=False)),
                name="wallet_owner_null_exactly_for_system",
            ),
            models.CheckConstraint(
                condition=(Q(kind="SYSTEM") & ~Q(purpose="")) | (~Q(kind="SYSTEM") & Q(purpose="", shard=0)),
                name="wallet_purpose_exactly_for_system",
            ),
            # NaN and Infinity pass a plain `>= 0`; they do not pass an upper bound.
            models.CheckConstraint(
                condition=Q(balance__gt=-BOUND, balance__lt=BOUND)
                & Q(held__gte=0, held__lt=BOUND)
                & Q(minimum_balance__gt=-BOUND, minimum_balance__lt=BOUND),
                name="wallet_money_bounds",
            ),
            models.CheckConstraint(
                condition=Q(kind="SYSTEM") | Q(balance__gte=F("minimum_balance") + F("held")),
                name="wallet_never_below_minimum",
            ),
            models.CheckConstraint(condition=Q(entry_count__gte=0), name="wallet_entry_count"),
            models.UniqueConstraint(
                fields=["owner", "kind", "currency"],
                condition=~Q(status="CLOSED") & Q(owner__isnull=False),
                name="wallet_one_open_per_owner_kind_currency",
            ),
            models.UniqueConstraint(
                fields=["purpose", "shard", "currency"], condition=Q(kind="SYSTEM"), name="wallet_system_unique"
            ),
        ]
        # `status` changes rarely; nothing indexed changes when money moves, so those updates stay HOT.
        indexes = [models.Index(fields=["owner"], name="wallet_owner")]

    def __str__(self) -> str:
        return f"{self.label or self.kind} ({self.public_id})"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)

    @property
    def money(self) -> Money:
        return Money(self.balance, self.currency)

    @property
    def available(self) -> Money:
        """What may leave now: the balance less what is held, down to the least balance."""
        return Money(self.balance - self.held - self.minimum_balance, self.currency)


class Merchant(models.Model):
    """Somebody who is paid: a handle that people type, and a wallet of kind MERCHANT."""

    PREFIX: Final = "mer"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    handle = models.SlugField(max_length=40, unique=True)
    display_name = models.CharField(max_length=100)
    wallet = models.OneToOneField(Wallet, models.PROTECT, related_name="merchant")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(handle__regex=r"^[a-z0-9](-?[a-z0-9])*$"), name="merchant_handle_shape"),
        ]

    def __str__(self) -> str:
        return f"{self.display_name} ({self.handle})"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)


class WalletStatusChange(models.Model):
    """Who froze, unfroze or closed which wallet, and why. Append-only."""

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="status_changes")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    status = models.CharField(max_length=6, choices=Wallet.Status, help_text="The status from then on.")
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        permissions = [("freeze_wallet", "Can freeze and unfreeze wallets")]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="wallet_status_change_has_a_reason")]

    def __str__(self) -> str:
        return f"{self.wallet_id} {self.status}"
