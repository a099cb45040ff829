"""Devices, and the sessions that people have on them."""

from typing import Final

from django.db import models
from django.db.models import F, Q

from accounts.models.people import User
from wallet_project.kernel.ids import new_uuid, public_id


class KnownDevice(models.Model):
    """
    A browser or an app that this person has signed in with before. It keeps a random token (a cookie); here is
    only its digest. It counts its failed sign-ins by itself, so that strangers never lock its owner out.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="devices")
    digest = models.BinaryField(max_length=32)
    label = models.CharField(max_length=100, blank=True, help_text="What it says it is.")
    address = models.GenericIPAddressField(null=True, blank=True, help_text="Where it was last seen.")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="known_device_once")]

    def __str__(self) -> str:
        return f"{self.label or 'device'} of {self.user_id}"


class Session(models.Model):
    """
    One device signed in: the family of refresh tokens that began with one sign-in, or a browser at the pages.

    `refresh_id` names the one refresh token that may still be spent. Spending it is one conditional UPDATE
    of this row; whoever comes second has a stolen or a copied token, and the session ends.
    """

    class Kind(models.TextChoices):
        API = "API"
        PAGES = "PAGES"

    PREFIX: Final = "ses"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="sessions")
    kind = models.CharField(max_length=5, choices=Kind, default=Kind.API)
    refresh_id = models.UUIDField(null=True, blank=True, help_text="Of pages: none.")
    device = models.ForeignKey(KnownDevice, models.SET_NULL, null=True, blank=True, related_name="sessions")
    label = models.CharField(max_length=100, blank=True, help_text="What the device says it is.")
    address = models.GenericIPAddressField(null=True, blank=True, help_text="Where it signed in from.")
    factor_at = models.DateTimeField(null=True, blank=True, help_text="When a second factor was shown in it.")
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="session_expires_later"),
            models.CheckConstraint(
                condition=Q(kind="PAGES") | Q(refresh_id__isnull=False), name="session_of_api_has_refresh"
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="session_expiry"),
            models.Index(fields=["user", "-created_at"], name="session_of_user"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)
