"""The sandbox's misbehaviour, another in each round, and how often it really struck."""

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import requests

# How likely each call, or event, is struck while the fault is on: from, to; and for how many seconds.
FAULTS: Final[Mapping[str, tuple[float, float, int | None]]] = {
    "bad_gateway": (0.05, 0.15, None),
    "too_many_requests": (0.05, 0.15, None),
    "no_answer": (0.02, 0.05, 2),
    "dropped_reply": (0.05, 0.15, None),
    "late_reply": (0.02, 0.05, 2),
    "delayed_webhooks": (0.20, 0.60, 6),
    "reordered_webhooks": (0.30, 0.90, 2),
}
_ALSO: Final = 3
# In its turn a fault of the API strikes what has effects, so often that whole requests fail with all their repetitions:
# what they did, if anything, has to be found out later. Replies to what is sent are dropped all day long, and webhooks
# often come too late to tell of it first: then it is sent again after it took effect.
_STORM: Final = (0.4, 0.6)
_WRITES: Final[Mapping[str, Any]] = {"routes": ["orders", "payouts", "refunds"], "methods": ["POST"]}
_ALL_DAY: Final = frozenset({"dropped_reply", "delayed_webhooks"})
_SENDS: Final[Mapping[str, Any]] = {"routes": ["payouts", "refunds"], "methods": ["POST"]}


class Weather:
    """
    :ivar struck: by fault, how many calls or events were hit. Nothing is counted twice; a strike in the very moment
        of a change may go uncounted.
    """

    def __init__(self, *, sandbox: str, seed: int) -> None:
        self._url = f"{sandbox}/operator/api/misbehaviour"
        self._seed = seed
        self._dice = random.Random(seed)
        self._order = self._dice.sample(sorted(FAULTS), k=len(FAULTS))
        self.struck: Counter[str] = Counter()

    def turn(self, number: int) -> None:
        """What round `number` is like: each fault has its turn, with some others beside it."""
        self.clear()
        chosen = self._order[number % len(self._order)]
        others = [name for name in self._order if name != chosen]
        for name in sorted({chosen, *_ALL_DAY, *self._dice.sample(others, k=_ALSO)}):
            least, most, seconds = FAULTS[name]
            switch: dict[str, Any] = {"fault": name, "seed": self._seed + number}
            if seconds is not None:
                switch["seconds"] = seconds
            if name in {chosen, *_ALL_DAY} and not name.endswith("webhooks"):
                (least, most), switch = _STORM, {**switch, **(_WRITES if name == chosen else _SENDS)}
            self._call("POST", {**switch, "probability": round(self._dice.uniform(least, most), 3)})

    def clear(self) -> None:
        """The sun comes out."""
        for switch in self._call("GET")["on"]:
            self.struck[switch["fault"]] += switch["struck"]
        self._call("DELETE")

    def _call(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = requests.request(method, self._url, json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())
