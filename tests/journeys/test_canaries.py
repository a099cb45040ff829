"""Secrets said at every door, and then looked for wherever something rests: each rests nowhere."""

import base64
import io
import json
import logging
import pickle
import re
import secrets
import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest
import redis
from confluent_kafka import Producer
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.factor_codes import STEP_SECONDS, code_at
from accounts.models import Notification
from payments.consumers import GROUPS
from tests.accounts.factors import code_of
from tests.accounts.papers import papers, picture
from tests.accounts.people import call, code_sent_to, new_email, wrong
from tests.house.sources import imports_of, production_modules
from tests.journeys.browsing import Browser
from tests.journeys.canaries import Canaries, found_in, in_database, in_kafka, in_valkey
from tests.ledger.relays import nothing_waits, relaying, until
from tests.payments.cast import fund, holder
from wallet_project.kernel import logs
from wallet_project.kernel.events.envelope import TOPIC, read_event
from wallet_project.kernel.events.recording import register, take_in
from wallet_project.local.servers import Kafka, running
from wallet_project.local.state import State
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

# Stands in for the mail server and the SMS provider, where messages must be readable; production refuses it
# (tests/house/test_production.py).
OUTSIDE: Final = ("accounts_inboxmessage",)


@pytest.fixture(scope="module")
def written() -> Iterator[io.StringIO]:
    """What every handler writes, with the chain of formatters that it has."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    logs.configure(level=logging.DEBUG, stream=stream)
    others = [
        (handler, handler.setStream(stream))
        for name in list(logging.root.manager.loggerDict)
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    yield stream
    root.handlers, level = before
    root.setLevel(level)
    for handler, previous in others:
        handler.setStream(previous)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One of its own: what other tests publish is neither said here nor to be read."""
    home = tmp_path_factory.mktemp("broker")
    with running(Kafka(home, State(home))) as kafka:
        yield kafka.bootstrap_servers


def api(method: str, path: str, body: Any = None, *, access: str = "", expect: int = 200, **headers: str) -> Any:
    answer = call(method, path, body, access=access, **headers)
    assert answer.status_code == expect, (path, answer.content)
    return answer.json() if answer.content else {}


def keyed() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(8)}


def digits(count: int) -> str:
    return str(secrets.randbelow(9 * 10 ** (count - 1)) + 10 ** (count - 1))


@pytest.fixture(scope="module")
def said(written: io.StringIO, database: object, broker: str) -> Canaries:
    """Asha's life with us: each secret of hers by what it is, after each has been said, also where it was wrong."""
    email = new_email()
    said = {"password": f"Heron-{secrets.token_hex(8)} quay", "wrong password": f"Guess-{secrets.token_hex(8)}"}
    _enter(said, email)
    tokens = _sign_in(said, email)
    _keep_accounts(said, tokens)
    _pay(said, tokens, email)
    tokens = _reset_password(said, email)
    tokens = _add_factor(said, email, tokens)
    _at_the_pages(said, email)
    api("POST", "/auth/logout", {"refresh": tokens["refresh"]}, expect=204)
    _tell(broker, email)
    assert len(set(said.values())) == len(said) > 20
    return said


def _enter(said: Canaries, email: str) -> None:
    api("POST", "/auth/register", {"full_name": "Asha Rao", "email": email, "password": said["password"]}, expect=201)
    said["verification code"] = code_sent_to(email)
    # Cut off in the middle, and as something that nobody reads.
    for content_type in ("application/json", "text/plain"):
        broken = f'{{"email": "{email}", "password": "{said["password"]}'
        Client().generic("POST", "/api/v1/auth/token", broken, content_type=content_type)
    api("POST", "/auth/verify", {"email": email, "code": said["verification code"]})
    api("POST", "/auth/verify", {"email": email, "code": said["verification code"]}, expect=400)


def _sign_in(said: Canaries, email: str) -> dict[str, str]:
    api("POST", "/auth/token", {"email": email, "password": said["wrong password"]}, expect=401)
    first = api("POST", "/auth/token", {"email": email, "password": said["password"]})
    said |= {"first access token": first["access"], "first refresh token": first["refresh"], "device": first["device"]}
    # A token where none belongs, and one that is used twice.
    call("GET", f"/transactions/{first['access']}", access=first["access"])
    call("GET", f"/transactions?cursor={first['refresh']}", access=first["refresh"])
    second = api("POST", "/auth/token/refresh", {"refresh": first["refresh"]})
    said |= {"second access token": second["access"], "second refresh token": second["refresh"]}
    api("POST", "/auth/token/refresh", {"refresh": first["refresh"]}, expect=401)
    third = api("POST", "/auth/token", {"email": email, "password": said["password"]})
    said |= {"access token": third["access"], "refresh token": third["refresh"]}
    return dict(third)


