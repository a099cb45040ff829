"""What a careless call would write to the log, and what stands there instead: by name, by shape, and however deep."""

import io
import json
import logging
import secrets
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import structlog

from wallet_project.kernel import logs

SECRETS = {
    "password": "seven-blue-herons-" + secrets.token_hex(4),
    "access token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3IifQ." + secrets.token_urlsafe(48),
    "random key": "aB3" + secrets.token_urlsafe(32),
    "totp secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "token of a link": "/not-me/" + "".join(secrets.choice("abcdefghijklmnop") for _ in range(72)),
    "account number": "50100012345678",
    "card number": "4111 1111 1111 1111",
    "phone": "+919876543210",
}
# What is told as it stands: who, what, where and when.
INNOCENT = {
    "id": "txn_06dnrq5w7zv3h9qk7t8x2m4pbc",
    "gateway's id": "pay_MT48CvBhIC98MQ",
    "when": "2026-11-25T04:15:30.123456+00:00",
    "day": "2026-11-25",
    "amount": "₹12,345.00",
    "path": "/api/v1/transactions/txn_06dnrq5w7zv3h9qk7t8x2m4pbc",
    "words": "insufficient_funds",
    "uuid": "0192f0c1-7d5a-7cc3-98c4-dc0c0c07398f",
    "digest": "9f86d081884c7d659a2feaa0c55ad015",
    "function": "test_what_is_told_as_it_stands_is_who_and_what_and_where_and_when",
}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The real chain of handlers and formatters, into memory."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    logs.configure(level=logging.INFO, stream=stream)
    yield stream
    root.handlers, level = before
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().split("\n") if line]


@pytest.mark.parametrize("what", SECRETS)
def test_a_secret_is_removed_wherever_it_stands(written: io.StringIO, what: str) -> None:
    secret = SECRETS[what]
    log = structlog.get_logger("tests.logs")
    # By the name of what holds it, at any depth.
    log.info("by.name", password=secret, account_number=secret, **{"X-Auth-Token": secret})
    log.info("by.name.deep", given={"form": [{"secret": secret}, {"otp": secret, "recovery_codes": [secret]}]})
    # By its shape, where nothing names it.
    if what != "password":
        log.info("by.shape", text=f"it was {secret} then", deep={"a": [{"b": (f"<{secret}>",)}]}, parts={secret})
        log.info(f"in the event {secret}")
        logging.getLogger("tests.plain").warning("one %s and %s", secret, {"inner": secret})
        log.info("as.a.name", given={f"x {secret}": 1})
    log.info("named.in.text", text=f'{{"password": "{secret}"}} password={secret.split()[0]} secret is {secret}')
    try:
        raise ValueError(f"password={secret}")
    except ValueError as error:
        log.exception("went.wrong", error=error)

    found = written.getvalue()
    assert len(lines(written)) >= 4
    assert secret not in found
    # Nor what is left of one that was cut up.
    assert secret.replace(" ", "") not in found.replace(" ", "")


def test_what_is_no_secret_is_told_as_it_stands(written: io.StringIO) -> None:
    log = structlog.get_logger("tests.logs")
    log.info("plain", **{name.replace(" ", "_"): value for name, value in INNOCENT.items()}, count=9876543210)
    log.info("deep", given=list(INNOCENT.values()), nothing=None, ready=True)
    first, second = lines(written)
    assert [first[name.replace(" ", "_")] for name in INNOCENT] == list(INNOCENT.values())
    assert second["given"] == list(INNOCENT.values())
    assert (first["count"], second["nothing"], second["ready"]) == (9876543210, None, True)


def test_whole_addresses_and_query_strings_are_masked_deep_down(written: io.StringIO) -> None:
    structlog.get_logger("tests.logs").info(
        "deep", at=[{"to": "asha.rao@example.com", "url": "https://example.com/x?token=abc"}]
    )
    assert lines(written)[0]["at"] == [{"to": "a…@example.com", "url": "https://example.com/x?[removed]"}]


