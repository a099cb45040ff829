"""What a comparison of two books finds: equal sums, what is on its way, and differences."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from payments.gateways.base import Gateway
from wallet_project.kernel.money import Money

# What is younger may simply not have been heard of on the other side yet.
IN_FLIGHT: Final = timedelta(minutes=10)
# A sweep that is that late is not coming: nobody is asking any more.
_SLACK: Final = timedelta(minutes=15)
# Further ones are counted, and neither kept nor made cases of: that many mean one and the same thing.
MOST_DIFFERENCES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """
    Whose day it is about. `begin` included, `end` not.

    :ivar now: when the run began.
    """

    gateway: Gateway
    date: date
    begin: datetime
    end: datetime
    now: datetime

    def holds(self, moment: datetime | None) -> bool:
        return moment is not None and self.begin <= moment < self.end

    def is_young(self, moment: datetime | None, *, within: timedelta = IN_FLIGHT) -> bool:
        return moment is not None and moment > self.now - within

    def is_being_asked(self, check_at: datetime | None) -> bool:
        """Whether a sweep is still to come, so that a state that lags behind will not for long."""
        return check_at is not None and check_at > self.now - _SLACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    :ivar kind: of `payments.models.Case.Kind`.
    :ivar subject: by its id at the gateway, or ours where there is none.
    :ivar here: how it stands in the ledger, in words; empty for not at all. `there`: at the gateway.
    :ivar suggestion: what to post or do, in words.
    """

    kind: str
    what: str
    subject: str
    currency: str
    here: str = ""
    here_minor: int | None = None
    there: str = ""
    there_minor: int | None = None
    suggestion: str = ""
    transaction: int | None = None

    @property
    def reason(self) -> str:
        here, there = self._side(self.here, self.here_minor), self._side(self.there, self.there_minor)
        return f"{self.what} {self.subject}: here {here}, at the gateway {there}."

    def _side(self, words: str, minor: int | None) -> str:
        if minor is None:
            return words or "nothing"
        return f"{Money.from_minor(minor, self.currency).spelled} {words}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """
    How one thing stands in both books.

    :ivar label: the line that it is counted in, empty for none; each side that has minor units is.
    """

    label: str = ""
    currency: str = ""
    here_minor: int | None = None
    there_minor: int | None = None
    difference: Difference | None = None
    is_in_flight: bool = False


NOTHING: Final = Judgement()
ON_ITS_WAY: Final = Judgement(is_in_flight=True)


@dataclass(slots=True)
class Total:
    """One line of both books' sums, in minor units."""

    here_count: int = 0
    here_minor: int = 0
    there_count: int = 0
    there_minor: int = 0

    @property
    def is_equal(self) -> bool:
        return (self.here_count, self.here_minor) == (self.there_count, self.there_minor)


@dataclass(slots=True)
class Findings:
    """
    :ivar totals: by label and currency.
    :ivar differences: the first of them; `count` is of all.
    :ivar in_flight: how many are legitimately known to one side only, and in no total, by kind.
    :ivar not_offered: kinds that this gateway does not have.
    """

    totals: defaultdict[tuple[str, str], Total] = field(default_factory=lambda: defaultdict(Total))
    differences: list[Difference] = field(default_factory=list)
    count: int = 0
    in_flight: Counter[str] = field(default_factory=Counter)
    not_offered: list[str] = field(default_factory=list)

    def take(self, judgement: Judgement, *, what: str) -> None:
        if judgement.is_in_flight:
            self.in_flight[what] += 1
            return
        if judgement.label:
            total = self.totals[(judgement.label, judgement.currency)]
            if judgement.here_minor is not None:
                total.here_count += 1
                total.here_minor += judgement.here_minor
            if judgement.there_minor is not None:
                total.there_count += 1
                total.there_minor += judgement.there_minor
        if judgement.difference is not None:
            self.count += 1
            if len(self.differences) < MOST_DIFFERENCES:
                self.differences.append(judgement.difference)
