"""Second factors: what a person has beside their password."""

from datetime import datetime
from typing import Final

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django_otp.models import Device

from accounts.factor_codes import matching_step, recovery_digest
from accounts.models.people import User
from wallet_project.kernel.sealing import unseal

# What the secret is sealed for.
KEY_SEALED_FOR: Final = "accounts.totp_device.key"


class TotpDevice(Device):  # type: ignore[misc]  # django-otp has no types
    """
    An authenticator app (RFC 6238: SHA-1, six digits, thirty seconds). One a person, once it is confirmed.

    `last_step` is the last time step whose code was used: a code works once. What a code is stands in
    `accounts.factor_codes`; how tries are counted in `accounts.second_factor`.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="totp_devices")
    key_sealed = models.BinaryField(help_text="The secret, encrypted.")
    last_step = models.BigIntegerField(default=-1)
    begun_in = models.UUIDField(null=True, blank=True, help_text="The session that asked for it, and may confirm it.")
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(confirmed=True), name="totp_one_confirmed"),
        ]

    def verify_token(self, token: str) -> bool:
        """django-otp's word for `accept`; `match_token` comes here with this row locked."""
        return self.accept(code=token, now=timezone.now())

    def accept(self, *, code: str, now: datetime) -> bool:
        """Use the code up, if it is right and neither it nor a later one was used before: one conditional UPDATE."""
        step = self._step_of(code, now)
        if step is None or TotpDevice.objects.filter(pk=self.pk, last_step__lt=step).update(last_step=step) != 1:
            return False
        self.last_step = step
        return True

    def has_accepted(self, *, code: str, now: datetime) -> bool:
        """Whether this very code was the last that was used up: no guess, but a request that came twice."""
        return self._step_of(code, now) == self.last_step

    def _step_of(self, code: str, now: datetime) -> int | None:
        return matching_step(secret=unseal(self.key_sealed, purpose=KEY_SEALED_FOR), code=code, now=now)


class RecoveryDevice(Device):  # type: ignore[misc]
    """The set of recovery codes that a person holds: ten, made together, each good once."""

    user = models.ForeignKey(User, models.CASCADE, related_name="recovery_devices")
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user"], name="recovery_one_set")]

    def verify_token(self, token: str) -> bool:
        """django-otp's word for `accept`."""
        return self.accept(code=token, now=timezone.now())

    def accept(self, *, code: str, now: datetime) -> bool:
        """Use the code up, if it is one of these and was not used before: one conditional UPDATE."""
        digest = recovery_digest(device=self.pk, code=code)
        return digest is not None and self.codes.filter(digest=digest, used_at=None).update(used_at=now) == 1

    def has_accepted(self, *, code: str, now: datetime) -> bool:  # noqa: ARG002  (as the other device's)
        """Whether this code was used up before: no guess."""
        digest = recovery_digest(device=self.pk, code=code)
        return digest is not None and self.codes.filter(digest=digest, used_at__isnull=False).exists()


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
