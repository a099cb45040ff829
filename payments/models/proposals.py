"""Four eyes: what one of staff proposes and another decides, wherever money or its rules are touched."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from wallet_project.kernel.ids import new_uuid, public_id


class Proposal(models.Model):
    """An act with money that waits for a second person. Whoever proposed it never decides it (a constraint)."""

    class Kind(models.TextChoices):
        REFUND = "REFUND", "give a top-up back"
        LIMIT = "LIMIT", "change a limit"
        HOLDING = "HOLDING", "change what a wallet may hold"

    class Status(models.TextChoices):
        PROPOSED = "PROPOSED"
        DONE = "DONE"
        REFUSED = "REFUSED", "by the second person, or when it was tried"
        EXPIRED = "EXPIRED"

    PREFIX: Final = "prp"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    subject = models.CharField(max_length=60, help_text="A public id of what it is about.")
    terms = models.JSONField(help_text="What exactly is to be done; strings.")
    reason = models.CharField(max_length=500)
    status = models.CharField(max_length=8, choices=Status, default=Status.PROPOSED)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision = models.CharField(max_length=500, blank=True, help_text="The second person's reason, or why it failed.")
    outcome = models.CharField(max_length=60, blank=True, help_text="A public id of what came of it.")

    class Meta:
        default_permissions = ("view",)
        permissions = [("decide_proposal", "Can decide what another of staff proposed")]
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("proposed_by")), name="proposal_four_eyes"
            ),
            models.CheckConstraint(
                condition=~Q(status="DONE") | Q(decided_by__isnull=False), name="proposal_done_by_two"
            ),
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(status="PROPOSED"), name="proposal_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.status}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)
