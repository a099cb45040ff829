"""
Real servers for the tests, and a database of its own for each module that asks for one.

How to use it
-------------
A module that reads or writes the database says so once, at its top::

    pytestmark = pytest.mark.usefixtures("database")

It then has its own clone of the migrated database, empty but for what migrations write, behind all four
aliases (`default`, `posting`, `owner`, `auditor`) and in `os.environ`, so that a child process joins the same
clone. Nothing wraps a test in a transaction and nothing is flushed: each test makes new people. The clone is
dropped after the module. A module that does not ask cannot touch a database (pytest-django's blocker). Never use
`django_db`, `db` or `transactional_db`.

Fixtures
--------
`database` (module)   the clone: `.name`, `.app_url`, `.owner_url`, `.auditor_url`, `.superuser_url`
`superuser_url` (module)  a superuser's URL of that clone, for tests that tamper with it past every trigger
`valkey_url` (session)    Valkey; `database` starts it as well, and empties this process's numbered database of it
`kafka_servers` (session) a Kafka-protocol broker, started when first asked for
`running_wallet` (session) the whole system as `make run` starts it, with the demo people, in a home of its own:
                          `.base_url`, `.sandbox_url`, `.env` (all URLs and keys), `.command_environment` (for
                          `manage.py` in a child process), `.query(sql)` as superuser, `.home`, `.output`; it has
                          nothing to do with `database`

Where the servers come from
---------------------------
Embedded ones, started once for the whole run when they are first needed (before the workers, under xdist) and
stopped after it. With `DATABASE_URL`, `DATABASE_OWNER_URL`, `DATABASE_AUDITOR_URL` and `DATABASE_SUPERUSER_URL`
all set, as in a running wallet's env file, clones are made on that server instead and its own database is left
alone; `REDIS_URL` and `KAFKA_BOOTSTRAP_SERVERS` likewise.

This file sets the environment when it is imported and only then loads Django's settings, which read it once;
hence no `DJANGO_SETTINGS_MODULE` in pyproject.toml: pytest-django would load them earlier.
"""

import gc
import importlib
import os
from collections.abc import Generator, Iterator

import django
import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoDbBlocker

from tests import environment
from tests.running import Run, free_pair

BEGINS_THE_RUN = environment.choose()
django.setup()
# Until all tests are known: what is loaded stays to the end, and is not looked through for garbage again and again.
gc.disable()
# Each test client makes its own chain of middleware, and there WhiteNoise would read every static file once more.
settings.WHITENOISE_AUTOREFRESH = True
# Only a session of ours is somebody's. Imported here, for it needs what has just been set up.
Client.force_login = importlib.import_module("tests.accounts.browsers").force_login

FORBID_SKIPS = os.environ.get("WALLET_FORBID_SKIPS") == "1"


def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "tx", None) and not config.option.collectonly:
        # xdist's workers inherit the environment and share what is started here.
        environment.servers.start_for_workers()
        # But for this: pytest-django would load a worker's settings before the worker chose its Valkey database.
        del os.environ["DJANGO_SETTINGS_MODULE"]
        # This process only hands out.
        gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    if BEGINS_THE_RUN:
        environment.forget_template()
    environment.servers.stop()


WHOLE_SYSTEM = "runner"
# What takes longest, the longest first: begun last, it would keep one worker busy while the others have nothing left.
# A group is a mark's name or a module; one that is not named here comes in the order of the listing, after these.
LONGEST = (
    WHOLE_SYSTEM,
    "crashes",
    "chaos",
    "faults",
    "starts",
    "containers",
    "tests/journeys/test_access_matrix.py",
    "tests/journeys/test_schema_fuzz.py",
    "tests/ledger/test_verification.py",
    "tests/ledger/test_history_plan.py",
    "tests/payments/test_payouts.py",
    "tests/payments/test_money_admin.py",
    "tests/ledger/test_holds_model.py",
    "tests/ledger/test_model.py",
    "tests/house/test_start_up.py",
    "tests/house/test_production.py",
    "tests/races/test_captures_at_once.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Under xdist a module stays with one worker, and whatever uses the run's one whole system with one and the same.

    A module that starts systems of its own names a group of its own.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            uses_the_whole = "running_wallet" in getattr(item, "fixturenames", ())
            group = WHOLE_SYSTEM if uses_the_whole else item.nodeid.partition("::")[0]
            item.add_marker(pytest.mark.xdist_group(group))
    places = {group: place for place, group in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(_group_of(item), len(places)))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def _group_of(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    return str(mark.args[0]) if mark else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With WALLET_FORBID_SKIPS=1 a skipped test fails: CI must have run everything it claims."""
    report = yield
    if FORBID_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where skips are forbidden: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself whole."""
    report = yield
    if FORBID_SKIPS and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped where skips are forbidden"
    return report


@pytest.fixture(scope="session")
def valkey_url() -> str:
    return environment.servers.valkey()


@pytest.fixture(scope="session")
def kafka_servers() -> str:
    return environment.servers.kafka()


@pytest.fixture(scope="module")
def database(valkey_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[environment.Database]:
    """A database of this module's own: see this file's head."""
    environment.empty_valkey(valkey_url)
    with django_db_blocker.unblock(), environment.cloned_database() as clone:
        yield clone


@pytest.fixture(scope="module")
def superuser_url(database: environment.Database) -> str:
    return database.superuser_url


@pytest.fixture(scope="session")
def running_wallet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The whole system, started once for the run: see this file's head."""
    run = Run(home=tmp_path_factory.mktemp("wallet") / "home", port=free_pair())
    run.start()
    yield run
    run.stop()


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """pytest-django would wrap tests in a transaction and flush, and the ledger refuses both."""
    pytest.fail("Use the `database` fixture (tests/conftest.py), not `django_db` or `db`.")
