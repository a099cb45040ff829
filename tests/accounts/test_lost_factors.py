"""A lost second factor: asked after the password, seen by two of support, told for a day, stopped by its owner."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from accounts import lost_factor_stops, lost_factors, second_factor
from accounts.blocking import block
from accounts.lost_factors import ask, decide, take_away_due
from accounts.models import InboxMessage, LostFactor, Passkey, RecoveryDevice, SecurityEvent, Session, User
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD
from tests.accounts.factors import code_of, enrolled
from tests.accounts.people import call, deliver, messages_to, new_email, new_phone, person, superuser, tokens_of
from tests.accounts.test_blocking_and_admin import staff
from tests.accounts.test_factor_pages import is_signed_in, with_password
from tests.accounts.test_races import refusal_of
from tests.accounts.test_totp import twenty_at_once
from tests.journeys.browsing import Browser, Page
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")
A_DAY = timedelta(hours=24)
SAYS = "You have my PAN. Call me tomorrow at ten."


@pytest.fixture(scope="module")
def dev(database: Any) -> User:
    return staff(SUPPORT, "Dev Singh")


@pytest.fixture(scope="module")
def lata(database: Any) -> User:
    return staff(SUPPORT_LEAD, "Lata Sen")


def loser(*, phone: str | None = None) -> User:
    """Somebody with a factor, as they are in the database."""
    asha = person(email=new_email(), phone=phone)
    enrolled(asha)
    return User.objects.get(pk=asha.pk)


def asked(user: User, *, now: datetime | None = None) -> LostFactor:
    ask(user=user, statement=SAYS, now=now or timezone.now())
    return LostFactor.objects.get(user=user, ended_at=None)


def agreed(user: User, first: User, second: User) -> LostFactor:
    lost = asked(user)
    for by in (first, second):
        decide(lost=lost, by=by, approve=True, reason="Knew it all on the telephone", now=timezone.now())
    lost.refresh_from_db()
    return lost


def link_sent_to(address: str) -> str:
    """The newest message's that stops the taking away, without the host."""
    deliver()
    newest = InboxMessage.objects.filter(to=address).order_by("-pk")[0]
    (link,) = re.findall(rf"{re.escape(settings.PUBLIC_URL)}(/lost-factor/\S+)", newest.text)
    return str(link)


def at_second_step(user: User) -> tuple[Browser, Page]:
    browser = Browser()
    return browser, browser.follow(with_password(user, browser))


def test_from_the_second_step_to_the_taking_away_every_page_on_the_way(dev: User, lata: User) -> None:
    asha = loser(phone=new_phone())
    signed_in_before = Browser(asha)
    # It would be over in half a day by itself.
    Session.objects.filter(user=asha).update(expires_at=timezone.now() + 3 * A_DAY)
    browser, page = at_second_step(asha)
    assert 'href="/sign-in/lost-factor"' in page.response.content.decode()
    page = browser.open("/sign-in/lost-factor")
    assert "recovery codes" in page.text
    assert browser.send(page.form, statement=" ").status == 400
    assert browser.send(page.form, statement="4111 1111 1111 1111").status == 400
    page = browser.follow(browser.send(page.form, statement=SAYS))
    assert "Support looks at who you are" in page.text
    assert not is_signed_in(browser)
    deliver()
    for address in (asha.email, asha.phone):
        assert "Somebody who knows your password" in messages_to(str(address))[0].text

    lost = LostFactor.objects.get(user=asha)
    decision = f"/admin/accounts/lostfactor/{lost.pk}/decide/"
    for by, status in ((dev, "SEEN"), (lata, "WAITING")):
        desk = Browser(by)
        assert lost.public_id in desk.open("/admin/accounts/lostfactor/").text
        page = desk.open(decision)
        assert SAYS in page.text
        done = desk.send(page.forms[-1], decision="approve", reason="Knew it all on the telephone")
        assert done.location == f"/admin/accounts/lostfactor/{lost.pk}/change/"
        lost.refresh_from_db()
        assert lost.status == status
    assert lost.ready_at is not None
    deliver()
    for address in (asha.email, asha.phone):
        assert "It is taken away once a day has passed" in messages_to(str(address))[0].text
    assert "Two of support have agreed" in browser.open("/sign-in/lost-factor").text

    take_away_due(now=lost.ready_at - timedelta(seconds=1))
    assert User.objects.get(pk=asha.pk).second_factor
    take_away_due(now=lost.ready_at)
    lost.refresh_from_db()
    assert (lost.status, lost.first_by, lost.second_by) == ("DONE", dev, lata)
    assert not User.objects.get(pk=asha.pk).second_factor
    assert not RecoveryDevice.objects.filter(user=asha).exists()
    assert not is_signed_in(signed_in_before)
    deliver()
    assert "taken away by support" in messages_to(str(asha.email))[0].text
    kinds = SecurityEvent.objects.filter(subject=asha, kind__startswith="factor.").order_by("pk")
    assert list(kinds.values_list("kind", "actor"))[-4:] == [
        ("factor.lost_asked", None),
        ("factor.lost_approved", dev.pk),
        ("factor.lost_approved", lata.pk),
        ("factor.removed", lata.pk),
    ]
    assert with_password(asha, Browser(), next="/add").location == "/add"


