"""The texts that people get about their account. A code is its message's only run of six to eight digits."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from accounts.letters import Code, Fact, Link, Message, Piece, Words, message_of
from accounts.verification import CODE_LIFETIME

# A registration's name is a stranger's words in somebody's mailbox: no digits, and no dot that could make a link.
_MARKS_IN_NAMES: Final = " .'’-\u200c\u200d"
_LONGEST_GREETED_NAME: Final = 40
# Of what a text names beside the greeting: devices, payees, amounts. Nothing that makes a link or an address.
_MARKS_IN_DETAILS: Final = _MARKS_IN_NAMES + ",•…()₹%&:"
_LONGEST_DETAIL: Final = 60
_LONGEST_REASON: Final = 200
_MINUTES: Final = int(CODE_LIFETIME.total_seconds() // 60)

_IF_NOT_YOU: Final = "If it was not you, change your password at once and write to support."
_ASK_SUPPORT: Final = "If you did not expect this, write to support."

# kind -> (subject, what happened, what to do). Neither holds a digit.
NOTICES: Final[dict[str, tuple[str, str, str]]] = {
    "new_device": (
        "A new device signed in to your wallet",
        "Somebody signed in to your wallet from a device that it had not seen before.",
        "If it was you, there is nothing to do. " + _IF_NOT_YOU,
    ),
    "session_reuse": (
        "We ended a sign-in of your wallet",
        "One sign-in of your wallet was used from two places, as a stolen copy would be. We ended it.",
        "Sign in again. If you do not know why this happened, change your password and write to support.",
    ),
    "password_changed": (
        "Your wallet's password was changed",
        "The password of your wallet was changed, and every device was signed out.",
        "If it was not you, ask for a new password on the sign-in page at once and write to support.",
    ),
    "factor_changed": (
        "Your wallet's second factor was changed",
        "How you prove that it is you, beside your password, was changed.",
        _IF_NOT_YOU,
    ),
    "address_changed": (
        "An address of your wallet was changed",
        "An address of your wallet was added or changed.",
        _IF_NOT_YOU,
    ),
    "address_removed": (
        "An address of your wallet was removed",
        "An address of your wallet was removed.",
        _IF_NOT_YOU,
    ),
    "address_undone": (
        "A change of your wallet's addresses was undone",
        "Somebody followed the link in our message, and an address of your wallet is again what it was.",
        "Every device was signed out. " + _IF_NOT_YOU,
    ),
    "hold_lifted": (
        "Your wallet may make large payments again",
        "After an address of your wallet was changed, support let large payments pass again.",
        _ASK_SUPPORT,
    ),
    "blocked": (
        "Your wallet account was blocked",
        "Your account was blocked, and every device was signed out. The money in your wallet stays yours.",
        "Write to support to hear what to do.",
    ),
    "unblocked": (
        "Your wallet account is open again",
        "Your account is no longer blocked. You can sign in again.",
        _ASK_SUPPORT,
    ),
    "wallet_frozen": (
        "Your wallet was frozen",
        "Your wallet was frozen: nothing leaves it until that is lifted. The money in it stays yours.",
        "Write to support to hear what to do.",
    ),
    "not_me": (
        "Your wallet is stopped, and everybody was signed out",
        "Somebody said, of a message of ours, that it was not them: by its link, or signed in to your wallet. So "
        "nothing leaves your wallet until our support has spoken to you. The money in it stays yours.",
        "Choose a new password now. If you did not say that, write to support.",
    ),
    "wallet_unfrozen": (
        "Your wallet is no longer frozen",
        "Your wallet is no longer frozen: you can pay from it again.",
        _ASK_SUPPORT,
    ),
    "limits_raised": (
        "A limit of your wallet was raised",
        "A limit on what your wallet may pay or hold was raised.",
        _IF_NOT_YOU,
    ),
    "notices_changed": (
        "Messages about your wallet were switched off",
        "Some of the messages that tell you what happens in your wallet were switched off. The wallet itself still "
        "shows everything.",
        "Look at your notification settings. " + _IF_NOT_YOU,
    ),
    "kyc_decided": (
        "We looked at your identity documents",
        "What you sent us to prove who you are was decided about.",
        _ASK_SUPPORT,
    ),
    "account_closed": (
        "Your wallet account was closed",
        "Your account was closed, and what we need not keep was erased.",
        "If it was not you, write to support at once.",
    ),
    "lost_factor_asked": (
        "Somebody says that your second factor is lost",
        "Somebody who knows your password says that they can no longer show your second factor, and asked support to "
        "take it away. Support looks at who they are first.",
        "If it was not you, sign in with your second factor: that stops it. Then change your password.",
    ),
    "lost_factor_ready": (
        "Your wallet's second factor is about to be taken away",
        "Support believes that your second factor is lost. It is taken away once a day has passed.",
        "If it was not you, sign in with your second factor before then: that stops it. Then change your password.",
    ),
    "lost_factor_refused": (
        "Your wallet's second factor stays as it is",
        "Support could not see that your second factor is lost, or that it was you who asked. Nothing was changed.",
        _IF_NOT_YOU,
    ),
    "lost_factor_stopped": (
        "Your wallet's second factor stays as it is",
        "Somebody followed the link in our message, so your second factor is not taken away.",
        "Whoever asked for it knows your password: if it was not you, change it at once.",
    ),
}
# What stands for all that is folded (`accounts.outgoing`); no kind of notification.
MORE: Final = "more"
# Of these the wallet or the account is stopped already.
WITHOUT_NOT_ME: Final = frozenset({"not_me", "wallet_frozen", "blocked", "account_closed"})
# What a notice says of its details, in this order.
_LABELS: Final[dict[str, str]] = {
    "change": "What",
    "decision": "Decision",
    "limit": "Limit",
    "amount": "Amount",
    "device": "Device",
    "address": "From",
    "at": "When",
    "reason": "Reason",
}


def code_message(*, full_name: str, code: str, registered: str = "") -> Message:
    """
    The name and the time tell whose registration this is: somebody else may have claimed the reader's address.

    :param registered: when, in words, where there are other registrations.
    """
    others = (
        f"This code is for the registration of {registered}, and this address was registered more than once: if that "
        "was not you, do not use it, and use the code of your own registration."
    )
    return message_of(
        "Your wallet code",
        [
            Words(f"{_greeting(full_name)}your wallet code is"),
            Code(code),
            Words(f"It is good for {_MINUTES} minutes."),
            *([Words(others)] if registered else []),
            Words("Nobody of ours will ever ask you for it. If you did not register, ignore this message."),
        ],
    )


def taken_message() -> Message:
    """Names nobody: whoever tried is not to be believed."""
    return message_of(
        "Somebody tried to register with your address",
        [
            Words(
                "Somebody tried to open a wallet with this address, or to add it to theirs; it already has one. If it "
                "was you, sign in instead. If not, there is nothing to do: your wallet and your password are as they "
                "were."
            )
        ],
    )


def reset_message(*, full_name: str, code: str, link: str) -> Message:
    """
    :param link: where a new password is set without the code (`accounts.reset_links`).
    """
    return message_of(
        "Your code for a new wallet password",
        [
            Words(f"{_greeting(full_name)}your code for a new wallet password is"),
            Code(code),
            Words(f"It is good for {_MINUTES} minutes."),
            Link("Or follow this link within an hour, without the code", "Set a new password", link),
            Words(
                "Nobody of ours will ever ask you for either. If you did not ask for it, ignore this message: your "
                "password is as it was."
            ),
        ],
    )


def step_up_message(*, details: Mapping[str, str], code: str) -> Message:
    """Whoever is talked into reading the code to somebody reads first what it pays, and to whom."""
    payee = plain(details.get("payee", "")) or "a payee"
    return message_of(
        "Your code for a payment",
        [
            Words(f"To pay {plain(details.get('amount', ''))} to {payee}, use the code"),
            Code(code, f" within {_MINUTES} minutes."),
            Words(
                "Never tell anybody this code: whoever asks for it wants your money. If you are not paying this, "
                "change your password at once."
            ),
        ],
    )


def address_message(*, full_name: str, code: str) -> Message:
    """To somebody who may not know us: their address was typed into a wallet."""
    return message_of(
        "Your code to confirm this address",
        [
            Words(f"{_greeting(full_name)}your code to use this address with your wallet is"),
            Code(code),
            Words(
                f"It is good for {_MINUTES} minutes. Nobody of ours will ever ask you for it. If you did not ask for "
                "it, ignore this message: without the code nothing happens."
            ),
        ],
    )


def own_address_message(*, details: Mapping[str, str], code: str) -> Message:
    """To an address that is the person's: whoever is talked into reading the code out reads first what it is for."""
    return message_of(
        "Your code to change an address of your wallet",
        [
            Words(f"Somebody who knows your password asked for this: {plain(details['change'])}."),
            Words("To agree, use the code"),
            Code(code, f" within {_MINUTES} minutes."),
            Words(
                "Never tell anybody this code: whoever asks for it wants your wallet. If it was not you, change your "
                "password at once."
            ),
        ],
    )


