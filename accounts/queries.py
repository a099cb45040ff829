"""Reads of people and their sessions."""

import uuid
from typing import Final

from accounts.addresses import Address
from accounts.models import Channel, InboxMessage, Session, User

MOST_INBOX_MESSAGES: Final = 200


def owner_of(address: Address) -> User | None:
    """Whoever verified this address, blocked or not; never a mere claimant."""
    if address.channel == Channel.EMAIL:
        return User.objects.filter(email=address.value, email_verified_at__isnull=False).first()
    return User.objects.filter(phone=address.value, phone_verified_at__isnull=False).first()


def newest_claimant_of(address: Address) -> User | None:
    """Whoever registered this address last, verified or not."""
    return User.objects.filter(**{address.channel.value: address.value}).order_by("-pk").first()


def session_with_user(session: uuid.UUID) -> Session | None:
    """A session, its user, and the user's actor, in one query: every authenticated request pays for it."""
    return Session.objects.select_related("user__actor").filter(uuid=session).first()


def newest_inbox_messages() -> list[InboxMessage]:
    """What the demo sent, newest first."""
    return list(InboxMessage.objects.order_by("-sent_at", "-id")[:MOST_INBOX_MESSAGES])