def _keep_accounts(said: Canaries, tokens: dict[str, str]) -> None:
    """A bank account, and an identity document; both also as they are refused."""
    said |= {"account number": digits(15), "document's number": f"{secrets.choice('ABMZ')}{digits(7)}"}
    said["place"] = f"Lane {secrets.token_hex(6)}, Bengaluru 560001"
    kept = {"holder_name": "Asha Rao", "ifsc": "HDFC0001234", "account_number": said["account number"]}
    api("POST", "/bank-accounts", {**kept, "ifsc": "wrong"}, access=tokens["access"], expect=400, **keyed())
    api("POST", "/bank-accounts", kept, access=tokens["access"], expect=201, **keyed())
    for changed, status in (({"document": "PAN"}, 400), ({}, 201)):
        image = SimpleUploadedFile("card.jpg", picture())
        given = papers(number=said["document's number"], address=said["place"], image=image, **changed)
        headers = {"Authorization": f"Bearer {tokens['access']}"}
        answer = Client().post("/api/v1/me/kyc", given, headers=headers)
        assert answer.status_code == status, answer.content


def _pay(said: Canaries, tokens: dict[str, str], email: str) -> None:
    """Enough to be asked for a code, which is wrong at first."""
    ravi, mine = holder("Ravi Iyer"), Wallet.objects.get(owner__email=email)
    fund(mine, 20_000)
    request, headers = {"to": ravi.email, "amount": "6000.00"}, keyed()
    asked = api("POST", "/wallet/transfer", request, access=tokens["access"], expect=403, **headers)
    said["step-up code"] = code_sent_to(email)
    for code, status in ((wrong(said["step-up code"]), 403), (said["step-up code"], 201)):
        proof = {"X-Step-Up": f"{asked['challenge']}:{code}"}
        api("POST", "/wallet/transfer", request, access=tokens["access"], expect=status, **headers, **proof)


def _reset_password(said: Canaries, email: str) -> dict[str, str]:
    said["new password"] = f"Stork-{secrets.token_hex(8)} weir"
    api("POST", "/auth/password/reset", {"email": email}, expect=202)
    said["reset code"] = code_sent_to(email)
    given = {"email": email, "code": said["reset code"], "new_password": said["new password"]}
    api("POST", "/auth/password/reset/confirm", {**given, "code": wrong(said["reset code"])}, expect=400)
    api("POST", "/auth/password/reset/confirm", given, expect=204)
    return dict(api("POST", "/auth/token", {"email": email, "password": said["new password"]}))


def _add_factor(said: Canaries, email: str, tokens: dict[str, str]) -> dict[str, str]:
    begun = api("POST", "/auth/totp", access=tokens["access"])
    said["authenticator's secret"] = begun["secret"]
    then = timezone.now() - timedelta(seconds=STEP_SECONDS)
    said["app's first code"] = code_at(secret=begun["secret"], now=then)
    confirmed = api("POST", "/auth/totp/confirm", {"code": said["app's first code"]}, access=tokens["access"])
    said |= {f"recovery code {number}": code for number, code in enumerate(confirmed["recovery_codes"])}
    given = {"email": email, "password": said["new password"]}
    api("POST", "/auth/token", {**given, "otp": wrong(said["app's first code"])}, expect=401)
    return dict(api("POST", "/auth/token", {**given, "otp": said["recovery code 0"]}))


def _at_the_pages(said: Canaries, email: str) -> None:
    """Signing in, another bank account, and a payment that asks for the app's code."""
    browser = Browser()
    for password in ("wrong password", "new password"):
        answer = browser.send(browser.open("/sign-in").form, address=email, password=said[password])
    assert answer.status == 303, answer.text
    step = browser.follow(answer)
    browser.send(step.forms[0], code=said["recovery code 0"])
    assert browser.send(step.forms[0], code=said["recovery code 1"]).status == 303
    said["session cookie"] = browser.client.cookies[settings.SESSION_COOKIE_NAME].value
    said["second account number"] = digits(14)
    numbers = dict.fromkeys(("account_number", "account_number_again"), said["second account number"])
    form = browser.open("/bank-accounts/add").form
    assert browser.send(form, holder_name="Asha Rao", ifsc="SBIN0001234", **numbers).status == 303
    review = browser.review("/send", to=holder("Lata Sen").email, amount="5500")
    asks = browser.send(review.form)
    said["app's code"] = code_of(said["authenticator's secret"])
    assert browser.send(asks.forms[0], code=said["app's code"]).status == 303, asks.text


def _tell(servers: str, email: str) -> None:
    """All that happened goes to the broker, and each group takes in what is hers, which wakes whoever sends it on."""
    with relaying(servers):
        until(nothing_waits)
    wallet = Wallet.objects.get(owner__email=email)
    values = [part for place, part in in_kafka(servers) if place == f"kafka {TOPIC}" and part.startswith(b"{")]
    events = [event for event in map(read_event, values) if event.subject == wallet.public_id]
    assert len(events) >= 3
    before = Notification.objects.filter(user=wallet.owner, event_id__isnull=False).count()
    for group, handler in GROUPS.items():
        with transaction.atomic():
            now = timezone.now()
            take_in(group_id=register(group=group, now=now), handler=handler, events=events, now=now)
    assert Notification.objects.filter(user=wallet.owner, event_id__isnull=False).count() > before


