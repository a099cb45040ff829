"""People for the journeys by API: see contract.py."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import pytest

from tests.journeys.contract import Api, Person
from tests.running import CHECKOUT, Run

_AT_ONCE: Final = 8
# Access tokens live ten minutes.
_TOKEN_GOOD_FOR_SECONDS: Final = 300


@pytest.fixture(scope="session")
def api(running_wallet: Run) -> Api:
    return Api(running_wallet.base_url, running_wallet.sandbox_url)


@pytest.fixture(scope="session")
def newcomers(api: Api) -> Callable[[], Person]:
    """Nobody is handed out twice; they are registered a handful at a time, for registering takes a while."""
    waiting: list[tuple[float, Person]] = []

    def next_one() -> Person:
        if not waiting:
            waiting.extend((time.monotonic(), person) for person in api.people(_AT_ONCE))
        since, person = waiting.pop()
        if time.monotonic() - since > _TOKEN_GOOD_FOR_SECONDS:
            return api.enter(person.name, email=person.address)
        return person

    return next_one


@pytest.fixture
def asha(newcomers: Callable[[], Person]) -> Person:
    """Somebody new, with nothing yet."""
    return newcomers()


@pytest.fixture
def ravi(newcomers: Callable[[], Person]) -> Person:
    return newcomers()


@pytest.fixture
def rich_asha(asha: Person) -> Person:
    """Asha with ₹1,000.00."""
    asha.fund("1000")
    return asha


@pytest.fixture(scope="session")
def system_wallets(running_wallet: Run) -> list[str]:
    """Ids of wallets that close the books: from the database, for nothing outside may ever say them."""
    command = "from wallets.models import Wallet; print(*[w.public_id for w in Wallet.objects.filter(kind='SYSTEM')])"
    ran = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-v0", "-c", command],
        cwd=CHECKOUT,
        env=running_wallet.command_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.split()
