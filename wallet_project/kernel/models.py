"""The outbox: what must be told, written in the transaction that made it true."""

from django.db import models


class OutboxEvent(models.Model):
    """
    One for each (transaction, wallet, status reached); none for system wallets.

    The basement knows no app, so the ids are plain numbers. `lane` is hash(wallet) % 16: a relay owns
    whole lanes, and order is kept within one: by `number`, drawn under the wallet's lock. `sequence` is the
    entry's, where there is one.
    """

    pk = models.CompositePrimaryKey("transaction_id", "wallet_id", "status")
    number = models.BigIntegerField()
    event_id = models.UUIDField()
    transaction_id = models.BigIntegerField()
    wallet_id = models.BigIntegerField()
    lane = models.SmallIntegerField()
    status = models.CharField(max_length=7)
    sequence = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(lane__gte=0, lane__lt=16), name="outbox_lane"),
        ]
        indexes = [
            models.Index(
                fields=["lane", "number"], condition=models.Q(published_at__isnull=True), name="outbox_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.transaction_id} {self.status} for {self.wallet_id}"
