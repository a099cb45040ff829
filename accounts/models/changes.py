"""Changes to an account that take time or a second look: its addresses, a lost factor, and what was agreed to."""

from typing import Final

from django.db import models
from django.db.models import F, Q

from accounts.models.people import Channel, User
from wallet_project.kernel.ids import new_uuid, public_id


class AddressChange(models.Model):
    """
    An e-mail or phone added, changed or removed. Done once the person showed that it is them (`proven_at`, or the code
    of `own_message`, which went to an address of theirs) and the new address's code came back. The old address is told
    and can undo it until `undo_until`, with a token of which only the digest is kept. Until `held_until` large payments
    ask support.
    """

    class Status(models.TextChoices):
        REQUESTED = "REQUESTED"
        DONE = "DONE"
        UNDONE = "UNDONE"
        DROPPED = "DROPPED", "never proved, or replaced by a later request"

    PREFIX: Final = "adc"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="address_changes")
    channel = models.CharField(max_length=5, choices=Channel)
    old_value = models.CharField(max_length=254, blank=True, help_text="Empty: added.")
    new_value = models.CharField(max_length=254, blank=True, help_text="Empty: removed.")
    status = models.CharField(max_length=9, choices=Status, default=Status.REQUESTED)
    message = models.ForeignKey("accounts.OutgoingMessage", models.SET_NULL, null=True, blank=True, related_name="+")
    own_message = models.ForeignKey(
        "accounts.OutgoingMessage", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    failures = models.PositiveSmallIntegerField(default=0)
    requested_at = models.DateTimeField()
    proven_at = models.DateTimeField(null=True, blank=True, help_text="When a second factor was shown for it.")
    done_at = models.DateTimeField(null=True, blank=True)
    undo_until = models.DateTimeField(null=True, blank=True)
    undo_digest = models.BinaryField(max_length=32, null=True, blank=True, unique=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True, help_text="Until then large payments ask support.")

    class Meta:
        default_permissions = ("view",)
        permissions = [("lift_addresschange", "Can let large payments pass after a change of address")]
        constraints = [
            models.CheckConstraint(condition=~Q(old_value=F("new_value")), name="address_change_changes"),
            models.UniqueConstraint(
                fields=["user", "channel"], condition=Q(status="REQUESTED"), name="address_change_one_requested"
            ),
        ]
        indexes = [
            models.Index(fields=["undo_until"], condition=Q(status="DONE"), name="address_change_undo"),
            models.Index(fields=["user", "-requested_at"], name="address_change_user"),
            models.Index(
                fields=["user", "held_until"], condition=Q(held_until__isnull=False), name="address_change_held"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} of {self.user_id}: {self.status}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)


class LostFactor(models.Model):
    """
    Somebody cannot show their second factor any more, nor a recovery code. Two of support look at who they are; then a
    day passes, in which the person's addresses are told and any sign-in with the factor stops it.
    """

    class Status(models.TextChoices):
        ASKED = "ASKED"
        SEEN = "SEEN", "one of support has approved it"
        WAITING = "WAITING", "two have; the day passes"
        DONE = "DONE"
        REFUSED = "REFUSED"
        STOPPED = "STOPPED", "by the person"

    PREFIX: Final = "los"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="lost_factors")
    status = models.CharField(max_length=7, choices=Status, default=Status.ASKED)
    statement = models.CharField(max_length=500, help_text="What the person says.")
    asked_at = models.DateTimeField()
    first_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    first_reason = models.CharField(max_length=500, blank=True)
    second_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    second_reason = models.CharField(max_length=500, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("decide_lostfactor", "Can decide about a lost second factor")]
        constraints = [
            models.CheckConstraint(
                condition=Q(second_by__isnull=True) | ~Q(second_by=F("first_by")), name="lost_factor_four_eyes"
            ),
            models.UniqueConstraint(
                fields=["user"], condition=Q(status__in=["ASKED", "SEEN", "WAITING"]), name="lost_factor_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"lost factor of {self.user_id}: {self.status}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)


class Consent(models.Model):
    """Which version of the terms or the privacy notice a person agreed to, and when. Append-only."""

    class Document(models.TextChoices):
        TERMS = "TERMS", "terms of use"
        PRIVACY = "PRIVACY", "privacy notice"

    user = models.ForeignKey(User, models.CASCADE, related_name="consents")
    document = models.CharField(max_length=7, choices=Document)
    version = models.CharField(max_length=20)
    given_at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["user", "document", "version"], name="consent_once")]

    def __str__(self) -> str:
        return f"{self.document} {self.version}"
