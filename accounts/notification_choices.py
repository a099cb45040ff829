"""
Choosing by which channels one wants to hear of what (`accounts.notification_preferences`).

Whoever had taken an account over would first switch off what tells of the money: so that is told itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction

from accounts import audit, notices
from accounts.models import Notification, NotificationPreference, User
from accounts.notification_preferences import CHANNELS, ROW_NAMED, Channel, default_of, preferences_of
from wallet_project.kernel.errors import Refusal

KIND: Final = "notices.switched_off"
# Whoever goes through the boxes one by one is told once.
FOLDED_FOR: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody asks for; None leaves a channel as it is."""

    kind: str
    email: bool | None = None
    sms: bool | None = None
    push: bool | None = None


def choose(*, user: User, choices: Sequence[Choice], now: datetime) -> list[int]:
    """
    Set some of them; what is not named stays. Whoever switches a channel off is told so by every channel, once within
    minutes: the text names none of them, so that it holds for all.

    :returns: ids of the messages that now wait; the door wakes the sender.
    :raises Refusal: `invalid`: an unknown kind, or one named twice; `preference_locked`: a channel of a locked row is
        to be switched off. Then nothing is changed.
    """
    wanted: dict[tuple[str, str], bool] = {}
    seen: set[str] = set()
    for number, choice in enumerate(choices):
        field = f"preferences.{number}.kind"
        row = ROW_NAMED.get(choice.kind)
        if row is None:
            raise Refusal.of_field(field, "There is no such kind of notification.", "unknown_kind")
        if row.name in seen:
            raise Refusal.of_field(field, "This kind is named twice.", "repeated")
        seen.add(row.name)
        for channel in CHANNELS:
            is_on = getattr(choice, channel.value)
            if row.is_locked and is_on is False:
                raise Refusal(
                    "preference_locked",
                    "Notifications about your account’s safety cannot be switched off.",
                    errors=[
                        {"field": f"preferences.{number}.{channel.value}", "code": "locked", "detail": "Always on."}
                    ],
                )
            if is_on is not None and not row.is_locked:
                wanted[row.name, channel.value] = is_on
    with transaction.atomic():
        before = _on(user)
        _store(user, wanted)
        off = sorted(before - _on(user))
        if not off:
            return []
        audit.record(KIND, now=now, actor=user, subject=user, off=" ".join(off))
        told = Notification.objects.filter(user=user, kind="notices_changed", created_at__gt=now - FOLDED_FOR)
        return [] if told.exists() else notices.notify(user=user, kind="notices_changed", now=now)


def _on(user: User) -> set[str]:
    """What is on, as `row.channel`."""
    return {
        f"{each.row.name}.{channel}" for each in preferences_of(user=user) for channel, _, is_on in each.boxes if is_on
    }


def _store(user: User, wanted: Mapping[tuple[str, str], bool]) -> None:
    """Only what departs from the default is kept, so that a better default reaches whoever chose nothing."""
    departing = {place: is_on for place, is_on in wanted.items() if is_on != default_of(Channel(place[1]), user)}
    for kind, channel in wanted.keys() - departing.keys():
        NotificationPreference.objects.filter(user=user, kind=kind, channel=channel).delete()
    rows: list[Any] = [
        NotificationPreference(user=user, kind=kind, channel=channel, is_on=is_on)
        for (kind, channel), is_on in sorted(departing.items())
    ]
    NotificationPreference.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["user", "kind", "channel"], update_fields=["is_on"]
    )