def test_whoever_has_not_shown_the_password_is_sent_to_do_so_whoever_they_name() -> None:
    asha, browser = loser(), Browser()
    for answer in (
        browser.client.get("/sign-in/lost-factor", {"address": asha.email}),
        Client().post("/sign-in/lost-factor", {"address": asha.email, "statement": SAYS}),
    ):
        assert (answer.status_code, answer["Location"]) == (303, "/sign-in")
    assert not LostFactor.objects.filter(user=asha).exists()


def test_it_takes_two_who_may_and_neither_is_the_person(dev: User, lata: User) -> None:
    asha = loser()
    lost = asked(asha)

    def says(by: User, *, approve: bool = True) -> str:
        lost.refresh_from_db()
        return refusal_of(lambda: decide(lost=lost, by=by, approve=approve, reason="Sure", now=timezone.now()))()

    for by in (asha, person("Zoya"), staff(AUDITOR, "Anil")):
        assert says(by) == "permission_denied"
    assert says(dev) == "done"
    assert says(dev) == "permission_denied"
    lost.refresh_from_db()
    assert lost.status == "SEEN"
    # Not by a slip of ours, either.
    with pytest.raises(IntegrityError, match="lost_factor_four_eyes"):
        LostFactor.objects.filter(pk=lost.pk).update(second_by=dev)
    tried = SecurityEvent.objects.filter(subject=asha, kind="factor.lost_approved", result="REFUSED")
    assert tried.count() == 4
    assert says(lata) == "done"
    assert says(superuser()) == "proposal_over"
    assert take_away_due(now=timezone.now()) == []
    # A no still stops it.
    assert says(dev, approve=False) == "done"
    take_away_due(now=timezone.now() + A_DAY)
    assert User.objects.get(pk=asha.pk).second_factor


def test_of_staff_only_superusers_take_a_factor_away_and_nobody_their_own(dev: User, lata: User) -> None:
    root = superuser()
    of_support, of_root = asked(staff(SUPPORT, "Sara")), asked(root)
    for lost, by in ((of_support, dev), (of_support, lata), (of_root, lata), (of_root, root)):
        with pytest.raises(Refusal, match="permission_denied"):
            decide(lost=lost, by=by, approve=True, reason="Sure", now=timezone.now())
    decide(lost=of_root, by=superuser(), approve=True, reason="Sure", now=timezone.now())
    decide(lost=of_support, by=root, approve=True, reason="Sure", now=timezone.now())


def test_whoever_lost_their_role_in_between_has_said_nothing(lata: User) -> None:
    former = staff(SUPPORT, "Sara")
    lost = asked(loser())
    decide(lost=lost, by=former, approve=True, reason="Sure", now=timezone.now())
    block(user=former, by=superuser(), reason="Left", now=timezone.now())
    with pytest.raises(Refusal, match="permission_denied"):
        decide(lost=lost, by=lata, approve=True, reason="Sure", now=timezone.now())


def test_the_messages_link_stops_it_by_its_button_alone_and_once(dev: User, lata: User) -> None:
    asha = loser()
    lost = agreed(asha, dev, lata)
    link = link_sent_to(str(asha.email))
    stranger = Browser()
    page = stranger.open(link)
    assert page.status == 200
    lost.refresh_from_db()
    assert lost.status == "WAITING"
    assert stranger.follow(stranger.send(page.form)).status == 200
    lost.refresh_from_db()
    assert lost.status == "STOPPED"
    take_away_due(now=timezone.now() + A_DAY)
    assert User.objects.get(pk=asha.pk).second_factor
    deliver()
    assert "is not taken away" in messages_to(str(asha.email))[0].text
    assert stranger.send(page.form).status == 400
    assert stranger.open(link).status == 400