def notice_message(*, details: Mapping[str, str], undo_link: str = "", not_me_link: str = "") -> Message:
    """
    What happened, what is known of it, and what to do if it was somebody else.

    :param undo_link: a web address where it can be undone; made by us, with no digits worth mistaking for a code.
    :param not_me_link: likewise, where whoever did not do it stops the wallet (`accounts.not_me_links`).
    """
    subject, happened, advice = NOTICES[details["kind"]]
    known: list[Piece] = [
        Fact(label, plain(details[name], longest=_LONGEST_REASON if name == "reason" else _LONGEST_DETAIL))
        for name, label in _LABELS.items()
        if details.get(name)
    ]
    if undo_link:
        known.append(Link(f"Until {plain(details['until'])} you can undo it, without signing in", "Undo it", undo_link))
    return message_of(subject, [Words(happened), *known, Words(advice), *_not_me(not_me_link)])


def told_message(*, title: str, text: str, not_me_link: str = "") -> Message:
    """A notification as the app shows it: its words were made harmless when it was composed."""
    return message_of(title, [Words(text), *_not_me(not_me_link)])


def more_message() -> Message:
    """In place of many."""
    return message_of(
        "More happened in your wallet",
        [
            Words(
                "More happened in your wallet than we send messages about, one by one. Your notifications in the "
                "wallet show all of it."
            )
        ],
    )


def _not_me(link: str) -> list[Piece]:
    words = "If this was not you, stop your wallet here, without signing in"
    return [Link(words, "This wasn’t me", link)] if link else []


def plain(text: str, *, longest: int = _LONGEST_DETAIL) -> str:
    """
    Somebody's words made harmless: no long run of digits that could pass for a code, nothing that makes a link.

    "Chrome/20100101 at evil.example" becomes "Chrome …0101 at evil. example".
    """
    kept = "".join(
        letter if unicodedata.category(letter)[0] in "LMN" or letter in _MARKS_IN_DETAILS else " " for letter in text
    )
    kept = re.sub(r"\d{6,}", lambda run: f"…{run[0][-4:]}", kept)
    # An amount and an IP address keep their dots; a host name does not.
    kept = re.sub(r"\.(?=[^\s\d])", ". ", kept)
    return " ".join(kept.split())[:longest].strip()


def _greeting(full_name: str) -> str:
    harmless = (
        len(full_name) <= _LONGEST_GREETED_NAME
        and all(unicodedata.category(letter)[0] in "LM" or letter in _MARKS_IN_NAMES for letter in full_name)
        and not re.search(r"\.\S", full_name)
    )
    return f"Hello {full_name}, " if harmless else "Hello, "
