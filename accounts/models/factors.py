"""Second factors: what a person has beside their password."""

from django.db import models
from django.db.models import Q
from django_otp.models import Device

from accounts.models.people import User


class TotpDevice(Device):  # type: ignore[misc]  # django-otp has no types
    """
    An authenticator app (RFC 6238: SHA-1, six digits, thirty seconds). One a person, once it is confirmed.

    `last_step` is the last time step whose code was used: a code works once. How a code is judged stands in
    `accounts.totp`.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="totp_devices")
    key_sealed = models.BinaryField(help_text="The secret, encrypted.")
    last_step = models.BigIntegerField(default=-1)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(confirmed=True), name="totp_one_confirmed"),
        ]


class RecoveryDevice(Device):  # type: ignore[misc]
    """The set of recovery codes that a person holds: ten, made together, each good once."""

    user = models.ForeignKey(User, models.CASCADE, related_name="recovery_devices")
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user"], name="recovery_one_set")]


class RecoveryCode(models.Model):
    """One of them. Only its keyed digest is kept."""

    device = models.ForeignKey(RecoveryDevice, models.CASCADE, related_name="codes")
    digest = models.BinaryField(max_length=32)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["device", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"


class Passkey(models.Model):
    """A WebAuthn credential (W3C Web Authentication, level 2), for the pages."""

    user = models.ForeignKey(User, models.CASCADE, related_name="passkeys")
    credential_id = models.BinaryField(max_length=1023, unique=True)
    public_key = models.BinaryField()
    sign_count = models.PositiveBigIntegerField(default=0)
    transports = models.JSONField(default=list, blank=True)
    name = models.CharField(max_length=60)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
