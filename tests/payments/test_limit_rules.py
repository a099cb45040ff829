"""The operator's limits: two of staff change them, they hold from then on, and what they were stays on record."""

from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import SecurityEvent, User
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD
from payments.models import HoldingLimit, LimitRule, Proposal
from payments.proposals import propose
from tests.journeys.browsing import Page
from tests.payments.cast import Holder, fund, holder
from tests.payments.staff import page_of, press, shown, staff
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")
RULES, HOLDINGS = "/admin/payments/limitrule/", "/admin/payments/holdinglimit/"
WHY, AGREED = "A wave of fraud", "Seen, and agreed"
AMOUNTS = {"per_transaction": "900", "per_day": "1,500", "per_month": "5000"}


@pytest.fixture(scope="module")
def leads(database: object) -> tuple[Client, Client]:
    return staff(SUPPORT_LEAD, "Lata Sen"), staff(SUPPORT_LEAD, "Lila Das")


def user_of(browser: Client) -> User:
    return User.objects.get(pk=browser.session["_auth_user_id"])


def proposed(by: Client, at: str = RULES, **fields: str) -> Proposal:
    answer = by.post(f"{at}propose/", {"reason": WHY, **fields})
    assert answer.status_code == 302, answer.content
    return Proposal.objects.latest("pk")


def send(person: Holder, to: Holder, rupees: str) -> tuple[int, str]:
    answer = person.post("/wallet/transfer", {"to": to.wallet.public_id, "amount": rupees})
    return answer.status_code, str(answer.json().get("code", ""))


def test_two_leads_change_a_limit_and_the_next_payment_meets_it(leads: tuple[Client, Client]) -> None:
    asha, ravi, (first, second) = holder(rupees=5000), holder("Ravi Iyer"), leads
    old = LimitRule.objects.get(kyc_level="MINIMUM", type="TRANSFER")
    wish = proposed(first, kyc_level="MINIMUM", type="TRANSFER", **AMOUNTS)
    # Proposed is not done: neither is anything that the first one tries alone.
    assert send(asha, ravi, "901") == (201, "")
    for browser in (first, staff(SUPPORT), staff(AUDITOR, "Anil Gupta")):
        assert browser.post(page_of(wish, "decide"), {"answer": "approve", "reason": "Mine"}).status_code == 403
    assert LimitRule.objects.filter(kyc_level="MINIMUM", type="TRANSFER").count() == 1
    read = shown(second.get(page_of(wish, "decide")))
    assert "At level MINIMUM, what is sent to people: at most ₹900.00 at once, ₹1,500.00 a day" in read
    assert press(second, wish, "decide", answer="approve", reason=AGREED).startswith("Done: At level MINIMUM")

    assert send(asha, ravi, "900.01") == (422, "limit_exceeded")
    # What went today counts.
    assert send(asha, ravi, "599.01") == (422, "limit_exceeded")
    assert send(asha, ravi, "599") == (201, "")
    assert asha.get("/limits").json()["limits"][0]["left"]["amount"] == "0.00"
    # Only of this level and this type.
    meera = asha.get("/limits").json()["limits"][1]
    assert meera["per_transaction"]["amount"] == "200000.00"
    User.objects.filter(pk=asha.user.pk).update(kyc_level="FULL")
    assert send(asha, ravi, "901") == (201, "")

    new = LimitRule.objects.filter(kyc_level="MINIMUM", type="TRANSFER").latest("pk")
    assert (new.set_by, new.reason, new.since >= old.since) == (user_of(first), WHY, True)
    old_again = LimitRule.objects.get(pk=old.pk)
    assert (old_again.per_day, old_again.since, old_again.reason) == (old.per_day, old.since, old.reason)
    event = SecurityEvent.objects.get(kind="limit.set", object=wish.public_id)
    assert (event.actor, event.details["proposed_by"]) == (user_of(second), user_of(first).public_id)
    assert {name: event.details[name] for name in AMOUNTS} == {
        "per_transaction": "900.00",
        "per_day": "1500.00",
        "per_month": "5000.00",
    }
    # Auditors read all of it, and see which one holds.
    listed = Page(staff(AUDITOR, "Anil Gupta").get(f"{RULES}?type=TRANSFER&kyc_level=MINIMUM"), RULES).text
    assert "₹900.00" in listed
    assert "₹2,00,000.00" in listed


