"""What a person is told in the app, and what of it they want to hear elsewhere as well."""

from typing import Final

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q

from accounts.models.people import User
from wallet_project.kernel.ids import new_uuid, public_id


class Notification(models.Model):
    """
    One thing that a person is told: composed once, so that it reads the same for ever.

    `kind` is one of `accounts.notification_texts`. `transaction` is a ledger transaction's uuid (this room knows no
    ledger), `event_id` the event that it tells of: an event that is heard twice tells once.
    """

    PREFIX: Final = "ntf"
    TRANSACTION_PREFIX: Final = "txn"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="notifications", db_index=False)
    kind = models.CharField(max_length=30)
    title = models.CharField(max_length=120)
    text = models.CharField(max_length=1000)
    transaction = models.UUIDField(null=True)
    event_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(help_text="When it happened, which may be long before it was noted.")
    read_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["user", "event_id", "kind"], condition=Q(event_id__isnull=False), name="notification_once"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "created_at", "id"], name="notification_newest"),
            models.Index(fields=["user"], condition=Q(read_at__isnull=True), name="notification_unread"),
            # For the purge alone: rows come nearly in the order of their times.
            BrinIndex(fields=["created_at"], name="notification_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.user_id}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)

    @property
    def transaction_id(self) -> str | None:
        """The public id of the transaction that it tells of."""
        return None if self.transaction is None else public_id(self.TRANSACTION_PREFIX, self.transaction)


class NotificationPreference(models.Model):
    """
    Where somebody departs from the default for one row of `accounts.notification_preferences` and one channel.

    The default itself is never stored, so that a better one reaches everybody who chose nothing.
    """

    class Channel(models.TextChoices):
        EMAIL = "email"
        SMS = "sms"
        PUSH = "push"

    user = models.ForeignKey(User, models.CASCADE, related_name="notification_preferences", db_index=False)
    kind = models.CharField(max_length=30, help_text="A row's name: several kinds of notification share one.")
    channel = models.CharField(max_length=5, choices=Channel)
    is_on = models.BooleanField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "channel"], name="notification_preference_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel} for {self.user_id}: {'on' if self.is_on else 'off'}"