def test_an_authenticator_link_and_a_login_in_a_url_are_removed() -> None:
    assert logs.scrub("otpauth://totp/Wallet:asha?secret=JBSWY3DP&issuer=Wallet") == "otpauth://[removed]"
    assert logs.scrub("redis://:hunter2@127.0.0.1:6379/0") == "redis://[removed]@127.0.0.1:6379/0"


def test_an_account_number_beside_its_ifsc_is_removed_however_short() -> None:
    for text in ("HDFC0001234 12345", "HDFC0001234/501000", '"ifsc": "HDFC0001234", "account_number": "12345"'):
        cleaned = logs.scrub(text)
        assert "HDFC0001234" in cleaned
        assert not any(number in cleaned for number in ('12345"', " 12345", "501000"))


def test_the_row_that_a_constraint_refused_is_not_told(written: io.StringIO) -> None:
    """PostgreSQL puts the whole row into the error's detail."""
    error = psycopg.errors.CheckViolation("violates\nDETAIL:  Failing row contains (7, Asha Rao, argon2$abc, null).")
    structlog.get_logger("tests.logs").error("database.broken", exc_info=error)
    assert "Asha Rao" not in written.getvalue()
    assert "Failing row contains [removed]" in written.getvalue()


def test_what_is_deep_or_long_without_end_is_cut(written: io.StringIO) -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    structlog.get_logger("tests.logs").info("endless", it=endless, many=list(range(100_000)), long="x" * 1_000_000)
    assert len(written.getvalue()) < logs.LONGEST_TEXT + 5_000


@pytest.mark.parametrize(
    "hostile",
    [
        "a-",
        "a.",
        "a+",
        "aA1-",
        "eyJa-",
        "-eyJ",
        "http://",
        "https://a:b",
        "a://",
        " /a",
        "otpauth",
        "HDFC0123456 ",
        "1 ",
    ],
)
def test_a_text_that_somebody_chose_costs_eight_times_as_much_where_it_is_eight_times_as_long(hostile: str) -> None:
    def seconds(length: int) -> float:
        # What lets every pattern begin, and nothing that lets one end.
        text = "12345 ? : @ " + hostile * (length // len(hostile)) + "\\"
        spent = []
        for _ in range(5):
            begun = time.thread_time()
            logs.scrub(text)
            spent.append(time.thread_time() - begun)
        return min(spent)

    assert seconds(19_200) < 24 * seconds(2_400)


def test_what_cannot_begin_twice_in_a_text_is_still_found_wherever_it_begins() -> None:
    token = SECRETS["access token"]
    for text in (f"x-{token}", f"eyJa eyJb-{token}", f"/a /b\n{token}?", f"http://a http://b?c={token}"):
        assert token[-20:] not in logs.scrub(text)
    for text in ("éasha@example.com", "--asha@example.com", f"{'a-' * 99}asha@example.com"):
        assert "asha@" not in logs.scrub(text)
    for text in ("x://asha:pw@h", "http://a/ +redis://:pw@h", "a://b a://c:pw@h"):
        assert "pw" not in logs.scrub(text)
    assert logs.scrub(" /a /b?pin /c http://d http://e?pin") == " /a /b?[removed] /c http://d http://e?[removed]"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\u2028", "\x85", "\x00", "\x1b[2J"])
def test_nobody_writes_a_line_of_their_own(written: io.StringIO, end: str) -> None:
    forged = f'innocent{end}{{"event": "accounts.signed_in", "user": "usr_forged"}}'
    log = structlog.get_logger("tests.logs")
    log.info("agent.seen", agent=forged, deep={forged: [forged]})
    logging.getLogger("tests.plain").warning("%s", forged)
    text = written.getvalue()
    assert len(text.splitlines()) == 2
    assert [line["event"] for line in lines(written)] == ["agent.seen", logs.scrub(forged)]
    assert "\x1b" not in text
