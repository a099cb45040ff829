"""How much may move: the operator's limits with their history, and people's own lower ones."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import User


class Limited(models.TextChoices):
    """What a limit is about."""

    TRANSFER = "TRANSFER", "sent to people"
    PAY = "PAY", "paid to merchants"
    WITHDRAW = "WITHDRAW", "withdrawn to a bank"
    ADD = "ADD", "added"


class LimitRule(models.Model):
    """
    The limits of a KYC level for one type of movement, from `since` on until a later row. Append-only: its history is
    the table. Amounts in rupees.
    """

    kyc_level = models.CharField(max_length=7, choices=User.KycLevel)
    type = models.CharField(max_length=10, choices=Limited)
    per_transaction = models.DecimalField(max_digits=24, decimal_places=4)
    per_day = models.DecimalField(max_digits=24, decimal_places=4)
    per_month = models.DecimalField(max_digits=24, decimal_places=4)
    since = models.DateTimeField()
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=500)

    class Meta:
        default_permissions = ("view",)
        permissions = [("set_limitrule", "Can set limits")]
        constraints = [
            models.CheckConstraint(
                condition=Q(per_transaction__gte=0, per_day__gte=0, per_month__gte=0), name="limit_rule_amounts"
            ),
        ]
        indexes = [models.Index(fields=["kyc_level", "type", "-since", "-id"], name="limit_rule_current")]

    def __str__(self) -> str:
        return f"{self.kyc_level} {self.type} since {self.since}"


class HoldingLimit(models.Model):
    """The most that a person's own wallet may hold at a KYC level, from `since` on until a later row. Append-only."""

    kyc_level = models.CharField(max_length=7, choices=User.KycLevel)
    most = models.DecimalField(max_digits=24, decimal_places=4)
    since = models.DateTimeField()
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=500)

    class Meta:
        default_permissions = ("view",)
        constraints = [models.CheckConstraint(condition=Q(most__gte=0), name="holding_limit_amount")]
        indexes = [models.Index(fields=["kyc_level", "-since", "-id"], name="holding_limit_current")]

    def __str__(self) -> str:
        return f"{self.kyc_level} may hold {self.most} since {self.since}"


class OwnLimit(models.Model):
    """
    A person's own, lower limits for one type of movement, from `since` on until a later row that was not dropped. An
    amount that is null: only the operator's. Lower ones hold at once; higher ones are dated a day ahead, and dropped if
    another wish comes before.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="own_limits")
    type = models.CharField(max_length=10, choices=Limited)
    per_transaction = models.DecimalField(max_digits=24, decimal_places=4, null=True, blank=True)
    per_day = models.DecimalField(max_digits=24, decimal_places=4, null=True, blank=True)
    per_month = models.DecimalField(max_digits=24, decimal_places=4, null=True, blank=True)
    asked_at = models.DateTimeField()
    since = models.DateTimeField()
    dropped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=(Q(per_transaction__isnull=True) | Q(per_transaction__gte=0))
                & (Q(per_day__isnull=True) | Q(per_day__gte=0))
                & (Q(per_month__isnull=True) | Q(per_month__gte=0)),
                name="own_limit_amounts",
            ),
        ]
        indexes = [
            models.Index(
                fields=["user", "type", "-since", "-id"], condition=Q(dropped_at__isnull=True), name="own_limit_current"
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} of {self.user_id} since {self.since}"
