"""That a day was held against the gateway's books, and what came of it."""

from django.db import models


class Reconciliation(models.Model):
    """
    One run over one day.

    :ivar totals: by kind (payments, refunds, payouts, disputes, settlements): counts and minor units, here and there.
    """

    gateway = models.CharField(max_length=20)
    date = models.DateField(help_text="A day of the wallet's time zone.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    totals = models.JSONField(default=dict)
    differences = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ("view",)
        indexes = [models.Index(fields=["date"], name="reconciliation_date")]

    def __str__(self) -> str:
        return f"{self.gateway} {self.date}"