def test_what_a_wallet_may_hold_is_changed_by_two_as_well(leads: tuple[Client, Client]) -> None:
    asha, ravi, (first, second) = holder(rupees=500), holder("Ravi Iyer", rupees=4900), leads
    wish = proposed(first, HOLDINGS, kyc_level="MINIMUM", most="5000")
    assert "a wallet holds at most ₹5,000.00" in shown(second.get(page_of(wish, "decide")))
    press(second, wish, "decide", answer="approve", reason=AGREED)
    # Of the payee's limit the payer learns nothing.
    assert send(asha, ravi, "100.01") == (422, "recipient_unavailable")
    assert send(asha, ravi, "100") == (201, "")
    assert ravi.get("/limits").json()["holding"] == {
        "most": {"amount": "5000.00", "currency": "INR"},
        "left": {"amount": "0.00", "currency": "INR"},
    }
    # What a bank has moved already is not refused, and nothing more comes on top.
    fund(ravi.wallet, 200)
    assert ravi.get("/limits").json()["holding"]["left"]["amount"] == "0.00"
    assert HoldingLimit.objects.filter(kyc_level="MINIMUM").count() == 2
    assert HoldingLimit.objects.latest("pk").set_by == user_of(first)
    assert SecurityEvent.objects.get(kind="limit.set", object=wish.public_id).details["most"] == "5000.00"
    assert proposed(second, HOLDINGS, kyc_level="MINIMUM", most="1000000").kind == "HOLDING"


def test_a_no_changes_nothing_and_a_wish_waits_alone(leads: tuple[Client, Client]) -> None:
    first, second = leads
    before = LimitRule.objects.count()
    wish = proposed(first, kyc_level="FULL", type="PAY", **AMOUNTS)
    other = second.post(f"{RULES}propose/", {"reason": WHY, "kyc_level": "FULL", "type": "PAY", **AMOUNTS})
    assert "waits" in other.content.decode()
    assert press(second, wish, "decide", answer="refuse", reason="Not now") == "Not done. Not now"
    assert (LimitRule.objects.count(), Proposal.objects.get(pk=wish.pk).status) == (before, "REFUSED")


def test_only_leads_propose_and_only_what_makes_sense(leads: tuple[Client, Client]) -> None:
    first, _ = leads
    before = Proposal.objects.count()
    for group in (SUPPORT, AUDITOR):
        browser = staff(group)
        for at in (RULES, HOLDINGS):
            assert browser.get(f"{at}propose/").status_code == 403
            assert browser.post(f"{at}propose/", {"reason": WHY, "kyc_level": "FULL", "most": "1"}).status_code == 403
            assert "Propose others" not in shown(browser.get(at))
    filled = {"kyc_level": "MINIMUM", "type": "ADD", "reason": WHY, **AMOUNTS}
    for changed in (
        {"per_transaction": "1501"},
        {"per_day": "5001"},
        {"per_month": ""},
        {"per_month": "-1"},
        {"per_month": "NaN"},
        {"reason": " "},
        {"kyc_level": "NONE"},
        {"type": "REFUND"},
    ):
        answer = first.post(f"{RULES}propose/", {**filled, **changed})
        assert (answer.status_code, "errorlist" in answer.content.decode()) == (200, True), changed
    # The deed judges, whatever door it is called by.
    terms = {"per_transaction": "1.00", "per_day": "2.00", "per_month": "3.00"}
    wrong: list[tuple[str, str, dict[str, str]]] = [
        ("LIMIT", "NONE:ADD", terms),
        ("LIMIT", "FULL:REFUND", terms),
        ("LIMIT", "FULL:ADD", {**terms, "per_day": "0.50"}),
        ("LIMIT", "FULL:ADD", {**terms, "per_day": "1e9"}),
        ("LIMIT", "FULL:ADD", {"per_day": "1.00"}),
        ("HOLDING", "NONE", {"most": "1.00"}),
        ("HOLDING", "FULL", {"most": "-1.00"}),
        ("HOLDING", "FULL", {}),
    ]
    for kind, subject, given in wrong:
        with pytest.raises(Refusal, match="invalid"):
            propose(kind=kind, subject=subject, terms=given, by=user_of(first), reason=WHY, now=timezone.now())
    assert Proposal.objects.count() == before


@pytest.mark.parametrize("table", ["payments_limitrule", "payments_holdinglimit"])
def test_nobody_rewrites_what_the_limits_were(table: str, superuser_url: str) -> None:
    """Not the application, and not whoever owns the database: the trigger is one that no session switches off."""
    for statement in (f"UPDATE {table} SET reason = 'x'", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
            cursor.execute(statement)
        with psycopg.connect(superuser_url) as server:
            server.execute("SET session_replication_role = replica")
            with pytest.raises(psycopg.errors.Error, match="the history of limits only grows"):
                server.execute(statement)


def test_people_have_no_door_to_the_operators_limits(leads: tuple[Client, Client]) -> None:
    zoya = holder("Zoya Khan")
    answers: list[Any] = [zoya.post("/limits", AMOUNTS), zoya.post("/limits/PAY", AMOUNTS), zoya.delete("/limits/PAY")]
    assert [answer.status_code for answer in answers] == [405, 405, 405]
    with pytest.raises(Refusal, match="permission_denied"):
        propose(kind="HOLDING", subject="FULL", terms={"most": "1"}, by=zoya.user, reason=WHY, now=timezone.now())
    tried = SecurityEvent.objects.get(kind="proposal.made", actor=zoya.user)
    assert (tried.result, tried.reason) == ("REFUSED", "permission_denied")
