"""What merchants' own servers are told, where, and how each try went. What gateways tell us is in `events`."""

from typing import Final

from django.db import models
from django.db.models import Q

from wallet_project.kernel.ids import new_uuid, public_id
from wallet_project.kernel.public_addresses import LONGEST_URL
from wallets.models import Wallet


class WebhookEndpoint(models.Model):
    """
    An address that a merchant wants to be told at.

    Its secrets are sealed: they sign, so that they must be read. After a rotation the previous one signs beside the
    current until `previous_until`. A removed one has neither address nor secrets, and goes with the purge.
    """

    class State(models.TextChoices):
        ACTIVE = "ACTIVE", "is told"
        DISABLED = "DISABLED", "switched off"
        REMOVED = "REMOVED"

    class Reason(models.TextChoices):
        NONE = ""
        OWNER = "OWNER", "by its owner"
        GONE = "GONE", "it answered that it is gone (410)"
        FAILING = "FAILING", "it took nothing for days"

    PREFIX: Final = "whk"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="webhook_endpoints", db_index=False)
    url = models.CharField(max_length=LONGEST_URL, blank=True)
    types = models.JSONField(default=list, help_text="Of the events that it is told.")
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE)
    reason = models.CharField(max_length=7, choices=Reason, default=Reason.NONE, blank=True)
    state_changed_at = models.DateTimeField()
    secret_sealed = models.BinaryField()
    previous_sealed = models.BinaryField(default=b"")
    previous_until = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True, help_text="First failure since it last took something.")
    silences = models.PositiveSmallIntegerField(default=0, help_text="Times in a row that it answered late or not.")
    paused_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=(Q(state="REMOVED", url="", secret_sealed=b"", previous_sealed=b""))
                | (~Q(state="REMOVED") & ~Q(url="") & ~Q(secret_sealed=b"")),
                name="webhook_endpoint_removed_is_empty",
            ),
            models.CheckConstraint(
                condition=Q(state="DISABLED") & ~Q(reason="") | ~Q(state="DISABLED") & Q(reason=""),
                name="webhook_endpoint_reason_exactly_if_disabled",
            ),
        ]
        indexes = [models.Index(fields=["wallet"], condition=~Q(state="REMOVED"), name="webhook_endpoint_wallet")]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)


class WebhookMessage(models.Model):
    """
    One event for one endpoint. `body` is what is signed and sent, the same in every try, as is its id (`webhook-id`).

    While it waits, `next_attempt_at` says when it is sent next; whoever sends it claims it until `claimed_until`.
    """

    class State(models.TextChoices):
        WAITING = "WAITING"
        DELIVERED = "DELIVERED"
        GIVEN_UP = "GIVEN_UP", "given up"

    PREFIX: Final = "msg"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, models.PROTECT, related_name="messages", db_index=False)
    event_id = models.UUIDField(help_text="The event's in the outbox; of a test event one of its own.")
    type = models.CharField(max_length=40)
    body = models.TextField()
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0, help_text="Since it was registered, or sent again by hand.")
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="webhook_message_once"),
            models.CheckConstraint(
                condition=Q(state="WAITING", next_attempt_at__isnull=False, ended_at__isnull=True)
                | (~Q(state="WAITING") & Q(next_attempt_at__isnull=True, ended_at__isnull=False)),
                name="webhook_message_waits_or_has_ended",
            ),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "next_attempt_at"], condition=Q(state="WAITING"), name="webhook_message_due"
            ),
            models.Index(fields=["endpoint", "-id"], name="webhook_message_newest"),
            models.Index(fields=["created_at"], name="webhook_message_age"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)


class WebhookAttempt(models.Model):
    """One try: what went out beside the message's body, and what came back, or why nothing did. Never changed."""

    message = models.ForeignKey(WebhookMessage, models.PROTECT, related_name="attempts")
    at = models.DateTimeField()
    url = models.CharField(max_length=LONGEST_URL)
    request_headers = models.JSONField(default=dict)
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Null where nobody answered.")
    response_headers = models.JSONField(default=dict, help_text="The few that say something.")
    response_body = models.TextField(blank=True, help_text="Its beginning.")
    error = models.CharField(max_length=20, blank=True, help_text="A word of ours, where nobody answered.")
    milliseconds = models.PositiveIntegerField()

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.status or self.error} for {self.message_id}"
