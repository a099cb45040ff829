"""Settings are strict: what is missing or malformed stops start-up with its name, and production has no demo."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.house.sources import CHECKOUT
from wallet_project.local import example

REQUIRED: Final = (
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "PUBLIC_URL",
    "DATABASE_URL",
    "DATABASE_AUDITOR_URL",
    "REDIS_URL",
    "KAFKA_BOOTSTRAP_SERVERS",
    "TOKEN_SIGNING_KEYS",
    "CODE_PEPPER",
    "DATA_KEYS",
    "DATA_INDEX_KEY",
    "RAZORPAY_CHECKOUT_URL",
    "RAZORPAY_KEY_ID",
    "RAZORPAY_KEY_SECRET",
    "RAZORPAY_WEBHOOK_SECRETS",
    "EMAIL_URL",
)
MALFORMED: Final = (
    ("WALLET_ENV", "staging"),
    ("WALLET_DEMO", "perhaps"),
    ("SECRET_KEY", "short"),
    ("ALLOWED_HOSTS", ""),
    ("PUBLIC_URL", "http://wallet.example.com"),
    ("DATABASE_URL", "sqlite:///wallet.db"),
    ("DATABASE_URL", "postgresql://127.0.0.1:5432/wallet"),
    ("DATABASE_OWNER_URL", "mysql://owner:x@127.0.0.1/wallet"),
    ("DATABASE_AUDITOR_URL", "not a url"),
    ("DATABASE_URL", "postgresql://wallet_app:hunter2@[broken/wallet"),
    ("REDIS_URL", "127.0.0.1:6379"),
    ("KAFKA_BOOTSTRAP_SERVERS", ""),
    ("TOKEN_SIGNING_KEYS", "first:c2hvcnQ"),
    ("TOKEN_SIGNING_KEYS", f"first:{'A' * 43},first:{'B' * 43}"),
    ("TOKEN_SIGNING_KEYS", "A" * 43),
    ("CODE_PEPPER", "c2hvcnQ"),
    ("CODE_PEPPER", "!" * 43),
    ("DATA_KEYS", f"{'A' * 43},c2hvcnQ"),
    ("DATA_KEYS", f"{'A' * 43},{'A' * 43}"),
    ("DATA_INDEX_KEY", "c2hvcnQ"),
    ("RAZORPAY_API_URL", "api.razorpay.com"),
    ("RAZORPAY_API_URL", "http://api.razorpay.com/v1"),
    ("RAZORPAY_API_URL", "http://169.254.169.254/v1"),
    ("RAZORPAY_CHECKOUT_URL", "checkout.example.com"),
    ("RAZORPAY_CHECKOUT_URL", "http://checkout.example.com"),
    ("RAZORPAY_KEY_ID", ""),
    ("RAZORPAY_KEY_SECRET", ""),
    ("RAZORPAY_WEBHOOK_SECRETS", "one,,two"),
    ("WALLET_GATEWAY", "paypal"),
    ("RAZORPAYX_ACCOUNT_NUMBER", "2323 2300 0000 0001"),
    ("EMAIL_URL", "mail.example.com"),
    ("EMAIL_URL", "inbox:"),
    ("SMS_URL", "inbox:"),
    ("SMS_URL", "twilio://sid@api.twilio.com/?from=+15005550006"),
    ("WALLET_TIME_ZONE", "Asia/Atlantis"),
    ("WALLET_LARGEST_MOVEMENT", "a lot"),
    ("WALLET_LARGEST_MOVEMENT", "-1"),
    ("WALLET_SYSTEM_SHARDS", "eight"),
    ("WALLET_SYSTEM_SHARDS", "0"),
    ("WALLET_ORDER_LIFETIME_SECONDS", "0"),
    ("WALLET_ASK_AFTER_SECONDS", "soon"),
    ("WALLET_STOP_WAITING_SECONDS", "0"),
    ("WALLET_REFUNDS_BY_PERSON", "perhaps"),
    ("WALLET_MOST_BANK_ACCOUNTS", "101"),
    ("WALLET_MOST_BANK_ACCOUNTS_A_DAY", "0"),
    ("WALLET_POSTING_WAIT_SECONDS", "soon"),
    ("WALLET_PASSWORD_HASH_KIB", "19455"),
    ("METRICS_TOKEN", "x" * 31),
    ("WALLET_OUTBOX_KEEP_DAYS", "0"),
)


# Loading what settings import is most of a start, so one interpreter does it and each case is a fork of it: settings
# themselves are read anew, with exactly the environment of the case. None of what is loaded before reads it.
FORKING: Final = """
import json, os, sys
import celery, dj_database_url, dj_email_url, django.conf, environs, psycopg, structlog
import django.core.signing, django.forms, wallet_project.schedule
from wallet_project.kernel import browser_policy, environment, logs, rate_limits
for case in map(json.loads, sys.stdin):
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ.clear()
        os.environ.update(case)
        os.dup2(into, 1), os.dup2(into, 2)
        status = 1
        try:
            import wallet_project.settings
            status = 0
            os.write(1, b"started")
        except BaseException as error:
            os.write(1, f"{type(error).__name__}: {error}".encode())
        os._exit(status)
    os.close(into)
    with os.fdopen(out) as said:
        text = said.read()
    started = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print(json.dumps({"started": started, "said": text}), flush=True)
