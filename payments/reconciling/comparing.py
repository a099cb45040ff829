"""
How any two books are compared: the gateway's list first, then what only ours has.

Both are walked in batches, and ours is looked up in sets. Whatever differs is looked at once more on its own, both
sides anew, before it is called a difference: the lists are as old as the walk.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeVar

from payments.batching import in_batches
from payments.gateways.base import GatewayRefused
from payments.reconciling.findings import Findings, Judgement, Scope
from wallet_project.kernel.database import give_back_connection

BATCH: Final = 200

_OUR_CREDENTIALS: Final = (401, 403)

Here = TypeVar("Here")
There = TypeVar("There")


class Books(Protocol[Here, There]):
    """
    One kind of thing in both books.

    :ivar what: its name, as people read it.
    """

    what: str

    def listed(self, scope: Scope) -> Iterator[There]:
        """The gateway's of the day."""

    def known(self, there: Sequence[There], scope: Scope) -> dict[str, Here]:
        """Ours that belong to them, by the gateway's id."""

    def of_day(self, scope: Scope, *, after: int) -> Sequence[Here]:
        """Ours of the day, at most a batch, with primary keys above `after`, in their order."""

    def place(self, here: Here) -> tuple[int, str]:
        """Its primary key, and its id at the gateway (empty while not known)."""

    def again(self, there: There, scope: Scope) -> There | None:
        """The gateway's word on it now."""

    def find(self, here: Here, scope: Scope) -> There | None:
        """The gateway's word on one of ours that was not in its list; None for what it does not know."""

    def name(self, there: There) -> tuple[str, datetime | None]:
        """The gateway's id of it, and when it was made."""

    def judge(self, here: Here | None, there: There | None, scope: Scope) -> Judgement: ...


def compare(*, books: Books[Here, There], scope: Scope, findings: Findings) -> None:
    """
    :raises GatewayError: the gateway stopped answering; what was found until then is no verdict.
    """
    # Names only, and no more of them than the gateway's client lists at most.
    seen: set[str] = set()
    give_back_connection()
    for batch in in_batches(books.listed(scope), BATCH):
        _compare_listed(books, batch, scope, findings)
        seen.update(books.name(there)[0] for there in batch)
        give_back_connection()
    _compare_ours(books, seen, scope, findings)


def _compare_listed(books: Books[Here, There], batch: Sequence[There], scope: Scope, findings: Findings) -> None:
    known = books.known(batch, scope)
    for there in batch:
        name, _ = books.name(there)
        judgement = books.judge(known.get(name), there, scope)
        if judgement.difference is not None:
            give_back_connection()
            now_there = books.again(there, scope)
            now_here = books.known([there], scope).get(name)
            judgement = books.judge(now_here, now_there, scope)
        findings.take(judgement, what=books.what)


def _compare_ours(books: Books[Here, There], seen: set[str], scope: Scope, findings: Findings) -> None:
    after = 0
    while batch := books.of_day(scope, after=after):
        for here in batch:
            after, name = books.place(here)
            if name and name in seen:
                continue
            give_back_connection()
            there = books.find(here, scope)
            judgement = books.judge(here, there, scope)
            of_another_day = there is not None and not scope.holds(books.name(there)[1])
            if judgement.difference is not None or judgement.is_in_flight or not of_another_day:
                findings.take(judgement, what=books.what)


def unless_unknown(ask: Callable[[], There]) -> There | None:
    """
    What the gateway says of one thing; None where it says that it knows no such thing.

    :raises GatewayError: it does not answer, or does not take our credentials.
    """
    try:
        return ask()
    except GatewayRefused as error:
        if error.http_status in _OUR_CREDENTIALS:
            raise
        return None