def test_the_logs_hold_none_of_them(said: Canaries, written: io.StringIO) -> None:
    lines = written.getvalue().splitlines()
    assert len(lines) > 50
    # A time's fraction of a second has six digits, too.
    plain = (re.sub(r'"timestamp": "[^"]*"|"milliseconds": [0-9.]+', "", line).encode() for line in lines)
    assert found_in((("logs", line) for line in plain), said) == set()


def test_the_database_holds_none_of_them(said: Canaries, superuser_url: str) -> None:
    assert found_in(in_database(superuser_url, but=OUTSIDE), said) == set()


def test_no_queue_and_no_cache_holds_any_of_them(said: Canaries, valkey_url: str) -> None:
    held = list(in_valkey(valkey_url))
    # Nobody works the queue off here: what was put there stands there.
    assert any(place == "valkey messages" for place, _ in held)
    assert found_in(iter(held), said) == set()


def test_no_topic_holds_any_of_them_nor_who_she_is(said: Canaries, broker: str) -> None:
    held = list(in_kafka(broker))
    assert sum(place == f"kafka {TOPIC}" for place, _ in held) >= 6
    hers = {"name": "Asha Rao", "first name": "Asha", "e-mail's place": "@example.", "of another": "Ravi"}
    assert found_in(iter(held), {**said, **hers}) == set()


def test_no_task_and_no_key_names_her(said: Canaries, valkey_url: str) -> None:
    """What waits in the queues holds ids."""
    queues = {"valkey messages", "valkey webhooks", "valkey gateway", "valkey sweeps", "valkey default"}
    waiting = [(place, part) for place, part in in_valkey(valkey_url) if place in queues]
    tasks = {json.loads(part)["headers"]["task"] for _, part in waiting if part.startswith(b"{")}
    assert len(tasks) > 1
    assert (
        found_in(iter(waiting), {"name": "Asha Rao", "e-mail's place": "@example.", "of another": "Ravi Iyer"}) == set()
    )


def test_whoever_speaks_to_the_broker_is_known() -> None:
    """Each of these is searched for above: by what it publishes, or because it only asks."""
    speakers = {
        path for path in production_modules() for name in imports_of(path) if name.startswith("confluent_kafka")
    }
    events = {
        f"wallet_project/kernel/events/{name}.py" for name in ("consuming", "dead_letters", "producing", "received")
    }
    assert speakers <= events | {"wallet_project/health.py"}


def test_what_is_planted_is_found_in_each_of_these_places(
    said: Canaries, written: io.StringIO, superuser_url: str, valkey_url: str, broker: str
) -> None:
    """A search that finds nothing proves something only if it would find it."""
    planted = {"long": secrets.token_urlsafe(24), "code": digits(6), "words": "heron's quay/ü"}
    where: dict[str, set[str]] = {}
    logging.getLogger("tests.canaries").warning("%s", planted["words"])
    where["logs"] = {name for _, name in found_in(iter([("logs", written.getvalue().encode())]), planted)}
    assert where["logs"] == {"words"}
    with redis.Redis.from_url(valkey_url) as valkey:
        task = {
            "body": base64.b64encode(
                json.dumps([[], {"code": planted["code"], "x": planted["long"]}, {}]).encode()
            ).decode()
        }
        valkey.rpush("planted-list", json.dumps(task))
        valkey.hset("planted-hash", "field", planted["words"])
        valkey.set("planted-string", zlib.compress(pickle.dumps({"token": planted["long"]})))
    with psycopg.connect(superuser_url, autocommit=True) as server:
        server.execute("CREATE TABLE planted (a text, b bytea, c jsonb, d bytea)")
        session = base64.urlsafe_b64encode(zlib.compress(json.dumps({"password": planted["words"]}).encode())).decode()
        server.execute(
            "INSERT INTO planted VALUES (%s, %s, %s, %s)",
            [
                f".{session}:1wABC:xyz",
                planted["long"].encode(),
                json.dumps({"code": planted["code"]}),
                planted["long"].encode().hex().encode(),
            ],
        )
    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    letter = json.dumps({"data": {"token": planted["long"]}}).encode()
    producer.produce(
        "planted", value=letter, key=planted["code"].encode(), headers=[("note", planted["words"].encode())]
    )
    assert producer.flush(20) == 0
    found = found_in(in_valkey(valkey_url), planted) | found_in(in_database(superuser_url), planted)
    found |= found_in(in_kafka(broker), planted)
    assert found == {
        ("valkey planted-list", "code"),
        ("valkey planted-list", "long"),
        ("valkey planted-hash", "words"),
        ("valkey planted-string", "long"),
        ("kafka planted", "long"),
        ("kafka planted", "code"),
        ("kafka planted", "words"),
        ("planted.a", "words"),
        ("planted.b", "long"),
        ("planted.c", "code"),
        ("planted.d", "long"),
    }
