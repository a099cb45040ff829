"""Whoever forgot their password gets a new one by a code; whoever guesses, replays or claims an address does not."""

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import known_devices, reset_links
from accounts.addresses import any_address
from accounts.blocking import block
from accounts.models import AddressTries, OutgoingMessage, SecurityEvent, User, VerificationCode
from accounts.password_reset import ask_for_reset, reset_password
from accounts.verification import (
    ALL_TRIES_OF_A_RESET,
    CODE_LIFETIME,
    MOST_FAILURES_OF_A_CODE,
    RESETS_FROM_A_NETWORK,
    RESETS_OF_AN_ADDRESS,
    TRIES_OF_A_RESET,
)
from tests.accounts.people import (
    PASSWORD,
    call,
    code_sent_to,
    deliver,
    messages_to,
    new_email,
    new_phone,
    person,
    register_by_api,
    superuser,
    tokens_of,
    verify_with,
    wrong,
)
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")

ANOTHER = "seven-brown-otters"
WORK = re.compile(r"\s*(INSERT INTO \S+|SELECT .*? FROM \S+|UPDATE \S+|DELETE FROM \S+)?", re.DOTALL)


def ask(address: str) -> None:
    channel = "email" if "@" in address else "phone"
    assert call("POST", "/auth/password/reset", {channel: address}).status_code == 202


def confirm(address: str, code: str, new_password: str = ANOTHER) -> tuple[int, str]:
    channel = "email" if "@" in address else "phone"
    body = {channel: address, "code": code, "new_password": new_password}
    answer = call("POST", "/auth/password/reset/confirm", body)
    return answer.status_code, answer.json()["code"] if answer.content else ""


def test_the_code_makes_a_new_password_and_ends_whatever_was_signed_in() -> None:
    asha = person()
    before = tokens_of(asha)
    ask(str(asha.email))
    code = code_sent_to(str(asha.email))
    assert confirm(str(asha.email), code) == (204, "")
    assert call("GET", "/me", access=before["access"]).json()["code"] == "token_invalid"
    assert call("POST", "/auth/token/refresh", {"refresh": before["refresh"]}).json()["code"] == "token_invalid"
    assert tokens_of(asha, ANOTHER)
    deliver()
    assert "Your wallet's password was changed" in [message.subject for message in messages_to(str(asha.email))]
    assert SecurityEvent.objects.filter(kind="password.reset", subject=asha).count() == 1


def test_it_works_by_phone_too_and_a_second_factor_stays() -> None:
    asha = person(phone=new_phone())
    User.objects.filter(pk=asha.pk).update(second_factor=True)
    ask(str(asha.phone))
    assert confirm(str(asha.phone), code_sent_to(str(asha.phone))) == (204, "")
    assert User.objects.get(pk=asha.pk).second_factor


def test_a_code_works_once_and_the_codes_asked_for_before_die_with_it() -> None:
    asha = person()
    ask(str(asha.email))
    first = code_sent_to(str(asha.email))
    ask(str(asha.email))
    second = code_sent_to(str(asha.email))
    assert confirm(str(asha.email), first)[0] == 204
    for code in (first, second):
        assert confirm(str(asha.email), code, "nine-white-geese") == (400, "code_invalid")
    assert User.objects.get(pk=asha.pk).check_password(ANOTHER)


def test_a_code_dies_after_ten_minutes() -> None:
    asha, now = person(), timezone.now()
    ask(str(asha.email))
    code, address = code_sent_to(str(asha.email)), any_address(str(asha.email))
    later = now + CODE_LIFETIME + timedelta(seconds=5)
    with pytest.raises(Refusal, match="code_invalid"):
        reset_password(address=address, code=code, new_password=ANOTHER, now=later)


