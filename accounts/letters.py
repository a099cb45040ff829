"""
A message's words in pieces, so that its text and its HTML say the same.

The HTML has no picture, script or style sheet, and names no colour but the button's: what shows a mail, by day or by
night, brings its own. Nothing in it may look like a code, so no number in the templates has six digits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """A code, and the rest of the sentence that it stands in, with its mark."""

    code: str
    rest: str = "."

    @property
    def text(self) -> str:
        return f"{self.code}{self.rest}"

    @property
    def after(self) -> str:
        return self.rest.strip(". ") and self.rest.strip()


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is known, by its name."""

    label: str
    value: str

    @property
    def text(self) -> str:
        return f"{self.label}: {self.value}."


@dataclass(frozen=True, slots=True)
class Link:
    """
    :ivar lead: what comes before it, without a mark at its end.
    :ivar label: what the button says.
    """

    lead: str
    label: str
    url: str

    @property
    def text(self) -> str:
        # Apart from the full stop, so that no program takes that for a part of the address.
        return f"{self.lead}: {self.url} ."


Piece = Words | Code | Fact | Link


@dataclass(frozen=True, slots=True)
class Message:
    """
    `subject` is left out where the channel has none.

    :ivar text: the whole of it, on one line.
    :ivar pieces: the same for an e-mail's HTML; without them it has none.
    """

    subject: str
    text: str
    pieces: tuple[Piece, ...] = ()


def message_of(subject: str, pieces: Sequence[Piece]) -> Message:
    return Message(subject, " ".join(piece.text for piece in pieces), tuple(pieces))


def html_of(message: Message) -> str:
    """The message as a page of its own, for `text/html`; empty where it is text alone."""
    if not message.pieces:
        return ""
    blocks: list[tuple[str, Any]] = []
    for piece in message.pieces:
        # Facts that follow one another stand in one table.
        if isinstance(piece, Fact):
            if not blocks or blocks[-1][0] != "facts":
                blocks.append(("facts", []))
            blocks[-1][1].append(piece)
        else:
            blocks.append((type(piece).__name__.lower(), piece))
    context = {"subject": message.subject, "blocks": blocks, "home": settings.PUBLIC_URL}
    return render_to_string("accounts/mail/message.html", context)
