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
    publications = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="How often it was published.")
    settled_at = models.DateTimeField(null=True, help_text="When every registered group was seen to have recorded it.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(lane__gte=0, lane__lt=16), name="outbox_lane"),
        ]
        indexes = [
            models.Index(
                fields=["lane", "number"], condition=models.Q(published_at__isnull=True), name="outbox_waiting"
            ),
            models.Index(
                fields=["published_at"],
                condition=models.Q(published_at__isnull=False, settled_at__isnull=True),
                name="outbox_unsettled",
            ),
            models.Index(fields=["settled_at"], condition=models.Q(settled_at__isnull=False), name="outbox_settled"),
        ]

    def __str__(self) -> str:
        return f"{self.transaction_id} {self.status} for {self.wallet_id}"


class ConsumerGroup(models.Model):
    """A group that is owed every event since it registered, which it does when it first runs."""

    name = models.CharField(max_length=40, unique=True)
    registered_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class ConsumedEvent(models.Model):
    """That a group has done with an event: written in the transaction of its effect, so that it has one effect."""

    pk = models.CompositePrimaryKey("group_id", "event_id")
    group = models.ForeignKey(ConsumerGroup, models.PROTECT, related_name="+", db_index=False)
    event_id = models.UUIDField()
    is_dead = models.BooleanField(default=False, db_default=False, help_text="It went to the dead letters instead.")
    recorded_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["event_id"], name="consumed_event")]

    def __str__(self) -> str:
        return f"{self.event_id} by {self.group_id}"


class DeadLetter(models.Model):
    """
    An event that a group could not take in, however often it tried; it waits for `replay_dead_letters`,
    until it is replayed or discarded.

    Also published to the group's dead-letter topic; this row is the truth, for a broker may lose its memory.
    """

    group = models.ForeignKey(ConsumerGroup, models.PROTECT, related_name="dead_letters", db_index=False)
    event_id = models.UUIDField(help_text="Of bytes that are no event: made from where they lay.")
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    value = models.BinaryField()
    cause = models.CharField(max_length=500)
    tries = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    replayed_at = models.DateTimeField(null=True)
    discarded_at = models.DateTimeField(null=True, help_text="When it was given up: it is never to be taken in.")
    discard_reason = models.CharField(max_length=200, default="", db_default="")

    class Meta:
        default_permissions = ("view",)
        permissions = [("replay_deadletter", "Can have a dead letter taken in again")]
        constraints = [models.UniqueConstraint(fields=["group", "event_id"], name="dead_letter_once")]
        indexes = [
            models.Index(
                fields=["created_at"], condition=models.Q(replayed_at__isnull=True), name="dead_letter_waiting"
            )
        ]

    def __str__(self) -> str:
        return str(self.event_id)


class ConsumerProgress(models.Model):
    """How far a group is in a partition, as its member says every few seconds. Only metrics read it."""

    pk = models.CompositePrimaryKey("group_id", "partition")
    group = models.ForeignKey(ConsumerGroup, models.CASCADE, related_name="+", db_index=False)
    partition = models.IntegerField()
    position = models.BigIntegerField()
    end = models.BigIntegerField(help_text="The partition's high watermark.")
    said_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.group_id} at {self.position} of {self.end} in {self.partition}"
