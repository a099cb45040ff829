"""With production's settings nothing of the demo can be reached, and the web insists on TLS."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.environment import Database
from tests.house.sources import CHECKOUT
from tests.running import clean_environment
from wallet_project.local import example

pytestmark = pytest.mark.usefixtures("database")

# What a proxy that ended TLS passes on.
CLIENT = """
import json, sys
import django
django.setup()
from django.conf import settings
from django.test import Client
client = Client(headers={"host": "wallet.example.com", "x-forwarded-proto": sys.argv[2]})
answer = client.get(sys.argv[1])
cookies = {
    name: [bool(morsel["secure"]), bool(morsel["httponly"]), morsel["samesite"], morsel["path"], morsel["domain"]]
    for name, morsel in answer.cookies.items()
}
names = {name: getattr(settings, name) for name in dir(settings) if name.endswith("_COOKIE_NAME")}
print(json.dumps({"status": answer.status_code, "headers": dict(answer.headers), "cookies": cookies, "names": names}))
"""


@pytest.fixture(scope="module")
def environment(database: Database, valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Production's, with this module's database and cache, and with static files as they are served there."""
    chosen = clean_environment(
        **{
            **example.production(),
            "DJANGO_SETTINGS_MODULE": "wallet_project.settings",
            "DATABASE_URL": database.app_url,
            "DATABASE_OWNER_URL": database.owner_url,
            "DATABASE_AUDITOR_URL": database.auditor_url,
            "REDIS_URL": valkey_url,
            "STATIC_ROOT": str(tmp_path_factory.mktemp("production") / "static"),
        }
    )
    collected = run(chosen, "manage.py", "collectstatic", "--no-input", "--verbosity", "0")
    assert collected.returncode == 0, collected.stderr
    return chosen


def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def get(environment: dict[str, str], path: str, *, proto: str = "https") -> dict[str, Any]:
    done = run(environment, "-c", CLIENT, path, proto)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_inbox_is_not_there(environment: dict[str, str]) -> None:
    assert get(environment, "/dev/inbox")["status"] == 404


def test_plain_http_is_sent_to_https(environment: dict[str, str]) -> None:
    answer = get(environment, "/sign-in", proto="http")

    assert answer["status"] == 301
    assert answer["headers"]["Location"] == "https://wallet.example.com/sign-in"


def test_pages_carry_what_keeps_a_browser_safe(environment: dict[str, str]) -> None:
    answer = get(environment, "/sign-in")

    assert answer["status"] == 200
    assert answer["headers"]["Strict-Transport-Security"].startswith("max-age=63072000")
    assert answer["headers"]["X-Frame-Options"] == "DENY"
    assert answer["headers"]["X-Content-Type-Options"] == "nosniff"
    assert "form-action 'self' https://checkout.wallet.example.com" in answer["headers"]["Content-Security-Policy"]
    assert answer["cookies"]["__Host-csrf"] == [True, True, "Lax", "/", ""]
    # Django's own for a language is set nowhere.
    ours = {answer["names"][f"{kind}_COOKIE_NAME"] for kind in ("SESSION", "CSRF", "DEVICE", "MESSAGE")}
    assert all(name.startswith("__Host-") for name in ours)
    assert set(answer["names"]) == {
        f"{kind}_COOKIE_NAME" for kind in ("SESSION", "CSRF", "DEVICE", "MESSAGE", "LANGUAGE")
    }


@pytest.mark.parametrize("command", ["seed_demo", "sandbox"])
def test_commands_of_the_demo_refuse(environment: dict[str, str], command: str) -> None:
    done = run(environment, "manage.py", command)

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "refused" in done.stderr.lower() or "WALLET_DEMO" in done.stderr


def test_the_sandbox_refuses_to_be_started_by_itself(environment: dict[str, str]) -> None:
    done = run(environment, "-m", "payments.sandbox")

    assert done.returncode != 0
    assert done.stdout == ""
