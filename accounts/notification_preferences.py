"""
What people want to hear of outside the app, and how: by rows that they understand, each of several kinds.

The app itself tells everything. Only what departs from a default is stored. What touches the account's safety cannot
be switched off: whoever had taken an account over would do that first.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from accounts.messages import NOTICES
from accounts.models import NotificationPreference, User

Channel = NotificationPreference.Channel
CHANNELS: Final = tuple(Channel)
_WORDS: Final = {Channel.EMAIL: "E-mail", Channel.SMS: "SMS", Channel.PUSH: "Push"}
_Chosen = Mapping[tuple[str, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    :ivar name: stable; what the API calls its kind.
    :ivar kinds: of notifications (`accounts.notification_texts`).
    :ivar is_locked: all channels, always.
    """

    name: str
    label: str
    hint: str
    kinds: frozenset[str]
    is_locked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A row as it holds for one person. `sms` without a choice of theirs: only who has no e-mail address."""

    row: Row
    email: bool
    sms: bool
    push: bool

    @property
    def boxes(self) -> list[tuple[str, str, bool]]:
        """Of each channel its name, what people call it, and whether it is on."""
        return [(channel.value, _WORDS[channel], bool(getattr(self, channel.value))) for channel in CHANNELS]


def _row(name: str, label: str, hint: str, *kinds: str) -> Row:
    return Row(name=name, label=label, hint=hint, kinds=frozenset(kinds))


ROWS: Final = (
    Row(
        name="security",
        label="Your account’s safety",
        hint="New devices, passwords, second factors, addresses, blocks and limits. Always told.",
        kinds=frozenset(NOTICES),
        is_locked=True,
    ),
    _row("money_in", "Money that comes in", "What others send or pay you.", "money_in"),
    _row("money_out", "Money that goes out", "What you send or pay.", "money_out"),
    _row("topups", "Money that you add", "Whether it arrived.", "topup_succeeded", "topup_failed"),
    _row(
        "withdrawals",
        "Withdrawals",
        "When they leave, arrive or come back.",
        *("withdrawal_sent", "withdrawal_succeeded", "withdrawal_failed"),
    ),
    _row("refunds", "Refunds", "Money given back, to you or by you.", "refund"),
    _row("requests", "Money asked back", "When a payment went to the wrong person.", "money_back"),
    _row("limits", "Limits", "When a payment was stopped by one.", "limit_hit"),
    _row("webhooks", "A shop’s webhooks", "When one was switched off.", "webhook_disabled"),
)
ROW_NAMED: Final = {row.name: row for row in ROWS}
ROW_OF_KIND: Final = {kind: row for row in ROWS for kind in row.kinds}


def preferences_of(*, user: User) -> list[Preference]:
    """All rows as they hold for this person, in the order in which they are shown."""
    chosen = _chosen([user.pk]).get(user.pk, {})
    return [
        Preference(row=row, **{channel.value: _is_on(row, channel, user, chosen) for channel in CHANNELS})
        for row in ROWS
    ]


def channels_for(*, wanted: Iterable[tuple[User, str]]) -> list[frozenset[Channel]]:
    """
    By which channels each of these people hears of that kind of notification; one query for all.

    Whether there is an address or a device to send it to is for `accounts.outgoing` to see.
    """
    pairs = list(wanted)
    chosen = _chosen({user.pk for user, _ in pairs})
    return [
        frozenset(channel for channel in CHANNELS if _is_on(ROW_OF_KIND[kind], channel, user, chosen.get(user.pk, {})))
        for user, kind in pairs
    ]


def _is_on(row: Row, channel: Channel, user: User, chosen: _Chosen) -> bool:
    if row.is_locked:
        return True
    return chosen.get((row.name, channel.value), default_of(channel, user))


def default_of(channel: Channel, user: User) -> bool:
    """An SMS costs money and interrupts: only where there is no e-mail address to write to."""
    if channel == Channel.SMS:
        return user.email is None or user.email_verified_at is None
    return True


def _chosen(users: Collection[int]) -> dict[int, dict[tuple[str, str], bool]]:
    found: dict[int, dict[tuple[str, str], bool]] = {}
    rows = NotificationPreference.objects.filter(user__in=users)
    for user, kind, channel, is_on in rows.values_list("user", "kind", "channel", "is_on"):
        found.setdefault(user, {})[kind, channel] = is_on
    return found