def test_a_password_that_will_not_do_uses_up_no_code() -> None:
    asha = person("Asha Raokumari")
    ask(str(asha.email))
    code = code_sent_to(str(asha.email))
    # The first two are judged for everybody alike, and count no try at all.
    for _ in range(MOST_FAILURES_OF_A_CODE):
        assert confirm(str(asha.email), code, "short") == (400, "invalid")
        assert confirm(str(asha.email), wrong(code), "password12") == (400, "invalid")
    assert confirm(str(asha.email), code, "asha raokumari") == (400, "invalid")
    assert confirm(str(asha.email), wrong(code), "asha raokumari") == (400, "code_invalid")
    assert confirm(str(asha.email), code) == (204, "")


def test_codes_cannot_be_guessed_through_transactions_that_roll_back() -> None:
    asha, now = person(), timezone.now()
    address = any_address(str(asha.email))
    ask(address.value)
    code = code_sent_to(address.value)
    # A try inside somebody's transaction would come back with its rollback: it is refused.
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        reset_password(address=address, code=wrong(code), new_password=ANOTHER, now=now)
    for _ in range(MOST_FAILURES_OF_A_CODE):
        assert confirm(address.value, wrong(code)) == (400, "code_invalid")
    # By now the right one is dead, and a fresh one brings few tries more.
    assert confirm(address.value, code) == (400, "code_invalid")
    while confirm(address.value, wrong(code)) != (429, "too_many_tries"):
        pass
    ask(address.value)
    assert confirm(address.value, code_sent_to(address.value)) == (429, "too_many_tries")
    assert not User.objects.get(pk=asha.pk).check_password(ANOTHER)


def test_an_address_nobody_has_is_counted_and_answered_alike() -> None:
    email = new_email("nobody")
    ask(email)
    answers = [confirm(email, "123456") for _ in range(TRIES_OF_A_RESET.most + 1)]
    assert answers == [(400, "code_invalid")] * TRIES_OF_A_RESET.most + [(429, "too_many_tries")]


def test_asking_does_the_same_work_for_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[object] = []
    monkeypatch.setattr(
        "accounts.tasks.send_messages.apply_async", lambda **given: woken.extend(given["kwargs"]["message_ids"])
    )
    asha, blocked, claimed = person(), person("Ravi"), new_email("zoya")
    block(user=blocked, by=superuser(), reason="Stolen phone", now=timezone.now())
    register_by_api(email=claimed)
    woken.clear()
    seen = set()
    for email in (asha.email, blocked.email, claimed, new_email("nobody")):
        with CaptureQueriesContext(connection) as captured:
            ask(str(email))
        seen.add(tuple(found for query in captured if (found := WORK.match(query["sql"])[0])))  # type: ignore[index]
    assert (len(seen), len(woken)) == (1, 4)
    assert [row.user for row in OutgoingMessage.objects.filter(purpose="RESET", sent_at=None)] == [asha]


def test_whoever_registers_somebodys_address_first_resets_nothing() -> None:
    """Zoya claims Asha's address before her, and asks for a new password there."""
    email = new_email()
    register_by_api(email=email, full_name="Zoya")
    ask(email)
    deliver()
    assert all("password" not in message.text for message in messages_to(email))
    register_by_api(email=email, full_name="Asha Rao")
    asha = verify_with(email, code_sent_to(email))
    ask(email)
    # A code for a new password verifies nothing, and the other way round.
    code = code_sent_to(email)
    assert call("POST", "/auth/verify", {"email": email, "code": code}).json()["code"] == "code_invalid"
    assert confirm(email, code)[0] == 204
    assert User.objects.get(email=email) == asha


def test_a_code_for_an_address_that_is_no_longer_the_persons_is_dead() -> None:
    asha = person(phone=new_phone(), email=new_email())
    ask(str(asha.email))
    code = code_sent_to(str(asha.email))
    User.objects.filter(pk=asha.pk).update(email=None, email_verified_at=None)
    assert confirm(str(asha.email), code) == (400, "code_invalid")


