"""
Zoya has Asha's token, her open page, or her password: none of them gives her a second factor of her own on Asha's
account, and none of them takes Asha's own away.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import blocking, factor_changes, passkey_challenges, second_factor, sessions
from accounts.addresses import any_address
from accounts.models import RecoveryCode, Session, TotpDevice, User
from accounts.password_change import end_every_sign_in
from accounts.second_factor import Place
from accounts.sign_in import check_credentials
from accounts.stored_sessions import SessionStore
from payments.models import StepUp
from tests.accounts.at_once import in_thread, wait_until_somebody_waits
from tests.accounts.authenticator import Authenticator
from tests.accounts.changing import ask, remove
from tests.accounts.factors import code_of, enrolled, no_code_of
from tests.accounts.people import PASSWORD, call, code_sent_to, new_phone, person, superuser, tokens_of
from tests.accounts.test_passkeys import asked, form_to, with_passkey
from tests.accounts.test_races import refusal_of
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, access_of, holder, new_key
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")
LARGE = "6000.00"


def ago(**span: int) -> datetime:
    return timezone.now() - timedelta(**span)


def begin(access: str, **body: str) -> Any:
    return call("POST", "/auth/totp", body or None, access=access)


def result(answer: Any) -> str:
    """`done`, or the problem's code."""
    return "done" if answer.status_code < 300 else str(answer.json()["code"])


def aged(user: User) -> None:
    """Registered two days ago."""
    User.objects.filter(pk=user.pk).update(created_at=ago(days=2))
    user.refresh_from_db()


def test_a_stolen_token_adds_no_app_and_a_waiting_secret_belongs_to_its_session_for_ten_minutes() -> None:
    asha = person()
    tokens = tokens_of(asha)
    Session.objects.filter(user=asha).update(created_at=ago(minutes=10, seconds=1))
    renewed = call("POST", "/auth/token/refresh", {"refresh": tokens["refresh"]}).json()["access"]
    for access in (tokens["access"], renewed):
        assert result(begin(access)) == "credentials_invalid"
    assert result(begin(renewed, password="not-my-password")) == "credentials_invalid"
    assert not TotpDevice.objects.filter(user=asha).exists()

    # With the password; and then only there, and only for ten minutes.
    secret = begin(renewed, password=PASSWORD).json()["secret"]
    page, other = Browser(asha), tokens_of(asha)["access"]
    assert page.open("/security/totp").location == "/security"
    shown = {"code": code_of(secret)}
    assert result(call("POST", "/auth/totp/confirm", shown, access=other)) == "code_invalid"
    waiting = TotpDevice.objects.filter(user=asha, confirmed=False)
    waiting.update(created_at=ago(minutes=10, seconds=1))
    assert result(call("POST", "/auth/totp/confirm", shown, access=renewed)) == "code_invalid"
    waiting.update(created_at=timezone.now())
    assert result(call("POST", "/auth/totp/confirm", shown, access=renewed)) == "done"


def test_an_open_page_adds_nothing_without_the_password() -> None:
    asha = person()
    page = Browser(asha)
    form = page.open("/security/totp/begin").form
    assert page.send(form).status == 400
    assert page.send(form, password="not-my-password").status == 401
    assert not TotpDevice.objects.filter(user=asha).exists()
    assert page.open("/security/totp").location == "/security"


def test_a_further_app_takes_the_factor_that_is_on() -> None:
    asha, _, added = with_passkey()
    codes = [word for word in added.text.split() if word.count("-") == 2 and len(word) == 14]
    Session.objects.filter(user=asha).update(factor_at=ago(hours=3))
    page = Browser(User.objects.get(pk=asha.pk))
    form = page.open("/security/totp/begin").form
    assert "code" in form.fields
    assert page.send(form, password=PASSWORD).status == 400
    assert page.send(form, password=PASSWORD, code="not-a-code").status == 401

    access = access_of(asha)
    answers = [begin(access), begin(access, otp="123456"), begin(access, password=PASSWORD)]
    assert [result(answer) for answer in answers] == ["otp_required", "otp_invalid", "otp_required"]
    assert not TotpDevice.objects.filter(user=asha).exists()
    assert RecoveryCode.objects.filter(device__user=asha, used_at=None).count() == 10
    assert result(begin(access, otp=codes[0])) == "done"


def test_a_further_passkey_takes_the_factor_that_is_on_and_is_none_that_was_shown_a_moment_ago() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    page = Browser(asha)
    form = form_to(page.open("/security"), "/security/passkeys")
    options = replace(form, action="/security/passkeys/options")
    assert page.send(options, password=PASSWORD).status == 401
    assert page.send(form, name="x", password=PASSWORD, credential="{}").status == 400

    authenticator = Authenticator()
    answer = authenticator.create(
        asked(page, form, "/security/passkeys/options", password=PASSWORD, code=code_of(secret))
    )
    assert page.send(form, name="Zoya's", password=PASSWORD, credential=answer).location == "/security"
    session = Session.objects.get(user=asha, revoked_at=None)
    assert session.factor_at is None
    assert "code" in page.open("/security/totp/remove").form.fields


