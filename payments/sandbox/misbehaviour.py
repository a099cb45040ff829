"""
Misbehaviour by a switch: what a real gateway does on a bad day, on demand and repeatable.

Each fault has one switch. It strikes either the next calls, or calls at random with a seed: whether the
n-th call that it meets is struck follows from seed and n alone. The switches stand in the state file.
"""

import dataclasses
import json
import random
import sqlite3
from dataclasses import dataclass, field
from typing import Any, Literal

Moment = Literal["instead", "afterwards", "webhooks"]

CALLS_MOST = 1_000_000
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
ROUTES = (
    "contacts",
    "disputes",
    "fund_accounts",
    "orders",
    "payments",
    "payouts",
    "refunds",
    "settlements",
    "validations",
)
# Reordered events are gathered, so many at most, and leave last come, first gone, so far apart that the
# network does not put them in order again.
GATHERED_MOST = 10
GATHERED_APART_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    `moment`: instead of what was asked, after it took effect, or on the way of a webhook.
    `seconds`: how long, if nothing is said, and `longest`; zero where time plays no part.
    """

    name: str
    title: str
    says: str
    moment: Moment
    seconds: int = 0
    longest: int = 0


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault(
            name="bad_gateway",
            title="502 with an HTML page",
            says="A proxy answers; the call has no effect.",
            moment="instead",
        ),
        Fault(
            name="too_many_requests",
            title="429 Too many requests",
            says="Turned away; the call has no effect.",
            moment="instead",
        ),
        Fault(
            name="no_answer",
            title="Never answers",
            says="Holds the connection, then closes it; the call has no effect.",
            moment="instead",
            seconds=60,
            longest=120,
        ),
        Fault(
            name="dropped_reply",
            title="Reply dropped",
            says="The call takes effect; the connection closes without an answer.",
            moment="afterwards",
        ),
        Fault(
            name="late_reply",
            title="Time-out, then success",
            says="The call takes effect; the answer comes after the client has given up.",
            moment="afterwards",
            seconds=15,
            longest=120,
        ),
        Fault(
            name="delayed_webhooks",
            title="Webhooks delayed",
            says="Each event is first sent so much later.",
            moment="webhooks",
            seconds=10,
            longest=86_400,
        ),
        Fault(
            name="reordered_webhooks",
            title="Webhooks reordered",
            says="Events are gathered for so long, then sent last come, first gone.",
            moment="webhooks",
            seconds=2,
            longest=300,
        ),
    )
}


class SwitchRefused(Exception):
    """What is asked of a switch makes no sense; `field` says where."""

    def __init__(self, description: str, *, field: str) -> None:
        super().__init__(description)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """
    One fault, switched on.

    `calls`: how many more are struck, or None: each with `probability`, drawn from `seed`. `routes` and
    `methods`: only these, empty for all. `met`: calls looked at so far; `struck`: how many of them it hit.
    """

    fault: str
    calls: int | None = None
    probability: float = 1.0
    seed: int = 0
    routes: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    seconds: int = 0
    met: int = 0
    struck: int = 0
    gathered: int = 0
    gathered_until: int = 0

    @classmethod
    def asked_by(cls, body: dict[str, Any]) -> "Switch":
        """
        :param body: `{fault, calls | probability, seed?, routes?, methods?, seconds?}`
        :raises SwitchRefused: names the first field that is wrong.
        """
        unknown = sorted(set(body) - {"fault", "calls", "probability", "seed", "routes", "methods", "seconds"})
        if unknown:
            raise SwitchRefused("Not a field of a switch.", field=unknown[0][:40])
        name = body.get("fault")
        if not isinstance(name, str) or name not in FAULTS:
            raise SwitchRefused(f"The fault must be one of {', '.join(FAULTS)}.", field="fault")
        fault = FAULTS[name]
        calls, probability = body.get("calls"), body.get("probability")
        if (calls is None) == (probability is None):
            raise SwitchRefused("Say either calls, how many are struck, or a probability.", field="calls")
        return cls(
            fault=name,
            calls=None if calls is None else _whole(body, "calls", least=1, largest=CALLS_MOST),
            probability=_probability(body),
            seed=_seed(body),
            routes=_some_of(body, "routes", ROUTES, applies=fault.moment != "webhooks"),
            methods=_some_of(body, "methods", METHODS, applies=fault.moment != "webhooks"),
            seconds=_seconds(body, fault),
        )

    def document(self) -> dict[str, Any]:
        """As it is shown to programs."""
        shown = dataclasses.asdict(self)
        del shown["gathered"], shown["gathered_until"]
        return shown

    def strikes_next(self) -> bool:
        """Whether the next call that it meets is struck."""
        if self.calls is not None:
            return True
        # Not a secret but a die that falls the same way again.
        return random.Random(f"{self.seed}:{self.fault}:{self.met}").random() < self.probability  # noqa: S311


def switch_on(db: sqlite3.Connection, *, switch: Switch) -> None:
    """Switch a fault on, or on anew with other particulars."""
    db.execute(
        "INSERT INTO switches (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [_key(switch.fault), json.dumps(dataclasses.asdict(switch))],
    )


def switch_off(db: sqlite3.Connection, *, fault: str | None = None) -> None:
    """End one fault, or all of them; one that is off stays off."""
    for name in FAULTS if fault is None else [fault]:
        db.execute("DELETE FROM switches WHERE name = ?", [_key(name)])


def switched_on(db: sqlite3.Connection) -> list[Switch]:
    """What is on, in the order in which faults are listed."""
    rows = db.execute("SELECT name, value FROM switches WHERE name LIKE 'misbehaviour.%'").fetchall()
    found = {row["name"]: Switch(**json.loads(row["value"])) for row in rows}
    return [found[_key(name)] for name in FAULTS if _key(name) in found]


def strike(db: sqlite3.Connection, *, route: str, method: str) -> Switch | None:
    """
    What becomes of one call of the API, if anything; the switch that strikes counts it.

    Where several are on, the first in the list that strikes has the call to itself.
    """
    for switch in switched_on(db):
        wanted = (not switch.routes or route in switch.routes) and (not switch.methods or method in switch.methods)
        if FAULTS[switch.fault].moment != "webhooks" and wanted and _meet(db, switch):
            return switch
    return None


def webhook_due_at(db: sqlite3.Connection, *, now: int) -> float:
    """When an event that is written now is to be sent first."""
    due_at = float(now)
    for switch in switched_on(db):
        if switch.fault == "delayed_webhooks" and _meet(db, switch):
            due_at += switch.seconds
        elif switch.fault == "reordered_webhooks":
            begins = now >= switch.gathered_until or switch.gathered >= GATHERED_MOST
            gathering = dataclasses.replace(
                switch,
                gathered=1 if begins else switch.gathered + 1,
                gathered_until=now + switch.seconds if begins else switch.gathered_until,
            )
            if _meet(db, switch, struck=gathering):
                due_at += gathering.gathered_until - now
                due_at += (GATHERED_MOST - gathering.gathered) * GATHERED_APART_SECONDS
    return due_at


def route_of(path: str) -> str:
    """Which route a path under /v1 belongs to: its first word, but a payment's refunds are refunds."""
    words = path.removeprefix("/v1/").split("/")
    if words[0] == "payments" and len(words) > 2 and words[2] in ("refund", "refunds"):
        return "refunds"
    if words[0] == "fund_accounts" and len(words) > 1 and words[1] == "validations":
        return "validations"
    return words[0]


