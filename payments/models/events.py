"""What a gateway told us."""

from typing import Final

from django.db import models
from django.db.models import Q


class WebhookEvent(models.Model):
    """
    What a gateway told us, as it told it (`payments.event_bodies`); kept for ever, for the event's id is all that stops
    a replay.
    """

    LONGEST_ID: Final = 100

    gateway = models.CharField(max_length=20)
    event_id = models.CharField(max_length=LONGEST_ID)
    name = models.CharField(max_length=60, blank=True)
    body = models.BinaryField()
    received_at = models.DateTimeField()
    due_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    processed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=40, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["gateway", "event_id"], name="webhook_event_once")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(processed_at__isnull=True), name="webhook_event_waiting")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.event_id}"