def test_what_was_begun_before_a_first_factor_was_on_adds_no_second_one() -> None:
    asha = person()
    page = Browser(asha)
    page.send(page.open("/security/totp/begin").form, password=PASSWORD)
    secret_page = page.open("/security/totp")
    form = form_to(page.open("/security"), "/security/passkeys")
    options = asked(page, form, "/security/passkeys/options", password=PASSWORD)
    assert page.send(form, name="x", password=PASSWORD, credential=Authenticator().create(options)).status == 200
    assert page.send(secret_page.form, code="123456").location == "/security"
    assert not TotpDevice.objects.filter(user=asha).exists()


def test_a_factor_switched_on_for_an_older_account_proves_nothing_in_its_first_day() -> None:
    asha, ravi = holder("Asha Rao", rupees=50_000, phone=new_phone()), holder("Ravi Kumar")
    aged(asha.user)
    secret, codes = enrolled(asha.user)
    zoya = Holder(asha.user, asha.wallet, access_of(asha.user))
    key, body = new_key(), {"to": ravi.email, "amount": LARGE}

    def pay(code: str, challenge: str) -> str:
        return result(zoya.post("/wallet/transfer", body, key=key, **{"X-Step-Up": f"{challenge}:{code}"}))

    def since(at: datetime) -> None:
        User.objects.filter(pk=asha.user.pk).update(second_factor_since=at)

    needed = zoya.post("/wallet/transfer", body, key=key).json()
    assert (needed["code"], needed["channel"]) == ("step_up_required", "email")
    assert pay(code_of(secret), needed["challenge"]) == "step_up_invalid"
    # Nor does one answer what an app of before was asked for.
    since(ago(days=2))
    older = zoya.post("/wallet/transfer", body, key=key).json()
    assert older["channel"] == "totp"
    since(timezone.now())
    assert pay(code_of(secret), older["challenge"]) == "step_up_invalid"
    assert pay(code_sent_to(asha.email), needed["challenge"]) == "done"

    changing = ask(zoya.access, "zoya@elsewhere.example", otp=codes[0])
    assert (changing.status_code, changing.json()["own_channel"]) == (202, "phone")
    assert remove(zoya.access, "phone", otp=codes[1]).status_code == 202

    # A day later it does.
    since(ago(hours=settings.FACTOR_SETTLES_HOURS))
    assert ask(zoya.access, "zoya@elsewhere.example", otp=codes[2]).json()["own_channel"] is None
    key = new_key()
    needed = zoya.post("/wallet/transfer", body, key=key).json()
    assert needed["channel"] == "totp"
    assert pay(code_of(secret), needed["challenge"]) == "done"


def test_a_factor_has_settled_by_the_age_of_the_account_and_of_itself_and_a_further_one_changes_nothing() -> None:
    asha = person()
    enrolled(asha)
    assert second_factor.has_settled(asha, timezone.now())
    aged(asha)
    assert not second_factor.has_settled(asha, timezone.now())
    assert second_factor.has_settled(asha, timezone.now() + timedelta(hours=24))
    long_ago = ago(days=1)
    User.objects.filter(pk=asha.pk).update(second_factor_since=long_ago)
    with transaction.atomic():
        factor_changes.after_change(user=asha, kind="factor.enrolled", change="x", keep=None, now=timezone.now())
    assert User.objects.get(pk=asha.pk).second_factor_since == long_ago
    with transaction.atomic():
        factor_changes.take_all_away(user=asha, by=asha, now=timezone.now())
    assert not second_factor.has_settled(User.objects.get(pk=asha.pk), timezone.now())


def _block(user: User) -> None:
    blocking.block(user=user, by=superuser(), reason="seen elsewhere", now=timezone.now())


def _sign_out_everywhere(user: User) -> None:
    with transaction.atomic():
        end_every_sign_in(user=User.objects.get(pk=user.pk), now=timezone.now())


