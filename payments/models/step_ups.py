"""Challenges: what a person has to show once more before one payment."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q

from ledger.models import Transaction
from wallet_project.kernel.ids import new_uuid, public_id


class StepUp(models.Model):
    """
    Asked of one person for one request: `binding` is a digest of their key and of all that the request says.

    The code is the authenticator's where there is one (`channel` totp), else one that was sent with the message
    `verification_id`. `proven_digest` remembers a code that was right until the posting spends the challenge, so that a
    request which had to be sent again is not asked twice.
    """

    class Channel(models.TextChoices):
        TOTP = "totp"
        EMAIL = "email"
        SMS = "sms"

    PREFIX: Final = "stp"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="step_ups")
    binding = models.BinaryField(max_length=32)
    channel = models.CharField(max_length=5, choices=Channel)
    # No foreign key: messages are purged when nobody needs them any more, and what was spent stays.
    verification_id = models.BigIntegerField(null=True, help_text="The message that carries the code.")
    failures = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    proven_digest = models.BinaryField(max_length=32, null=True)
    spent_at = models.DateTimeField(null=True)
    spent_by = models.ForeignKey(Transaction, models.PROTECT, null=True, related_name="+")

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(spent_at__isnull=True, spent_by__isnull=True)
                | Q(spent_at__isnull=False, spent_by__isnull=False, proven_digest__isnull=False),
                name="step_up_spent_by_a_transaction",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "binding"], condition=Q(spent_at__isnull=True), name="step_up_open"),
            models.Index(fields=["expires_at"], name="step_up_expiry"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)
