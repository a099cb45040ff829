"""Messages that must go out, the codes in them, and how often somebody tried."""

from django.db import models
from django.db.models import Q

from accounts.models.people import User


class OutgoingMessage(models.Model):
    """
    A message that must go out to an address: a code for one purpose, or a word that something happened.

    The row is the promise; the queue is only a wake-up. While `sent_at` and `given_up_at` are null a sweep sends it.
    A code is made when it is sent, so that no code in clear ever rests in the database or in a queue.
    """

    class Purpose(models.TextChoices):
        CODE = "CODE", "a code that proves a registration's address"
        TAKEN = "TAKEN", "a word to the owner of an address that somebody tried to register"
        RESET = "RESET", "a code for a new password"
        STEP_UP = "STEP_UP", "a code for one payment"
        ADDRESS = "ADDRESS", "a code that proves a person's further or changed address"
        NOTICE = "NOTICE", "a word about what happened to the account; `details` or `notification` says what"

    class By(models.TextChoices):
        EMAIL = "email", "e-mail"
        PHONE = "phone", "SMS"
        PUSH = "push", "web push"

    user = models.ForeignKey(User, models.CASCADE, related_name="verifications")
    purpose = models.CharField(max_length=7, choices=Purpose, default=Purpose.CODE)
    channel = models.CharField(max_length=5, choices=By)
    address = models.CharField(max_length=254, help_text="Of a push: its subscription's public id.")
    details = models.JSONField(default=dict, blank=True, help_text="What its text names. Never a code or a secret.")
    notification = models.ForeignKey(
        "accounts.Notification", models.SET_NULL, null=True, blank=True, related_name="messages", db_index=False
    )
    requested_at = models.DateTimeField()
    next_at = models.DateTimeField(null=True, help_text="When a sweep takes it up; null: the next one.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often a sender took it up.")
    sent_at = models.DateTimeField(null=True)
    provider_id = models.CharField(max_length=255, db_default="", help_text="What the provider calls it.")
    given_up_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=60, db_default="", help_text="A word of ours; names nobody.")

    class Meta:
        db_table = "accounts_verification"  # what it was first called
        default_permissions = ("view",)
        permissions = [("resend_outgoingmessage", "Can have a message sent that was given up")]
        indexes = [
            models.Index(fields=["address", "requested_at"], name="verification_address"),
            models.Index(fields=["user", "requested_at"], name="outgoing_lately"),
            models.Index(
                fields=["next_at"], condition=Q(sent_at__isnull=True, given_up_at__isnull=True), name="outgoing_due"
            ),
            models.Index(fields=["given_up_at"], condition=Q(given_up_at__isnull=False), name="outgoing_given_up"),
            models.Index(fields=["notification"], condition=Q(notification__isnull=False), name="outgoing_tells_of"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} by {self.channel} for {self.user_id}"


class VerificationCode(models.Model):
    """
    One code that was sent. `digest` is HMAC-SHA256 under CODE_PEPPER: six digits have no other hiding place.

    Delivery is asynchronous, so an earlier code stays good until it expires; all of them die on success.
    """

    verification = models.ForeignKey(OutgoingMessage, models.CASCADE, related_name="codes")
    digest = models.BinaryField(max_length=32)
    failures = models.PositiveSmallIntegerField(default=0)
    expires_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"code {self.pk} of {self.verification_id}"


class AddressTries(models.Model):
    """A counter in a window of time, one for each thing counted; committed apart from what it guards."""

    class Kind(models.TextChoices):
        CODE = "CODE", "codes tried at an address"
        SENT = "SENT", "messages sent to an address"
        RESET = "RESET", "codes for a new password tried at an address"
        STEP_UP = "STEP_UP", "wrong codes for payments, of a person"
        ADDRESS = "ADDRESS", "wrong codes for a changed address, of a person"
        FACTOR = "FACTOR", "wrong second factors, of a person"
        PASSWORD = "PASSWORD", "wrong passwords of a person who is signed in"
        PASSKEY = "PASSKEY", "answers to a passkey's challenge"

    kind = models.CharField(max_length=8, choices=Kind)
    address = models.CharField(max_length=254)
    count = models.PositiveIntegerField(default=0)
    window_started_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["kind", "address"], name="tries_one_counter")]
        indexes = [models.Index(fields=["window_started_at"], name="tries_window")]

    def __str__(self) -> str:
        return f"{self.count} {self.kind}"


class InboxMessage(models.Model):
    """A message of the local demo, where `inbox:` stands in for the mail server and the SMS provider."""

    channel = models.CharField(max_length=5, choices=[("email", "email"), ("sms", "sms")])
    to = models.CharField(max_length=254)
    subject = models.CharField(max_length=200, blank=True)
    text = models.TextField()
    sent_at = models.DateTimeField()
    message = models.BigIntegerField(
        null=True, help_text="The OutgoingMessage that it is; sent twice, it is here once."
    )

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["message"], condition=Q(message__isnull=False), name="inbox_once")
        ]
        indexes = [models.Index(fields=["-sent_at", "-id"], name="inbox_newest")]

    def __str__(self) -> str:
        return f"{self.channel} to {self.to}"