"""


class Starter:
    """Loads settings with one environment after another."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORKING],
            cwd=CHECKOUT,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, environment: Mapping[str, str]) -> tuple[bool, str]:
        """Whether the settings load with exactly this environment, and what was said."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(dict(environment)) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["started"], answer["said"]

    def refusal_of(self, environment: Mapping[str, str]) -> str:
        started, said = self.start(environment)
        assert not started
        return said


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    starter = Starter()
    yield starter
    assert starter.process.stdin is not None
    starter.process.stdin.close()
    starter.process.wait(30)


def test_the_example_of_productions_environment_starts(starter: Starter) -> None:
    assert starter.start(example.production()) == (True, "started")


def test_the_example_holds_what_is_required_and_little_else() -> None:
    assert set(REQUIRED) <= set(example.production())
    # The last two switch something on.
    others = {"WALLET_ENV", "EMAIL_FROM", "DATABASE_OWNER_URL", "METRICS_TOKEN", "VAPID_PRIVATE_KEY"}
    assert set(example.production()) - set(REQUIRED) == others


def test_what_serves_needs_no_way_to_become_the_owner(starter: Starter) -> None:
    environment = example.production()
    del environment["DATABASE_OWNER_URL"]

    assert starter.start(environment) == (True, "started")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_value_stops_start_up_with_its_name(starter: Starter, name: str) -> None:
    """No secret, key or address has a default in production."""
    environment = example.production()
    del environment[name]

    assert name in starter.refusal_of(environment)


@pytest.mark.parametrize("name", [name for name in REQUIRED if name != "WALLET_ENV"])
def test_an_empty_value_is_as_good_as_a_missing_one(starter: Starter, name: str) -> None:
    assert name in starter.refusal_of({**example.production(), name: ""})


@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_a_malformed_value_stops_start_up_with_its_name(starter: Starter, name: str, value: str) -> None:
    assert name in starter.refusal_of({**example.production(), name: value})


@pytest.mark.parametrize("name", ["SECRET_KEY", "TOKEN_SIGNING_KEYS", "CODE_PEPPER", "DATA_KEYS"])
def test_a_refusal_does_not_print_the_secret(starter: Starter, name: str) -> None:
    assert "hunter2hunter2" not in starter.refusal_of({**example.production(), name: "hunter2hunter2"})


def test_production_is_the_default(starter: Starter) -> None:
    environment = example.production()
    del environment["WALLET_ENV"]

    assert starter.start(environment) == (True, "started")
    assert "WALLET_DEMO" in starter.refusal_of({**environment, "WALLET_DEMO": "1"})
    assert "EMAIL_URL" in starter.refusal_of({**environment, "EMAIL_URL": "inbox:"})


def test_debug_is_off_even_locally() -> None:
    local = {**example.production(), "WALLET_ENV": "local", "PUBLIC_URL": "http://127.0.0.1:8000", "DEBUG": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from django.conf import settings; print(settings.DEBUG)"],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "wallet_project.settings", **local},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "False\n"
