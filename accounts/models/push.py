"""Browsers that their people let us wake."""

import base64
from typing import Final

from django.db import models

from accounts.models.people import User
from accounts.models.sessions import Session
from wallet_project.kernel.ids import new_uuid, public_id


class PushSubscription(models.Model):
    """
    Where a browser is reached, and the keys that only it can read with (RFC 8291).

    Made in a page session: whoever ends that session, as a new password ends them all, ends this with it, so that
    nobody goes on hearing of an account that was taken back from them.
    """

    PREFIX: Final = "psh"

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="push_subscriptions")
    session = models.ForeignKey(Session, models.SET_NULL, null=True, related_name="push_subscriptions")
    endpoint = models.CharField(max_length=500)
    digest = models.BinaryField(max_length=32, unique=True, help_text="SHA-256 of the endpoint.")
    p256dh = models.CharField(max_length=100)
    auth = models.CharField(max_length=30)
    label = models.CharField(max_length=100, blank=True, help_text="What the browser says it is.")
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.uuid)

    @property
    def digest_text(self) -> str:
        """By which a browser's script finds its own."""
        return base64.urlsafe_b64encode(bytes(self.digest)).rstrip(b"=").decode()
