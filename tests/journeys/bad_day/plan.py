"""Who does what: dealt from a seed, so that the same seed is the same day again, but for who is faster."""

import itertools
import random
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

# Each fault has its turn, and half of the kills are a parent's.
ROUNDS: Final = 8
PEOPLE: Final = 6

Returns = Literal["never", "confirms", "follows the callback"]
_T = TypeVar("_T")

# What a payer tries, one UPI ID after the other; nothing: they never pay. So many of each in fifty.
STORIES: Final[dict[tuple[str, ...], int]] = {
    ("success",): 14,
    ("failure", "success"): 6,
    ("duplicate",): 5,
    ("late",): 4,
    ("silent",): 4,
    ("twice",): 4,
    ("forged", "success"): 3,
    ("late", "success"): 3,
    (): 3,
    ("short",): 2,
    ("short", "success"): 2,
}
# What their accounts' numbers end in; so many of each in twenty. 0005 and 0006 never come to an end.
ENDINGS: Final[dict[str, int]] = {"0001": 4, "0002": 3, "0003": 3, "0004": 3, "0007": 3, "4321": 4}
_RETURNS: Final[tuple[Returns, ...]] = ("never", "confirms", "follows the callback")
_IMPATIENT: Final = 0.1
_FORGETFUL: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    :ivar person: which of the people.
    :ivar impatient: hangs up before the first answer can have come, and asks again.
    :ivar forgetful: asks again although it was answered.
    """

    person: int
    paise: int
    impatient: bool
    forgetful: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp(Job):
    """:ivar vpas: what they pay from, one after the other."""

    vpas: tuple[str, ...]
    returns: Returns


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal(Job):
    """:ivar ending: what their account's number ends in."""

    ending: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """
    :ivar after: how many of its round's jobs are done by then.
    :ivar whom: the worker's parent, or one of its children, which hold the tasks.
    """

    after: int
    whom: Literal["parent", "child"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    jobs: list[Job]
    kill: Kill


def plan(*, seed: int, count: int) -> list[Round]:
    """So many top-ups and as many withdrawals, in `ROUNDS` rounds, with one kill in each."""
    dice = random.Random(seed)
    jobs: list[Job] = [
        TopUp(vpas=vpas, returns=dice.choice(_RETURNS), **_anybody(dice, most_paise=50_000))
        for vpas in _dealt(dice, STORIES, count)
    ]
    jobs += [Withdrawal(ending=ending, **_anybody(dice, most_paise=2_000)) for ending in _dealt(dice, ENDINGS, count)]
    dice.shuffle(jobs)
    whom = _dealt(dice, {"parent": 1, "child": 1}, ROUNDS)
    rounds = []
    for number in range(ROUNDS):
        mine = jobs[number::ROUNDS]
        after = dice.randint(1, max(1, len(mine) - 1))
        rounds.append(Round(jobs=mine, kill=Kill(after=after, whom="parent" if whom[number] == "parent" else "child")))
    return rounds


def _anybody(dice: random.Random, *, most_paise: int) -> dict[str, int | bool]:
    return {
        "person": dice.randrange(PEOPLE),
        # Two rupees at least: the short payer pays one less.
        "paise": dice.randint(200, most_paise),
        "impatient": dice.random() < _IMPATIENT,
        "forgetful": dice.random() < _FORGETFUL,
    }


def _dealt(dice: random.Random, cards: dict[_T, int], count: int) -> list[_T]:
    """As many of each card as its share says, in any order."""
    deck = [card for card, copies in cards.items() for _ in range(copies)]
    dealt: list[_T] = []
    while len(dealt) < count:
        dice.shuffle(deck)
        dealt += itertools.islice(deck, count - len(dealt))
    return dealt
