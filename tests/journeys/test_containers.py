"""Every command of docker-compose.yml does what it is there for, run outside of a container: see outside.py."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
import requests
import yaml
from confluent_kafka.admin import AdminClient

from tests.journeys.outside import Outside
from tests.running import CHECKOUT
from wallet_project.kernel.events.envelope import TOPIC
from wallet_project.local.servers import HOST

pytestmark = [pytest.mark.runner, pytest.mark.xdist_group("containers")]

SERVICES: Final[dict[str, Any]] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
PUBLIC: Final = "wallet.example.com"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """All services in the order in which they wait for one another."""
    it = Outside(tmp_path_factory.mktemp("outside"))
    try:
        _start(it)
        yield it
    finally:
        it.stop()


def _start(it: Outside) -> None:
    it.make_cluster()
    it.launch("postgres", not_as_root=True)
    it.launch("redis")
    it.play_kafka()
    it.wait_until_healthy("postgres", "redis")
    it.once("roles")
    # Whoever made the roles once may do it again.
    it.once("roles")
    it.launch("replica", f"--port={it.port('replica', 5432)}", not_as_root=True)
    it.once("topics")
    it.once("migrate")
    for name in ("web-1", "web-2", "beat", "relay", "notifications", "webhooks"):
        it.launch(name)
    it.once("seed")
    for name in ("worker", "worker-messages", "worker-webhooks"):
        it.launch(name)
    it.launch("sandbox-door")
    it.launch("sandbox")
    it.launch("proxy")


def ask(it: Outside, path: str, *options: str, plain: bool = False) -> tuple[int, str]:
    """By curl, as somebody from outside who trusts the proxy's certificate: the status, and headers with the body."""
    scheme, port = ("http", it.port("proxy", 8080)) if plain else ("https", it.port("proxy", 8443))
    asked = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--include", "--max-time", "20", "--noproxy", "*"),
            *("--resolve", f"{PUBLIC}:{port}:{HOST}", "--cacert", str(it.directory / "made" / "tls" / "tls.crt")),
            *("--write-out", "\n%{http_code}", *options, f"{scheme}://{PUBLIC}:{port}{path}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    text, _, status = asked.stdout.rpartition("\n")
    return int(status), text


def test_every_service_is_run_and_healthy_by_its_own_check(outside: Outside) -> None:
    lasting = {name for name, service in SERVICES.items() if service["restart"] != "no"}
    assert set(outside.running) == lasting
    outside.wait_until_healthy(*sorted(lasting))
    assert {name: service.process.poll() for name, service in outside.running.items()} == dict.fromkeys(lasting)


def test_the_image_holds_neither_the_local_runner_nor_the_sandbox(outside: Outside) -> None:
    """And yet all of the above run from it."""
    assert (outside.image / "collected" / "staticfiles.json").exists()
    assert not (outside.image / "wallet_project" / "local").exists()
    assert not (outside.image / "payments" / "sandbox").exists()


def test_the_replica_follows_and_answers_whoever_only_reads(outside: Outside) -> None:
    outside.wait_until_healthy("postgres", "replica")
    with psycopg.connect(outside.environment("migrate")["DATABASE_OWNER_URL"], autocommit=True) as primary:
        primary.execute("CREATE TABLE followed (word text)")
        primary.execute("INSERT INTO followed VALUES ('mangoes')")
        primary.execute("GRANT SELECT ON followed TO wallet_auditor")
    url = outside.environment("web-1")["DATABASE_AUDITOR_URL"]
    deadline = time.monotonic() + 20
    while True:
        try:
            with psycopg.connect(url) as replica:
                found = replica.execute("SELECT word, pg_is_in_recovery() FROM followed").fetchall()
                break
        except psycopg.errors.UndefinedTable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert found == [("mangoes", True)]
    proof = [sys.executable, "manage.py", "verify_ledger", "--database=auditor"]
    done = subprocess.run(
        proof, cwd=outside.image, env=outside.environment("web-1"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The ledger holds: 4 entries" in done.stdout


def test_the_topics_are_there_as_they_were_asked_for(outside: Outside) -> None:
    found = AdminClient({"bootstrap.servers": outside.environment("relay")["KAFKA_BOOTSTRAP_SERVERS"]}).list_topics(
        timeout=10
    )
    assert {TOPIC, f"{TOPIC}.dead.notifications", f"{TOPIC}.dead.webhooks"} <= set(found.topics)


def test_what_the_demos_people_were_given_is_told(outside: Outside) -> None:
    """Relay, broker and consumer, each as its container runs it."""
    deadline = time.monotonic() + 60
    with psycopg.connect(outside.environment("web-1")["DATABASE_URL"], autocommit=True) as server:
        while not (told := server.execute("SELECT count(*) FROM accounts_notification").fetchone()) or told[0] < 2:
            assert time.monotonic() < deadline, outside.running["notifications"].text[-2000:]
            time.sleep(0.1)


def test_the_proxy_ends_tls_and_the_wallet_knows_it(outside: Outside) -> None:
    outside.wait_until_healthy("web-1", "web-2", "proxy")
    status, text = ask(outside, "/sign-in")
    assert status == 200
    assert "__Host-csrf=" in text
    assert "strict-transport-security: max-age=63072000" in text.lower()
    assert text.startswith("HTTP/2 ")
    assert "server: nginx\n" in text.lower()

    status, text = ask(outside, "/sign-in", "--header", "X-Forwarded-Proto: https", plain=True)
    # Nobody is believed about it but the proxy.
    assert status == 301
    assert f"location: https://{PUBLIC}" in text.lower()


def test_the_address_at_the_other_end_is_the_clients_whatever_it_says_itself(outside: Outside) -> None:
    outside.wait_until_healthy("web-1", "web-2", "proxy")
    body = '{"email": "asha@example.com", "password": "Guess-who-that-may-be"}'
    headers = [f"X-Forwarded-For: {it}" for it in ("203.0.113.9", "127.0.0.1, 203.0.113.9")]
    headers += ["Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9"]
    for header in headers:
        options = ("--interface", "127.0.0.2", "--header", header, "--json", body)
        assert ask(outside, "/api/v1/auth/token", *options)[0] == 401
    with psycopg.connect(outside.environment("web-1")["DATABASE_URL"]) as server:
        rows = server.execute("SELECT DISTINCT host(address) FROM accounts_securityevent WHERE agent LIKE 'curl/%'")
        assert rows.fetchall() == [("127.0.0.2",)]


def test_the_proxy_lets_through_what_the_wallet_takes_and_keeps_in_what_is_not_for_all(outside: Outside) -> None:
    outside.wait_until_healthy("web-1", "web-2", "proxy")
    for bytes_, expected in ((5_300_000, {401}), (7_000_000, {413})):
        (outside.directory / "body").write_bytes(b"x" * bytes_)
        status, _ = ask(outside, "/api/v1/me/kyc", "--data-binary", f"@{outside.directory / 'body'}")
        assert {status} == expected
    token = outside.environment("web-1")["METRICS_TOKEN"]
    bearer = f"Authorization: Bearer {token}"
    assert ask(outside, "/metrics", "--header", bearer)[0] == 404
    within = requests.get(
        f"http://{HOST}:{outside.port('web-1', 8000)}/metrics",
        headers={"Host": PUBLIC, "Authorization": f"Bearer {token}", "X-Forwarded-Proto": "https"},
        timeout=10,
    )
    assert within.status_code == 200


def test_the_proxys_log_holds_no_address_that_opens_something(outside: Outside) -> None:
    outside.wait_until_healthy("proxy")
    ask(outside, "/reset-password/canary-of-a-link?phone=canary-of-a-phone")
    assert "canary" not in outside.running["proxy"].text
    assert outside.running["proxy"].text.strip() == ""


def test_the_sandbox_is_behind_a_door_of_its_own(outside: Outside) -> None:
    outside.wait_until_healthy("sandbox-door", "sandbox")
    door = outside.port("sandbox-door", 8444)
    asked = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*"),
            *("--cacert", str(outside.directory / "made" / "tls" / "tls.crt"), f"https://localhost:{door}/"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    assert "<html" in asked.stdout


def test_at_last_one_web_process_may_go_and_nobody_notices(outside: Outside) -> None:
    outside.wait_until_healthy("web-1", "web-2", "proxy")
    gone = outside.running.pop("web-2")
    gone.process.terminate()
    assert gone.process.wait(20) == 0
    assert {ask(outside, "/health/live")[0] for _ in range(6)} == {200}
