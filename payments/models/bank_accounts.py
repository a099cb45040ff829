"""Bank accounts that people withdraw to."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q

from wallet_project.kernel.ids import new_uuid, public_id


class BankAccount(models.Model):
    """
    Where a person's withdrawals go.

    The number is encrypted; `number_index` is its keyed digest, by which an equal one is found; people only ever see
    the last four digits. Removing one keeps the row, for payouts name it, and forgets the number.
    """

    class Validation(models.TextChoices):
        UNCHECKED = "UNCHECKED", "not asked yet, or nobody can be asked"
        ASKED = "ASKED"
        VALID = "VALID"
        INVALID = "INVALID", "the bank does not know it"

    PREFIX: Final = "bnk"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="bank_accounts")
    holder_name = models.CharField(max_length=50)
    ifsc = models.CharField(max_length=11)
    number_sealed = models.BinaryField(help_text="Encrypted; empty once removed.")
    number_index = models.BinaryField(max_length=32)
    last_four = models.CharField(max_length=4)
    gateway = models.CharField(max_length=20)
    fund_account_id = models.CharField(max_length=64, blank=True, help_text="As the gateway knows it, once it does.")
    validation = models.CharField(max_length=9, choices=Validation, default=Validation.UNCHECKED)
    validation_id = models.CharField(max_length=64, blank=True)
    registered_name = models.CharField(max_length=100, blank=True, help_text="Whose it is, says the bank.")
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)
    check_at = models.DateTimeField(null=True, blank=True)
    checks = models.PositiveSmallIntegerField(default=0)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "ifsc", "number_index"],
                condition=Q(removed_at__isnull=True),
                name="bank_account_once_per_owner",
            ),
        ]
        indexes = [models.Index(fields=["check_at"], condition=Q(check_at__isnull=False), name="bank_account_due")]

    def __str__(self) -> str:
        return f"{self.ifsc} ••{self.last_four}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)
