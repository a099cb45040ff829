"""What a check says when the ledger does not hold: one sentence that names the row, the expected and the found."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.verifying.snapshot import Snapshot

# A rule: what is wrong, as a condition over the row, and the sentence that says so, both in SQL.
Rule = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Lie:
    """
    One thing that cannot be true.

    :param about: the row, by its public id where it has one: `entry 17 of wal_…`, `txn_…`.
    :param says: what was expected and what was found.
    """

    about: str
    says: str

    def __str__(self) -> str:
        return f"{self.about}: {self.says}"


def lie(snapshot: Snapshot, about: str, says: str) -> Lie:
    """With `<wallet 7>` and `<transaction 9>` in either text replaced by public ids."""
    return Lie(snapshot.named(about), snapshot.named(says))


def first_broken_rule(
    snapshot: Snapshot, *, about: str, facts: str, order: str, rules: Iterable[Rule]
) -> Iterator[Lie]:
    """
    The first row of `facts`, by `order`, that breaks a rule, and the first rule that it breaks.

    :param about: SQL for the row's name, with the columns of `facts`, as are all conditions and sentences.
    """
    cases = " ".join(f"WHEN {condition} THEN {sentence}" for condition, sentence in rules)
    found = snapshot.rows(
        f"SELECT about, says FROM (SELECT {about} AS about, CASE {cases} END AS says, {order} AS place"
        f" FROM ({facts}) facts) judged WHERE says IS NOT NULL ORDER BY place LIMIT 1"
    )
    for row in found:
        yield lie(snapshot, *row)
