"""Devices that people signed in with before: how they are known, what is told of new ones, and what stays bounded."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client as Browser
from django.utils import timezone

from accounts import known_devices
from accounts.models import KnownDevice, SecurityEvent, Session, User
from tests.accounts.people import PASSWORD, call, deliver, messages_to, person
from wallet_project.kernel.clients import Client

pytestmark = pytest.mark.usefixtures("database")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def sign_in(user: User, **headers: str) -> Any:
    answer = call("POST", "/auth/token", {"email": user.email, "password": PASSWORD}, **headers)
    assert answer.status_code == 200
    return answer


def sign_in_at_the_page(browser: Browser, user: User) -> None:
    answer = browser.post("/sign-in", {"address": user.email, "password": PASSWORD}, headers={"User-Agent": FIREFOX})
    assert answer.status_code == 303
    browser.post("/sign-out")


def subjects_to(user: User) -> list[str]:
    deliver()
    return [message.subject for message in messages_to(str(user.email))]


def remember(user: User, *tokens: str, days: float = 0) -> known_devices.Remembered:
    with transaction.atomic():
        return known_devices.remember(
            user=user, tokens=tokens, client=Client(), now=timezone.now() + timedelta(days=days)
        )


def test_the_first_device_is_no_news_a_second_one_is_told_and_a_known_one_is_not() -> None:
    asha = person()
    first = sign_in(asha).json()["device"]
    sign_in(asha, **{"X-Device-Token": first})
    assert subjects_to(asha) == []
    sign_in(asha, **{"User-Agent": FIREFOX})
    assert subjects_to(asha) == ["A new device signed in to your wallet"]
    text = messages_to(str(asha.email))[0].text
    assert "Firefox on Linux" in text
    assert "127.0.0.1" in text
    assert SecurityEvent.objects.filter(kind="device.new", subject=asha).count() == 1
    assert KnownDevice.objects.filter(user=asha).count() == 2


def test_the_cookie_makes_a_browser_known_and_no_script_or_other_site_gets_at_it(settings: Any) -> None:
    asha, browser = person(), Browser()
    sign_in_at_the_page(browser, asha)
    cookie = browser.cookies["device"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")
    assert cookie["max-age"] == 400 * 86400
    assert bytes(KnownDevice.objects.get(user=asha).digest) != cookie.value.encode()
    sign_in_at_the_page(browser, asha)
    assert subjects_to(asha) == []
    assert KnownDevice.objects.filter(user=asha).count() == 1
    # The call knows and gives the same cookie; away from one's own machine it travels encrypted only.
    settings.SESSION_COOKIE_SECURE = True
    answer = sign_in(asha, Cookie=f"device={cookie.value}")
    assert (answer.cookies["device"].value, bool(answer.cookies["device"]["secure"])) == (cookie.value, True)
    assert answer.json()["device"] == cookie.value


def test_two_people_at_one_browser_are_both_known_there() -> None:
    asha, ravi, browser = person(), person("Ravi"), Browser()
    for _ in range(2):
        for user in (asha, ravi):
            sign_in_at_the_page(browser, user)
    for user in (asha, ravi):
        assert KnownDevice.objects.filter(user=user).count() == 1
        assert subjects_to(user) == []


def test_a_token_that_a_stranger_planted_is_never_taken_over() -> None:
    asha, zoya, browser = person(), person("Zoya"), Browser()
    browser.cookies["device"] = planted = sign_in(zoya).json()["device"]
    sign_in_at_the_page(browser, asha)
    own = browser.cookies["device"].value.split(".")[0]
    assert own != planted
    now = timezone.now()
    assert known_devices.device_of(user=asha, tokens=[planted], now=now) is None
    assert known_devices.device_of(user=asha, tokens=[own], now=now) is not None


@pytest.mark.parametrize("shown", ["x", "é" * 43, "a" * 5000, "." * 100, "' OR 1=1 --", "A" * 43])
def test_what_is_no_token_of_ours_is_a_new_device(shown: str) -> None:
    asha = person()
    sign_in(asha)
    answer = sign_in(asha, Cookie=f"device={shown}") if shown.isascii() else sign_in(asha, **{"X-Device-Token": shown})
    assert answer.json()["device"] != shown
    assert KnownDevice.objects.filter(user=asha).count() == 2


def test_a_device_is_known_for_400_days() -> None:
    asha = person()
    first = remember(asha)
    assert not remember(asha, *first.tokens, days=399).is_new
    assert remember(asha, *first.tokens, days=800).is_new


def test_whoever_knows_the_password_pushes_out_none_of_the_owners_devices() -> None:
    """Zoya signs in as Asha again and again, in the hope that Asha's own devices are forgotten for hers."""
    asha = person()
    returning, once = remember(asha), remember(asha, days=39)
    gone = remember(asha)
    assert not remember(asha, *returning.tokens, days=2).is_new
    session = Session.objects.create(
        user=asha,
        kind=Session.Kind.PAGES,
        device=gone.device,
        created_at=timezone.now(),
        last_used_at=timezone.now(),
        expires_at=timezone.now() + timedelta(hours=1),
    )
    zoyas = [remember(asha, days=40 + number / 10_000) for number in range(known_devices.MOST_DEVICES + 1)]
    kept = set(KnownDevice.objects.filter(user=asha).values_list("pk", flat=True))
    assert len(kept) == known_devices.MOST_DEVICES
    # The one that came last is being signed in with.
    assert {returning.device.pk, once.device.pk, zoyas[0].device.pk, zoyas[-1].device.pk} <= kept
    assert kept.isdisjoint({gone.device.pk, zoyas[-2].device.pk})
    session.refresh_from_db()
    assert session.device_id is None


@pytest.mark.parametrize(
    ("agent", "label"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 "
            "Safari/537.36 Edg/141.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile "
            "Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/19.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("python-requests/2.32", "python-requests"),
        ("", "Unknown device"),
        # It would stand in a message to somebody whose password a stranger has.
        ("call 9876543210 or evil.example/now", "Unknown device"),
        ("https://evil.example", "Unknown device"),
    ],
)
def test_a_device_is_called_by_plain_words_and_by_none_of_a_strangers(agent: str, label: str) -> None:
    assert known_devices.label_of(agent) == label