def test_nobody_elses_token_stops_it() -> None:
    lost, zoyas = asked(loser()), asked(loser())
    good = lost_factor_stops.token_of(lost.uuid)
    theirs = lost_factor_stops.token_of(zoyas.uuid)
    browser = Browser()
    for token in ("", good[:32], good[:32] + theirs[32:], good[:-1] + "é", "z" * len(good), good + "a", "\0"):
        assert browser.open(f"/lost-factor/stop?token={token}").status == 400, token
    assert browser.open(f"/lost-factor/stop?token={good}").status == 200


@pytest.mark.parametrize("by", ["page", "token"])
def test_showing_the_factor_stops_it_and_the_password_alone_does_not(by: str) -> None:
    asha = person()
    secret, _ = enrolled(asha)
    lost = asked(User.objects.get(pk=asha.pk))
    browser, page = at_second_step(asha)
    assert call("POST", "/auth/token", {"email": asha.email, "password": "a-quiet-river-91"}).status_code == 401
    lost.refresh_from_db()
    assert lost.status == "ASKED"
    if by == "page":
        assert browser.send(page.forms[-1], code=code_of(secret)).status == 303
    else:
        shown = {"email": asha.email, "password": "a-quiet-river-91", "otp": code_of(secret)}
        assert call("POST", "/auth/token", shown).status_code == 200
    lost.refresh_from_db()
    assert (lost.status, lost.ended_at is not None) == ("STOPPED", True)


def test_what_was_signed_in_dies_and_whoever_is_blocked_keeps_theirs(dev: User, lata: User) -> None:
    asha, zoya = person(), loser()
    access = tokens_of(asha)["access"]
    Passkey.objects.create(user=asha, credential_id=asha.uuid.bytes, public_key=b"", created_at=timezone.now())
    User.objects.filter(pk=asha.pk).update(second_factor=True)
    agreed(User.objects.get(pk=asha.pk), dev, lata)
    agreed(zoya, dev, lata)
    block(user=zoya, by=dev, reason="Fraud", now=timezone.now())
    take_away_due(now=timezone.now() + A_DAY)
    assert call("GET", "/me", access=access).status_code == 401
    assert not Passkey.objects.filter(user=asha).exists()
    assert User.objects.get(pk=zoya.pk).second_factor


def test_of_twenty_sweeps_and_stops_at_once_one_thing_happens(dev: User, lata: User) -> None:
    asha = loser()
    lost = agreed(asha, dev, lata)
    token, then = lost_factor_stops.token_of(lost.uuid), timezone.now() + A_DAY
    turn = iter(range(20))

    def one() -> str:
        if next(turn) % 2:
            return refusal_of(lambda: lost_factor_stops.stop(token=token, now=then))()
        return "taken" if take_away_due(now=then) else "nothing"

    answers = twenty_at_once(one)
    assert (answers.count("done"), answers.count("taken")) in ((1, 0), (0, 1)), answers
    lost.refresh_from_db()
    stays = User.objects.get(pk=asha.pk).second_factor
    assert (lost.status, stays) == (("STOPPED", True) if "done" in answers else ("DONE", False))


def test_it_is_asked_three_times_a_week_and_what_nobody_decides_is_over() -> None:
    asha, now = loser(), timezone.now()
    for _ in range(lost_factors.MOST_ASKED):
        lost = asked(asha, now=now)
        # Again, while it is under way: the same one.
        assert ask(user=asha, statement="And again", now=now) == []
        assert lost.statement == SAYS
        lost_factor_stops.stop(token=lost_factor_stops.token_of(lost.uuid), now=now)
    browser, _ = at_second_step(asha)
    refused = browser.send(browser.open("/sign-in/lost-factor").form, statement=SAYS)
    assert refused.status == 429
    assert int(refused.response["Retry-After"]) > 0
    later = now + lost_factors.ASKED_WITHIN
    lost = asked(asha, now=later)
    take_away_due(now=later + lost_factors.LIFETIME)
    lost.refresh_from_db()
    assert lost.status == "REFUSED"


def test_whoever_is_refused_reads_why(dev: User) -> None:
    asha = loser()
    decide(lost=asked(asha), by=dev, approve=False, reason="Nobody picked up", now=timezone.now())
    deliver()
    assert "Nobody picked up" in messages_to(str(asha.email))[0].text
    assert second_factor.is_on(User.objects.get(pk=asha.pk))
