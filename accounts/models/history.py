"""What is on record for ever: who was blocked and why, and everything that touches security."""

from django.db import models
from django.db.models import Q

from accounts.models.people import User


class StatusChange(models.Model):
    """Who blocked or unblocked whom, and why. Append-only: the application may insert and read."""

    user = models.ForeignKey(User, models.PROTECT, related_name="status_changes")
    by = models.ForeignKey(User, models.PROTECT, related_name="status_changes_made")
    status = models.CharField(max_length=7, choices=User.Status, help_text="The status from then on.")
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="status_change_has_a_reason")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.status}"


class SecurityEvent(models.Model):
    """
    The security audit log: who did what, to whom, from where, and with what result. Append-only.

    `kind` is a dotted name (`sign_in`, `factor.enrolled`, `person.blocked`, `wallet.frozen` …). The people are named by
    key without a constraint: the log outlives registrations that came to nothing. `details` holds ids and words, never
    a secret, a code or an address in full.
    """

    class Result(models.TextChoices):
        DONE = "DONE"
        REFUSED = "REFUSED"

    kind = models.CharField(max_length=40)
    result = models.CharField(max_length=7, choices=Result)
    reason = models.CharField(max_length=500, blank=True, help_text="Why it was done or refused.")
    actor = models.ForeignKey(User, models.DO_NOTHING, null=True, blank=True, related_name="+", db_constraint=False)
    subject = models.ForeignKey(User, models.DO_NOTHING, null=True, blank=True, related_name="+", db_constraint=False)
    object = models.CharField(max_length=60, blank=True, help_text="A public id of what it was done to.")
    address = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    details = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["created_at"], name="security_event_time"),
            models.Index(fields=["subject", "created_at"], name="security_event_subject"),
            models.Index(fields=["actor", "created_at"], name="security_event_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.result}"