@pytest.mark.parametrize(
    ("meanwhile", "refused", "led"),
    [
        (enrolled, "otp_required", "/sign-in/second-factor"),
        (_block, "blocked", "/sign-in"),
        (_sign_out_everywhere, "credentials_invalid", "/sign-in"),
    ],
)
def test_a_sign_in_that_was_under_way_does_not_outlive_what_ended_every_session(
    meanwhile: Callable[[User], object], refused: str, led: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha, real = person(), sessions.begin

    def late(**given: Any) -> Any:
        # By another copy, as another process would.
        meanwhile(User.objects.get(pk=asha.pk))
        return real(**given)

    zoya = Browser()
    form = zoya.open("/sign-in").form
    with monkeypatch.context() as slow:
        slow.setattr(sessions, "begin", late)
        answer = call("POST", "/auth/token", {"email": asha.email, "password": PASSWORD})
    assert result(answer) == refused
    assert not Session.objects.filter(user=asha, revoked_at=None).exists()
    User.objects.filter(pk=asha.pk).update(status="ACTIVE", second_factor=False, second_factor_since=None)
    TotpDevice.objects.filter(user=asha).delete()
    with monkeypatch.context() as slow:
        slow.setattr(sessions, "begin", late)
        page = zoya.send(form, address=asha.email or "", password=PASSWORD)
    assert (page.status, page.location) == (303, led)
    assert not Session.objects.filter(user=asha, revoked_at=None).exists()
    assert zoya.open("/security").status == 302


def test_a_session_that_begins_waits_for_a_factor_that_is_being_switched_on(superuser_url: str) -> None:
    asha = person()
    zoya = check_credentials(
        address=any_address(asha.email or ""), password=PASSWORD, device_tokens=(), now=timezone.now()
    )
    answers: list[str] = []

    def sign_in() -> object:
        return sessions.begin(user=zoya, kind=Session.Kind.API, device_tokens=(), factor=False, now=timezone.now())

    with transaction.atomic():
        factor_changes.lock_person(asha)
        TotpDevice.objects.create(user=asha, confirmed=True, key_sealed=b"x", created_at=timezone.now())
        factor_changes.after_change(user=asha, kind="factor.enrolled", change="x", keep=None, now=timezone.now())
        thread = in_thread(answers, refusal_of(sign_in))
        wait_until_somebody_waits(superuser_url)
    thread.join()
    assert answers == ["otp_required"]
    assert not Session.objects.filter(user=asha).exists()


def test_a_stranger_with_the_password_locks_the_factor_neither_at_a_known_device_nor_for_payments() -> None:
    asha, ravi = holder("Asha Rao", rupees=50_000), holder("Ravi Kumar")
    known = tokens_of(asha.user)["device"]
    secret, _ = enrolled(asha.user)
    here = Holder(asha.user, asha.wallet, access_of(asha.user))
    given = {"email": asha.email, "password": PASSWORD}

    def sign_in(otp: str, **headers: str) -> str:
        return result(call("POST", "/auth/token", {**given, "otp": otp}, network="10.99.1.1", **headers))

    assert {sign_in(no_code_of(secret)) for _ in range(second_factor.FAILURES.most - 1)} == {"otp_invalid"}
    assert [sign_in(no_code_of(secret)) for _ in range(2)] == ["otp_invalid", "too_many_tries"]
    assert sign_in(code_of(secret, steps=-1), **{"X-Device-Token": known}) == "done"
    key, body = new_key(), {"to": ravi.email, "amount": LARGE}
    challenge = here.post("/wallet/transfer", body, key=key).json()["challenge"]

    # Each place has its own bound, and while it is reached a right code burns no challenge.
    now = timezone.now()
    for place in (Place.SIGNED_IN, Place.KNOWN_DEVICE):
        for _ in range(second_factor.FAILURES.most):
            with pytest.raises(Refusal, match="otp_invalid"):
                second_factor.check(user=asha.user, code=no_code_of(secret), now=now, place=place)
        with pytest.raises(Refusal, match="too_many_tries"):
            second_factor.check(user=asha.user, code=code_of(secret), now=now, place=place)
    proof = {"X-Step-Up": f"{challenge}:{code_of(secret)}"}
    answer = here.post("/wallet/transfer", body, key=key, **proof)
    assert (result(answer), answer.status_code, int(answer["Retry-After"]) > 0) == ("too_many_tries", 429, True)
    assert StepUp.objects.get(user=asha.user).failures == 0
    second_factor.tries.forget(kind=second_factor.FAILURES.kind, address=f"{asha.user.public_id} {Place.SIGNED_IN}")
    assert result(here.post("/wallet/transfer", body, key=key, **proof)) == "done"


def test_of_two_requests_that_read_one_passkeys_challenge_one_gets_it_and_nothing_brings_it_back() -> None:
    now = timezone.now()
    session = SessionStore()
    passkey_challenges.keep(session, challenge=b"0123456789abcdef", purpose=passkey_challenges.SIGN_IN, now=now)
    session.save()
    first, second, third = (SessionStore(session.session_key) for _ in range(3))
    # Each has read it before the others write.
    assert all(each.get("passkey_challenge") for each in (first, second, third))
    take = {"purpose": passkey_challenges.SIGN_IN, "now": now}
    assert passkey_challenges.take(first, **take) == b"0123456789abcdef"
    with pytest.raises(Refusal, match="code_invalid"):
        passkey_challenges.take(second, **take)
    third["else"] = "written by a page that knew nothing of it"
    third.save()
    with pytest.raises(Refusal, match="code_invalid"):
        passkey_challenges.take(SessionStore(session.session_key), **take)