def test_whoever_was_locked_out_by_guesses_signs_in_after_a_reset() -> None:
    asha = person()
    body = {"email": asha.email, "password": "a-wrong-guess-1"}
    while call("POST", "/auth/token", body).status_code != 429:
        pass
    assert call("POST", "/auth/token", {**body, "password": PASSWORD}).status_code == 429
    ask(str(asha.email))
    assert confirm(str(asha.email), code_sent_to(str(asha.email)))[0] == 204
    assert tokens_of(asha, ANOTHER)


def test_strangers_who_register_with_the_address_keep_no_code_from_its_owner() -> None:
    asha = person()
    for _ in range(8):
        register_by_api(email=asha.email, full_name="Zoya")
    assert len(ask_for_reset(address=any_address(str(asha.email)), now=timezone.now())) == 1


def link_in(address: str) -> str:
    """Where the newest message with a link leads."""
    deliver()
    links = [found[1] for each in messages_to(address) if (found := re.search(r"://[^/]+(/password/\S+)", each.text))]
    return links[0]


def by_link(link: str, new_password: str = ANOTHER, browser: Client | None = None) -> Any:
    path, token = link.split("?token=")
    return (browser or Client()).post(path, {"token": token, "new_password": new_password})


def networks() -> Iterator[str]:
    """IP addresses of strangers."""
    return (f"10.3.{number // 250}.{number % 250 + 1}" for number in itertools.count())


def asking(email: str, network: str, **headers: str) -> int:
    """Ask from there; how many messages went out with it."""
    deliver()
    before = len(messages_to(email))
    assert call("POST", "/auth/password/reset", {"email": email}, network=network, **headers).status_code == 202
    deliver()
    return len(messages_to(email)) - before


def test_strangers_who_ask_leave_the_owner_her_own_messages_or_one_whose_link_is_good() -> None:
    asha = person()
    email, strangers = str(asha.email), networks()
    device = tokens_of(asha)["device"]
    there = next(strangers)
    from_one = [asking(email, there) for _ in range(RESETS_FROM_A_NETWORK.most + 1)]
    assert from_one == [1] * RESETS_FROM_A_NETWORK.most + [0]
    assert asking(email, "10.4.1.1") == 1
    sent = RESETS_FROM_A_NETWORK.most + 1
    while asking(email, there := next(strangers)):
        sent += 1
    assert sent == RESETS_OF_AN_ADDRESS.most
    # It was not counted: once the window is over, this network has all of its own again.
    assert AddressTries.objects.get(kind="SENT", address__startswith=f"{there} {asha.public_id}").count == 0
    # Now only a device that she signed in with gets another; and what strangers asked for is hers to use.
    assert asking(email, "10.4.1.1") == 0
    link = link_in(email)
    assert asking(email, "10.4.1.1", **{"X-Device-Token": device}) == 1
    VerificationCode.objects.filter(verification__user=asha).update(expires_at=timezone.now() - timedelta(minutes=49))
    assert by_link(link)["Location"] == "/sign-in"
    assert tokens_of(asha, ANOTHER)
    # The links are dead with it, so there are messages again.
    assert asking(email, "10.4.1.1") == 1


def test_wrong_codes_of_strangers_end_codes_only_and_hers_counts_by_itself() -> None:
    asha = person()
    email, strangers = str(asha.email), networks()
    device = tokens_of(asha)["device"]
    ask(email)
    body = {"email": email, "code": wrong(code_sent_to(email)), "new_password": ANOTHER}
    link = link_in(email)

    def guess(network: str, **headers: str) -> int:
        answer = call("POST", "/auth/password/reset/confirm", body, network=network, **headers)
        return int(answer.status_code)

    there = next(strangers)
    assert [guess(there) for _ in range(11)] == [400] * TRIES_OF_A_RESET.most + [429]
    assert guess("10.4.1.1") == 400
    made = TRIES_OF_A_RESET.most + 2
    while guess(next(strangers)) == 400:
        made += 1
    # One of them was past its network's own limit, and counted over all the same.
    assert made == ALL_TRIES_OF_A_RESET.most
    ask(email)
    body["code"] = code_sent_to(email)
    assert guess("10.4.1.1") == 429
    assert by_link(link, "short").status_code == 400
    assert guess("10.4.1.1", **{"X-Device-Token": device}) == 204
    assert by_link(link).status_code == 400
    assert User.objects.get(pk=asha.pk).check_password(ANOTHER)


