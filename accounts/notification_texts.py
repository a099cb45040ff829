"""
What a notification says: a title and a text, in plain words, composed once from its kind and its details.

Every name and other word of somebody's goes through `messages.plain`, and amounts come grouped (`Money.spelled`), so
that no text holds a run of six digits: it may leave as an e-mail, an SMS or a push as it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from accounts.messages import NOTICES, notice_message, plain

LONGEST_TITLE: Final = 120
LONGEST_TEXT: Final = 1000
_LONGEST_REASON: Final = 200


@dataclass(frozen=True, slots=True)
class Words:
    title: str
    text: str


# kind -> how it came about -> (title, text). `{amount}` and `{name}` are details; what is not given stands empty.
_TEXTS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "money_in": {
        "transfer": ("{amount} from {name}", "{name} sent you {amount}."),
        "pay": ("{amount} from {name}", "{name} paid {amount} to {place}."),
        "adjustment": ("{amount} came in", "Wallet support put {amount} into {place}."),
        "back": ("{amount} came back", "{amount} came back into {place}."),
        "": ("{amount} came in", "{amount} came into {place}."),
    },
    "money_out": {
        "transfer": ("{amount} to {name}", "You sent {amount} to {name}."),
        "pay": ("{amount} to {name}", "You paid {amount} to {name}."),
        "chargeback": (
            "{amount} was taken back by a bank",
            "Whoever paid {amount} into {place} asked their bank for it, and their bank decided for them.",
        ),
        "fee": ("A fee of {amount}", "A fee of {amount} was taken from {place}."),
        "adjustment": ("{amount} went out", "Wallet support took {amount} out of {place}."),
        "back": ("{amount} went back to {name}", "{amount} went back to {name}."),
        "": ("{amount} went out", "{amount} went out of {place}."),
    },
    "topup_succeeded": {"": ("{amount} was added", "{amount} that you paid is in {place}.")},
    "topup_failed": {
        "": ("{amount} was not added", "{amount} is not in {place}. {reason}"),
    },
    "withdrawal_sent": {
        "": ("{amount} is on its way to your bank", "{amount} left {place} and is on its way to your bank."),
    },
    "withdrawal_succeeded": {"": ("{amount} arrived at your bank", "Your bank has the {amount} that you withdrew.")},
    "withdrawal_failed": {
        "": ("Your withdrawal of {amount} came back", "{reason} All of the {amount} is back in {place}."),
        "sent_back": (
            "Your withdrawal of {amount} came back",
            "It had arrived, and your bank sent it back. All of the {amount} is in {place} again.",
        ),
    },
    "refund": {
        "in": ("{name} gave {amount} back", "{name} gave {amount} back to you. It is in {place}."),
        "in_nameless": ("{amount} was given back to you", "{amount} was given back to you. It is in {place}."),
        "out": ("{amount} back to {name}", "You gave {amount} back to {name}."),
        "to_source": (
            "{amount} goes back to where it came from",
            "{amount} left {place}, back to where it was paid from. Banks take minutes, sometimes days, to show it.",
        ),
        "came_back": (
            "A refund of {amount} came back",
            "The bank that {amount} was to go back to would not have it. All of it is back in {place}.",
        ),
    },
    "limit_hit": {
        "": (
            "{amount} is past a limit",
            "A payment of {amount} was not made, for it is past a limit of {place}. Nothing was moved. Your limits are "
            "shown with your account.",
        ),
    },
    "money_back": {
        "asked": (
            "{name} asks for {amount} back",
            "{name} says that they sent you {amount} by mistake{note}. You may give it back with one tap, set it "
            "aside, or say no.",
        ),
        "held": (
            "{name} has set {amount} aside",
            "{name} has set {amount} aside for you until it is decided.",
        ),
        "declined": (
            "{name} will not give {amount} back",
            "{name} will not give the {amount} back that you asked for. Our support can help.",
        ),
        "expired": (
            "No answer about {amount}",
            "{name} did not answer in time about the {amount} that you asked for. Our support can help.",
        ),
        "closed": (
            "Our support closed what you asked for",
            "Our support has closed your request to {name} to give {amount} back. They can tell you why.",
        ),
        "withdrawn": (
            "{name} no longer asks for {amount} back",
            "{name} does not ask for {amount} back any more. There is nothing to do.",
        ),
    },
    "webhook_disabled": {
        "": (
            "A webhook of {place} was switched off",
            "The address {name} of {place} is sent no more events. {reason} Look at it, and switch it on again.",
        ),
    },
}
KINDS: Final = frozenset(_TEXTS) | frozenset(NOTICES)


def words_of(*, kind: str, details: Mapping[str, str]) -> Words:
    """
    :param kind: one of `KINDS`.
    :param details: `how` (or `step`, of a request) chooses among a kind's texts; `amount`, as `Money.spelled`; `name`,
        of the other side as the reader may see it; `place`, of one's own several wallets; `reason`, a sentence; `note`,
        the other side's words. Of a notice: what `notify` takes.
    :raises KeyError: an unknown kind, or way of it.
    """
    if kind in NOTICES:
        message = notice_message(details={**details, "kind": kind})
        return Words(message.subject[:LONGEST_TITLE], message.text[:LONGEST_TEXT])
    title, text = _TEXTS[kind][details.get("how") or details.get("step") or ""]
    note = plain(details.get("note", ""), longest=_LONGEST_REASON)
    given = {
        "note": f": “{note}”" if note else "",
        "amount": plain(details.get("amount", "")),
        "name": plain(details.get("name", "")) or "Somebody",
        "place": plain(details.get("place", "")) or "your wallet",
        "reason": plain(details.get("reason", ""), longest=_LONGEST_REASON),
    }
    # A masked name ends in a dot of its own.
    title, text = (" ".join(words.format(**given).split()).replace("..", ".") for words in (title, text))
    return Words(title[:LONGEST_TITLE], text[:LONGEST_TEXT])
