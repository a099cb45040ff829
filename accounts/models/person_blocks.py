"""Who does not want to hear of whom."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from wallet_project.kernel.ids import new_uuid, public_id


class PersonBlock(models.Model):
    """
    One person keeps another away: no transfers, no requests, no look-ups of their name (`payments.person_blocks`).

    It stands here, below wallets and payments, because the look-up of a payee reads it in its own query.
    """

    PREFIX: Final = "blk"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    blocker = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="people_blocked", db_index=False)
    blocked = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["blocker", "blocked"], name="personblock_once"),
            models.CheckConstraint(condition=~Q(blocker=F("blocked")), name="personblock_of_another"),
        ]

    def __str__(self) -> str:
        return f"{self.blocker_id} keeps {self.blocked_id} away"

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)
