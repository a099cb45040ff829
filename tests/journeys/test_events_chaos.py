"""
Whoever is due a word gets it once, though everything that tells people is killed with `kill -9`, again and again, while
they pay: the relay, the consumers, the worker, and the broker, which keeps nothing over its end.

`make faults` lets five thousand payments be made, and takes the broker away for a minute; EVENTS_COUNT, EVENTS_SEED and
EVENTS_AWAY_SECONDS choose others.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Final

import pytest
import requests

from accounts.outgoing import MOST_IN_A_WINDOW, By
from payments.consumers import GROUPS
from tests.journeys.chaos.crowd import Crowd
from tests.journeys.chaos.effects import Effects, effects, on_its_way, registered_groups, still_waiting
from tests.journeys.chaos.programs import Programs, victims
from tests.journeys.contract import DEMO_PASSWORD, Api
from tests.payments.merchant_receiver import Letter, receiving
from tests.running import CHECKOUT, Run, free_pair

COUNT: Final = int(os.environ.get("EVENTS_COUNT", "480"))
SEED: Final = int(os.environ.get("EVENTS_SEED", "20261129"))
AWAY_SECONDS: Final = float(os.environ.get("EVENTS_AWAY_SECONDS", "3"))

pytestmark = [pytest.mark.runner, pytest.mark.xdist_group("chaos"), pytest.mark.timeout(600 + COUNT / 2)]

AT_ONCE: Final = 4
PEOPLE: Final = 6 + COUNT // 150
# Everybody dies twice, and of a long day more often.
VICTIMS: Final = victims(seed=SEED, times=1 + COUNT // 2000)
# Claims of who died are over after a minute; a group notices after ten seconds, and what it missed is told again later.
QUIET_SECONDS: Final = 200.0 + COUNT / 20
VARIABLES: Final = {"WALLET_REPUBLISH_SECONDS": "4", "WALLET_WEBHOOK_LOOPBACK": "1"}
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """:ivar told: what the shop's own server was told, by `webhook-id`, each verified as it arrived."""

    run: Run
    programs: Programs
    crowd: Crowd
    told: dict[str, Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    run = Run(home=tmp_path_factory.mktemp("chaos") / "home", port=free_pair(), variables=VARIABLES)
    run.start()
    try:
        _wait_until(lambda: registered_groups(run) == set(GROUPS), seconds=60, what="groups")
        api = Api(run.base_url, run.sandbox_url)
        with receiving() as shop:
            body = {"url": shop.url, "types": ["payment.succeeded"], "password": DEMO_PASSWORD}
            added = api.demo("meera").post("/webhook-endpoints", body, key=None)
            assert added.status_code == 201, added.text
            told: dict[str, Any] = {}

            def take(letter: Letter) -> tuple[int, dict[str, str], bytes]:
                said = letter.verified(added.json()["secret"])
                # Twice now and then, where a worker died before it wrote the answer down: the same under the same id.
                assert told.setdefault(letter.headers["webhook-id"], said) == said
                return 204, {}, b""

            shop.answer = take
            crowd = Crowd(api, people=PEOPLE, seed=SEED)
            yield Place(run=run, programs=Programs(run), crowd=crowd, told=told)
    finally:
        run.stop()


def test_each_effect_exists_once_whoever_is_killed_meanwhile(place: Place) -> None:
    began = time.monotonic()
    say(f"seed {SEED}: {COUNT} payments, {len(VICTIMS)} kills: {', '.join(VICTIMS)}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, victim in enumerate(VICTIMS):
            mine = COUNT * (number + 1) // len(VICTIMS) - COUNT * number // len(VICTIMS)
            under_way = place.crowd.begin(pool, count=mine)
            for done, future in enumerate(as_completed(under_way), start=1):
                future.result()
                # In the middle of a round, so that something is on its way.
                if done == max(1, mine // 2):
                    if victim == "kafka":
                        # A consumer has just died, so there is something to be lost as soon as the relay has gone on.
                        _wait_until(lambda: on_its_way(place.run), seconds=60, what="nothing to be lost")
                    place.programs.kill(victim)
    worked = time.monotonic() - began
    found = _healed(place)
    say(f"{worked:.0f} s of work, {time.monotonic() - began - worked:.0f} s until all was told; {found}")

    assert Counter(name for name, _ in place.programs.killed) == Counter(VICTIMS)
    assert not any(process.is_alive for _, process in place.programs.killed)
    assert found.told_again, "the broker lost nothing, so nothing shows that what it loses is told again"
    _assert_each_effect_exists_once(place, found)


def test_while_the_broker_is_away_money_moves_and_afterwards_all_of_it_is_told(place: Place) -> None:
    before = len(place.crowd.done)
    with place.programs.without_broker(), ThreadPoolExecutor(AT_ONCE) as pool:
        until = time.monotonic() + AWAY_SECONDS
        place.crowd.pay(pool, count=COUNT // 12)
        _wait_until(lambda: _ready(place.run)["status"] == "degraded", seconds=20, what="degraded")
        assert _ready(place.run)["checks"]["broker"] == "down"
        while time.monotonic() < until:
            place.crowd.pay(pool, count=AT_ONCE)
            time.sleep(_POLL_SECONDS)
        waiting = still_waiting(place.run)
    # Nothing was told meanwhile, and nothing was lost.
    paid = len(place.crowd.done) - before
    assert waiting["to be published"] == 2 * paid
    began = time.monotonic()
    found = _healed(place)
    told_after = time.monotonic() - began
    say(f"{AWAY_SECONDS:.0f} s without the broker: {paid} payments; all told {told_after:.0f} s after it was back")

    _wait_until(lambda: _ready(place.run)["status"] == "ready", seconds=30, what="not ready")
    _assert_each_effect_exists_once(place, found)


def _assert_each_effect_exists_once(place: Place, found: Effects) -> None:
    assert found.payments == len(place.crowd.done)
    assert found.events == 2 * found.payments
    assert found.recorded == dict.fromkeys(GROUPS, (found.events, 0))
    assert (found.untold, found.notifications) == ([], found.events)
    assert (found.without_message, found.twice, found.not_arrived, found.given_up) == ([], [], [], 0)
    assert found.messages > PEOPLE * MOST_IN_A_WINDOW[By.EMAIL] / 2
    assert found.dead_letters == 0

    assert found.shop == {"DELIVERED": (found.shop_events, found.shop_events)}
    assert found.shop_events == len(place.crowd.purchases)
    assert len(place.told) == found.shop_events
    assert {said["data"]["transaction"] for said in place.told.values()} == place.crowd.purchases

    verified = subprocess.run(
        [sys.executable, "manage.py", "verify_ledger"],
        cwd=CHECKOUT,
        env=place.run.command_environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _healed(place: Place) -> Effects:
    _wait_until(lambda: not still_waiting(place.run), seconds=QUIET_SECONDS, what=lambda: still_waiting(place.run))
    return effects(place.run, most_messages=MOST_IN_A_WINDOW[By.EMAIL])


def _ready(run: Run) -> dict[str, Any]:
    answer = requests.get(f"{run.base_url}/health/ready", timeout=30)
    assert answer.status_code == 200
    return dict(answer.json())


def _wait_until(is_so: Any, *, seconds: float, what: Any) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(_POLL_SECONDS)


def say(text: str) -> None:
    sys.stdout.write(f"\nevents: {text}")
    sys.stdout.flush()
