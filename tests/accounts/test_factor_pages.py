"""The pages of the second factor, as a browser without JavaScript uses them."""

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from accounts import second_factor
from accounts.models import SecurityEvent, Session, User
from tests.accounts.factors import code_of, enrolled, no_code_of
from tests.accounts.people import PASSWORD, call, new_email, person, tokens_of
from tests.journeys.browsing import Browser, Page

pytestmark = pytest.mark.usefixtures("database")


def with_password(user: User, browser: Browser, *, next: str = "") -> Page:
    """The first step."""
    page = browser.open(f"/sign-in?next={next}")
    return browser.send(page.form, address=user.email or "", password=PASSWORD)


def is_signed_in(browser: Browser) -> bool:
    return browser.open("/security").status == 200


def id_of(browser: Browser) -> str:
    return browser.client.cookies[settings.SESSION_COOKIE_NAME].value


def test_nobody_is_signed_in_before_the_second_step_and_each_step_changes_the_sessions_id() -> None:
    asha, browser = person(), Browser()
    secret, _ = enrolled(asha)
    # Whoever registers has a session of Django's before they are anybody.
    browser.send(browser.open("/register").form, full_name="Zoya", address=asha.email, password=PASSWORD)
    before = id_of(browser)
    first = with_password(asha, browser, next="/add")
    assert (first.status, first.location) == (303, "/sign-in/second-factor")
    half_way = id_of(browser)
    assert half_way != before
    assert not is_signed_in(browser)
    page = browser.follow(first)
    assert "One more step" in page.text

    wrong = browser.send(page.forms[-1], code=no_code_of(secret))
    assert wrong.status == 401
    assert "wrong or used" in wrong.text
    assert not is_signed_in(browser)
    done = browser.send(page.forms[-1], code=code_of(secret))
    assert (done.status, done.location) == (303, "/add")
    assert is_signed_in(browser)
    assert id_of(browser) != half_way
    assert Session.objects.get(user=asha, kind="PAGES", revoked_at=None).factor_at is not None
    # The id of before opens nothing, and the step is over.
    planted = Browser()
    planted.client.cookies[settings.SESSION_COOKIE_NAME] = half_way
    assert not is_signed_in(planted)
    assert planted.open("/sign-in/second-factor").location == "/sign-in"
    assert SecurityEvent.objects.filter(subject=asha, kind="sign_in", reason="otp_invalid").exists()


def test_the_second_step_is_over_in_five_minutes_and_with_a_new_password(monkeypatch: pytest.MonkeyPatch) -> None:
    asha, late, changed = person(), Browser(), Browser()
    secret, _ = enrolled(asha)
    page = late.follow(with_password(asha, late))
    now = timezone.now()
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: now + timedelta(minutes=5, seconds=1))
        assert late.send(page.forms[-1], code=code_of(secret)).location == "/sign-in"
    assert not is_signed_in(late)

    page = changed.follow(with_password(asha, changed))
    asha.refresh_from_db()
    asha.set_password("another-quiet-river-92")
    asha.save(update_fields=["password"])
    assert changed.send(page.forms[-1], code=code_of(secret)).location == "/sign-in"
    assert not is_signed_in(changed)


def test_guesses_at_the_second_step_end_in_429_which_says_how_long() -> None:
    asha, browser = person(), Browser()
    secret, _ = enrolled(asha)
    page = browser.follow(with_password(asha, browser))
    for _ in range(second_factor.FAILURES.most):
        assert browser.send(page.forms[-1], code=no_code_of(secret)).status == 401
    refused = browser.send(page.forms[-1], code=code_of(secret))
    assert refused.status == 429
    assert int(refused.response["Retry-After"]) > 0
    assert not is_signed_in(browser)


def test_setting_up_an_app_using_a_recovery_code_making_new_ones_and_removing_it() -> None:
    asha = person()
    browser, other = Browser(), Browser()
    with_password(asha, browser)
    with_password(asha, other)
    before = id_of(browser)
    token = tokens_of(asha)["access"]
    setting_up = browser.follow(browser.send(browser.open("/security/totp/begin").form, password=PASSWORD))
    (secret,) = re.findall(r"\b[A-Z2-7]{32}\b", setting_up.text)
    assert browser.send(setting_up.form, code=no_code_of(secret)).status == 400
    shown = browser.send(setting_up.form, code=code_of(secret, steps=-1))
    codes = re.findall(r"\b\w{4}-\w{4}-\w{4}\b", shown.text)
    assert len(codes) == 10
    assert "no-store" in shown.response["Cache-Control"]
    assert id_of(browser) != before
    assert is_signed_in(browser)
    assert not is_signed_in(other)
    assert call("GET", "/me", access=token).status_code == 401
    # Shown once: the page knows only how many there are.
    assert "10 left" in browser.open("/security").text
    assert not re.findall(r"\b\w{4}-\w{4}-\w{4}\b", browser.open("/security").text)

    second = other.follow(with_password(asha, other))
    assert other.send(second.forms[-1], code=codes[0].upper().replace("-", " ")).status == 303
    assert "9 left" in other.open("/security").text
    again = Browser()
    assert again.send(again.follow(with_password(asha, again)).forms[-1], code=codes[0]).status == 401

    # A moment after the factor was shown the password is enough; later the code is asked for too.
    page = other.open("/security/recovery-codes")
    assert other.send(page.form, password="not-my-password").status == 401
    fresh = re.findall(r"\b\w{4}-\w{4}-\w{4}\b", other.send(page.form, password=PASSWORD).text)
    assert len(fresh) == 10
    assert not set(fresh) & set(codes)
    Session.objects.filter(user=asha).update(factor_at=timezone.now() - timedelta(minutes=11))
    page = other.open("/security/totp/remove")
    assert other.send(page.form, password=PASSWORD, code=codes[1]).status == 401
    assert other.send(page.form, password=PASSWORD, code=fresh[1]).location == "/security"
    assert not User.objects.get(pk=asha.pk).second_factor
    assert with_password(asha, Browser(), next="/add").location == "/add"


def test_nobody_removes_or_sees_anothers_passkey() -> None:
    zoya = Browser(person("Zoya", email=new_email("zoya")))
    assert zoya.open("/security/passkeys/1/remove").status == 404