def _meet(db: sqlite3.Connection, switch: Switch, *, struck: Switch | None = None) -> bool:
    """One more call, counted; a switch whose calls are used up is off again."""
    strikes = switch.strikes_next()
    after = dataclasses.replace(
        (struck or switch) if strikes else switch, met=switch.met + 1, struck=switch.struck + strikes
    )
    if after.calls is not None:
        after = dataclasses.replace(after, calls=after.calls - 1)
    if after.calls == 0:
        switch_off(db, fault=switch.fault)
    else:
        switch_on(db, switch=after)
    return strikes


def _key(fault: str) -> str:
    return f"misbehaviour.{fault}"


def _whole(body: dict[str, Any], name: str, *, least: int, largest: int) -> int:
    value = body[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= largest:
        raise SwitchRefused(f"The {name} must be a whole number from {least} to {largest}.", field=name)
    return value


def _probability(body: dict[str, Any]) -> float:
    value = body.get("probability")
    if value is None:
        return 1.0
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise SwitchRefused("The probability must be a number above 0, at most 1.", field="probability")
    return float(value)


def _seed(body: dict[str, Any]) -> int:
    if body.get("seed") is not None:
        return _whole(body, "seed", least=0, largest=2**53)
    if body.get("probability") not in (None, 1):
        raise SwitchRefused("A probability needs a seed: what happens at random must happen again.", field="seed")
    return 0


def _some_of(body: dict[str, Any], name: str, choices: tuple[str, ...], *, applies: bool) -> list[str]:
    value = body.get(name)
    if value is None or value == []:
        return []
    if not applies:
        raise SwitchRefused(f"Webhooks have no {name}.", field=name)
    if not isinstance(value, list) or not all(isinstance(each, str) and each in choices for each in value):
        raise SwitchRefused(f"The {name} must be a list of some of {', '.join(choices)}.", field=name)
    return sorted(set(value))


def _seconds(body: dict[str, Any], fault: Fault) -> int:
    if body.get("seconds") is None:
        return fault.seconds
    if not fault.longest:
        raise SwitchRefused("Time plays no part in this fault.", field="seconds")
    return _whole(body, "seconds", least=1, largest=fault.longest)
