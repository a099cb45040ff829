"""Cases: what somebody must look at, each with its reason."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q

from ledger.models import Transaction
from payments.models.reconciliations import Reconciliation
from wallet_project.kernel.ids import new_uuid, public_id


class Case(models.Model):
    """
    One thing that the system could not decide or explain by itself. The support queue is the open ones.

    :ivar subject: what it is about, by its id at the gateway or ours.
    :ivar suggestion: what to post or do, in a sentence for support.
    """

    class Kind(models.TextChoices):
        MISSING_HERE = "MISSING_HERE", "the gateway has it, the ledger does not"
        MISSING_THERE = "MISSING_THERE", "the ledger has it, the gateway does not"
        AMOUNT = "AMOUNT", "the amounts differ"
        STATE = "STATE", "the states differ"
        UNKNOWN_OUTCOME = "UNKNOWN_OUTCOME", "nobody can say whether it happened"
        REFUND_FAILED = "REFUND_FAILED", "money could not be given back"
        CHARGEBACK_SHORTFALL = "CHARGEBACK_SHORTFALL", "disputed money that is not there any more"
        DIVERTED = "DIVERTED", "money whose wallet cannot take it, in suspense"
        FORGERY = "FORGERY", "somebody sent what the gateway did not sign"
        NOT_ME = "NOT_ME", "whoever was told of it says that it was not them"

    class State(models.TextChoices):
        OPEN = "OPEN"
        RESOLVED = "RESOLVED"

    PREFIX: Final = "cas"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    kind = models.CharField(max_length=20, choices=Kind)
    gateway = models.CharField(max_length=20, blank=True)
    subject = models.CharField(max_length=100)
    transaction = models.ForeignKey(Transaction, models.PROTECT, null=True, blank=True, related_name="cases")
    amount_here_minor = models.BigIntegerField(null=True, blank=True)
    amount_there_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    reason = models.CharField(max_length=300)
    suggestion = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    times = models.PositiveIntegerField(default=1, help_text="How often it has been found.")
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    resolution = models.CharField(max_length=300, blank=True)
    found_by = models.ForeignKey(
        Reconciliation, models.PROTECT, null=True, blank=True, related_name="cases", help_text="What found it first."
    )

    class Meta:
        default_permissions = ("view", "change")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "gateway", "subject"], condition=Q(state="OPEN"), name="case_open_once"
            ),
            models.CheckConstraint(
                condition=Q(state="OPEN", resolved_at__isnull=True) | Q(state="RESOLVED", resolved_at__isnull=False),
                name="case_resolved_at_a_time",
            ),
        ]
        indexes = [models.Index(fields=["opened_at"], condition=Q(state="OPEN"), name="case_queue")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)