def test_the_link_opens_one_new_password_for_an_hour_and_only_for_whoever_got_it() -> None:
    asha, ravi = person(), person("Ravi")
    for user in (asha, ravi):
        ask(str(user.email))
    link, ravis = link_in(str(asha.email)), link_in(str(ravi.email))
    path, token = link.split("?token=")
    assert re.fullmatch("[a-p]{56}", token)
    # Mail servers open links: looking changes nothing.
    page = Client().get(link)
    assert (page.status_code, page["Cache-Control"]) == (200, "max-age=0, no-cache, no-store, must-revalidate, private")
    of_ravi = ravis.split("?token=")[1]
    for guess in (
        "",
        "a" * 56,
        token[:-1],
        token.upper(),
        token[:16] + of_ravi[16:],
        of_ravi[:16] + token[16:],
        "p" * 56,
    ):
        assert by_link(f"{path}?token={guess}").status_code == 400
    message = OutgoingMessage.objects.get(user=asha, purpose="RESET")
    made = timezone.now()
    assert reset_links.message_of(token=token, now=made + timedelta(minutes=59)) == message
    with pytest.raises(Refusal, match="code_invalid"):
        reset_links.message_of(token=token, now=made + timedelta(hours=1, seconds=1))
    assert Client(enforce_csrf_checks=True).post(path, {"token": token, "new_password": ANOTHER}).status_code == 403
    assert by_link(link)["Location"] == "/sign-in"
    assert by_link(link, "nine-white-geese").status_code == 400
    assert User.objects.get(pk=asha.pk).check_password(ANOTHER)
    assert User.objects.get(pk=ravi.pk).check_password(PASSWORD)


def test_the_link_dies_with_its_address_and_with_a_block() -> None:
    asha, ravi = person(), person("Ravi")
    links = []
    for user in (asha, ravi):
        ask(str(user.email))
        links.append(link_in(str(user.email)))
    User.objects.filter(pk=asha.pk).update(email=new_email())
    block(user=ravi, by=superuser(), reason="Stolen phone", now=timezone.now())
    assert [by_link(link).status_code for link in links] == [400, 400]


@pytest.mark.parametrize("way", ["link", "code"])
def test_strangers_guesses_after_a_reset_do_not_keep_the_browser_out_that_made_it(way: str) -> None:
    asha, browser, strangers = person(), Client(), networks()
    email = str(asha.email)
    ask(email)
    code = code_sent_to(email)
    if way == "link":
        by_link(link_in(email), browser=browser)
    else:
        browser.post("/password/reset/confirm", {"address": email, "code": code, "new_password": ANOTHER})
    guess = {"email": email, "password": "a-wrong-guess-1"}
    while call("POST", "/auth/token", guess, network=next(strangers)).status_code != 429:
        pass
    assert Client().post("/sign-in", {"address": email, "password": ANOTHER}).status_code == 429
    assert browser.post("/sign-in", {"address": email, "password": ANOTHER})["Location"] == "/"


def test_the_call_makes_its_device_known_too() -> None:
    asha = person()
    ask(str(asha.email))
    body = {"email": asha.email, "code": code_sent_to(str(asha.email)), "new_password": ANOTHER}
    answer = call("POST", "/auth/password/reset/confirm", body)
    assert (answer.status_code, answer.content) == (204, b"")
    shown = answer.cookies["device"].value
    assert known_devices.device_of(user=asha, tokens=[shown], now=timezone.now()) is not None
