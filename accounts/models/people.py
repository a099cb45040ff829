"""Who people are, how they proved it, and who starts a movement."""

from collections.abc import Iterator
from typing import ClassVar, Final

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac

from wallet_project.kernel.ids import new_uuid, public_id


class Channel(models.TextChoices):
    """How a message reaches a person, and so which of their addresses it proves."""

    EMAIL = "email"
    PHONE = "phone"


class UserManager(BaseUserManager["User"]):
    """Finds people by the address they verified."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """
        The person who verified this e-mail or phone. Django's own login forms call it.

        An unverified registration is never found: several may claim one address.
        """
        return self.get(
            Q(email=username, email_verified_at__isnull=False) | Q(phone=username, phone_verified_at__isnull=False)
        )


# django-otp's devices have no types, so their managers have none either.
class User(AbstractBaseUser, PermissionsMixin):  # type: ignore[django-manager-missing]
    """
    A person. At least one of `email` and `phone`; an address is unique once somebody verified it, so that
    whoever registers another's address first gains nothing by it.
    """

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE"
        BLOCKED = "BLOCKED"
        CLOSED = "CLOSED", "closed by themselves, and erased but for what the ledger must keep"

    class KycLevel(models.TextChoices):
        MINIMUM = "MINIMUM"
        FULL = "FULL"

    PREFIX: Final = "usr"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    # Null, not "", says "none given": a unique constraint then lets many have none.
    email = models.EmailField(null=True, blank=True)  # noqa: DJ001
    phone = models.CharField(max_length=16, null=True, blank=True, help_text="E.164")  # noqa: DJ001
    full_name = models.CharField(max_length=100)
    status = models.CharField(max_length=7, choices=Status, default=Status.ACTIVE)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    phone_verified_at = models.DateTimeField(null=True, blank=True)
    kyc_level = models.CharField(max_length=7, choices=KycLevel, default=KycLevel.MINIMUM)
    token_version = models.PositiveIntegerField(default=0)
    # Beside the factors themselves, so that whoever is read for a request is known to have one.
    second_factor = models.BooleanField(default=False)
    second_factor_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when without a break; unknown of those before it was kept."
    )
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["full_name"]

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        # People register themselves and are never edited or deleted by hand: no such permission exists.
        verbose_name = "person"
        verbose_name_plural = "people"
        default_permissions = ("view",)
        permissions = [("block_user", "Can block and unblock people")]
        constraints = [
            models.CheckConstraint(
                condition=Q(email__isnull=False) | Q(phone__isnull=False) | Q(status="CLOSED"),
                name="user_has_an_address",
            ),
            models.CheckConstraint(
                condition=Q(email_verified_at__isnull=True) | Q(email__isnull=False), name="user_verified_email_exists"
            ),
            models.CheckConstraint(
                condition=Q(phone_verified_at__isnull=True) | Q(phone__isnull=False), name="user_verified_phone_exists"
            ),
            # One spelling of an address, so that equal addresses are equal text.
            models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_lower_case"),
            models.CheckConstraint(condition=Q(phone__regex=r"^\+[1-9][0-9]{6,14}$"), name="user_phone_e164"),
            models.CheckConstraint(condition=~Q(full_name=""), name="user_has_a_name"),
            models.UniqueConstraint(
                fields=["email"], condition=Q(email_verified_at__isnull=False), name="user_verified_email_unique"
            ),
            models.UniqueConstraint(
                fields=["phone"], condition=Q(phone_verified_at__isnull=False), name="user_verified_phone_unique"
            ),
        ]
        indexes = [
            models.Index(fields=["email"], name="user_email"),
            models.Index(fields=["phone"], name="user_phone"),
        ]

    def __str__(self) -> str:
        return f"{self.full_name} ({self.public_id})"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)

    @property
    def has_verified_address(self) -> bool:
        """Not `is_verified`: that is django-otp's word for whoever has shown a second factor in this session."""
        return self.email_verified_at is not None or self.phone_verified_at is not None

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # Django's stub has a class attribute
        """Django's word for "may sign in": verified and not blocked."""
        return self.status == self.Status.ACTIVE and self.has_verified_address

    def get_session_auth_hash(self) -> str:
        """Page sessions die with `token_version` as tokens do, not with the password alone."""
        return self._hash_of_session(settings.SECRET_KEY)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        for secret in settings.SECRET_KEY_FALLBACKS:
            yield self._hash_of_session(secret)

    def _hash_of_session(self, secret: str | bytes) -> str:
        signed = f"{self.token_version}:{self.password}"
        return salted_hmac("accounts.User.session", signed, secret=secret, algorithm="sha256").hexdigest()


class Actor(models.Model):
    """
    Whoever starts a movement. Beat, tasks and support's acts have a row too, so that every
    transaction names its initiator.
    """

    class Kind(models.TextChoices):
        PERSON = "PERSON"
        SYSTEM = "SYSTEM"

    kind = models.CharField(max_length=6, choices=Kind)
    user = models.OneToOneField(User, models.PROTECT, null=True, blank=True, related_name="actor")
    name = models.CharField(max_length=40, blank=True, help_text="Of a SYSTEM actor: which part of the system.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="PERSON", user__isnull=False, name="")
                | (Q(kind="SYSTEM", user__isnull=True) & ~Q(name="")),
                name="actor_is_a_person_or_named",
            ),
            models.UniqueConstraint(fields=["name"], condition=Q(kind="SYSTEM"), name="actor_system_name_unique"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.user)
