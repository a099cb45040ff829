"""What may still move and how people see it; their own limits: lower at once, higher after a day."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import ProgrammingError, connection
from django.utils import timezone

from accounts.models import SecurityEvent
from ledger.models import Transaction
from payments import own_limits
from payments.allowances import allowance_of, allowances_of
from payments.models import OwnLimit, Spending
from payments.models.limits import Limited
from payments.own_limits import drop_raise, set_own_limits
from tests.accounts.at_once import in_thread, wait_until_somebody_waits
from tests.accounts.people import call, deliver, messages_to
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, holder
from wallet_project.kernel.money import Money

pytestmark = pytest.mark.usefixtures("database")
RAISED_AFTER = timedelta(hours=24)
# 1 May in India, still 30 April in London.
NIGHT = datetime.fromisoformat("2027-04-30T18:30:00+00:00")


@pytest.fixture(scope="module")
def ravi(database: object) -> Holder:
    return holder("Ravi Iyer")


def put(person: Holder, type: str = "TRANSFER", **body: Any) -> Any:
    return call("PUT", f"/limits/{type}", body, access=person.access)


def send(person: Holder, to: Holder, rupees: str) -> tuple[int, str]:
    answer = person.post("/wallet/transfer", {"to": to.wallet.public_id, "amount": rupees})
    return answer.status_code, str(answer.json().get("code", ""))


def set_own(person: Holder, now: datetime, *amounts: str | None) -> list[int]:
    once, day, month = (None if amount is None else Money.parse(amount, may_be_zero=True) for amount in amounts)
    return set_own_limits(
        user=person.user, type=Limited.TRANSFER, per_transaction=once, per_day=day, per_month=month, now=now
    )


def own(person: Holder, now: datetime) -> list[str | None]:
    """What one's own limits are at this time."""
    held = allowance_of(user=person.user, type=Limited.TRANSFER, now=now).own
    return [None if each is None else each.text for each in (held.per_transaction, held.per_day, held.per_month)]


def amount(shown: dict[str, str] | None) -> str | None:
    return None if shown is None else shown["amount"]


def test_people_see_what_is_left_of_each_limit_by_type(ravi: Holder) -> None:
    asha = holder(rupees=1500)
    assert send(asha, ravi, "1200.50") == (201, "")
    told = asha.get("/limits")
    assert told.status_code == 200
    body = told.json()
    assert (body["kyc_level"], amount(body["holding"]["most"])) == ("MINIMUM", "1000000.00")
    assert amount(body["holding"]["left"]) == "999700.50"
    by_type = {each["type"]: each for each in body["limits"]}
    assert list(by_type) == ["TRANSFER", "PAY", "WITHDRAW", "ADD"]
    sending = by_type["TRANSFER"]
    assert [amount(sending[name]) for name in ("per_transaction", "per_day", "per_month")] == [
        *("200000.00", "200000.00", "6000000.00")
    ]
    assert [amount(sending[name]) for name in ("used_today", "used_this_month")] == ["1200.50", "1200.50"]
    assert [amount(sending[name]) for name in ("left_today", "left_this_month", "left")] == [
        *("198799.50", "5998799.50", "198799.50")
    ]
    assert sending["own"] == {"per_transaction": None, "per_day": None, "per_month": None}
    assert sending["waiting"] is None
    # Nothing of it counts as anything else, and nothing as another's.
    assert amount(by_type["PAY"]["used_today"]) == "0.00"
    assert amount(ravi.get("/limits").json()["limits"][0]["used_today"]) == "0.00"
    # A refused one leaves it as it is.
    assert send(asha, ravi, "299.51") == (422, "insufficient_funds")
    assert asha.get("/limits").json() == body


def test_a_day_and_a_month_end_at_midnight_in_india(ravi: Holder) -> None:
    asha = holder(rupees=1000)
    assert send(asha, ravi, "100") == (201, "")
    now = timezone.now()

    def used(at: datetime) -> tuple[str, str]:
        found = allowances_of(user=asha.user, now=at).of_types[0]
        return found.used_today.text, found.used_this_month.text

    assert used(now) == ("100.00", "100.00")
    assert used(now + timedelta(days=40)) == ("0.00", "0.00")
    # What was spent on the last of April, read just before and just after it ends.
    Spending.objects.create(
        wallet=asha.wallet, transaction=Transaction.objects.latest("pk"), type="TRANSFER", amount=100, day="2027-04-30",
        day_total=100, month_total=700, created_at=NIGHT,
    )  # fmt: skip
    assert used(NIGHT - timedelta(seconds=1)) == ("100.00", "700.00")
    assert used(NIGHT) == ("0.00", "0.00")
    assert used(NIGHT - timedelta(days=1, seconds=1)) == ("0.00", "700.00")


def test_lower_limits_hold_at_once_and_higher_ones_after_a_day(ravi: Holder) -> None:
    asha = holder(rupees=5000)
    answer = put(asha, per_transaction="500.00", per_day="800.00")
    assert answer.status_code == 200
    assert [amount(answer.json()[name]) for name in ("per_transaction", "per_day", "per_month")] == [
        *("500.00", "800.00", "6000000.00")
    ]
    assert send(asha, ravi, "500.01") == (422, "limit_exceeded")
    assert send(asha, ravi, "500") == (201, "")
    assert send(asha, ravi, "300.01") == (422, "limit_exceeded")
    # Whoever holds her phone lifts nothing today, by a higher limit or by none.
    for wish in ({"per_transaction": "4000.00", "per_day": "4000.00"}, {}):
        answer = put(asha, **wish)
        assert answer.status_code == 200
        assert amount(answer.json()["per_day"]) == "800.00"
        assert amount(answer.json()["waiting"]["per_day"]) == wish.get("per_day")
        assert send(asha, ravi, "300.01") == (422, "limit_exceeded")
    deliver()
    told = messages_to(asha.email)[0]
    assert told.subject == "A limit of your wallet was raised"
    assert "what is sent to people" in told.text
    waiting = OwnLimit.objects.filter(user=asha.user, dropped_at=None).latest("pk")
    assert waiting.since - waiting.asked_at == RAISED_AFTER
    assert own(asha, waiting.since - timedelta(microseconds=1)) == ["500.00", "800.00", None]
    assert own(asha, waiting.since) == [None, None, None]
    # And no more than the operator's, whatever one wishes.
    answer = put(asha, "PAY", per_transaction="900000.00", per_day="900000.00", per_month="90000000.00")
    assert amount(answer.json()["per_transaction"]) == "200000.00"
    kinds = SecurityEvent.objects.filter(subject=asha.user, kind="own_limit.set").order_by("pk")
    assert [each.details["type"] for each in kinds] == ["TRANSFER", "TRANSFER", "TRANSFER", "PAY"]
    assert ["raised_since" in each.details for each in kinds] == [False, True, True, False]


def test_of_a_mixed_wish_the_lower_part_holds_now_and_the_higher_tomorrow() -> None:
    asha, now = holder(), timezone.now()
    assert set_own(asha, now, "500", "1000", None) == []
    assert set_own(asha, now, "900", "700", "3000") != []
    assert own(asha, now) == ["500.00", "700.00", "3000.00"]
    assert own(asha, now + RAISED_AFTER) == ["900.00", "700.00", "3000.00"]
    # The same again starts no other day, and another wish takes its place.
    later = now + timedelta(hours=23)
    set_own(asha, later, "900", "700", "3000")
    assert own(asha, now + RAISED_AFTER) == ["500.00", "700.00", "3000.00"]
    assert own(asha, later + RAISED_AFTER) == ["900.00", "700.00", "3000.00"]
    set_own(asha, later, "0", "700", "3000")
    assert own(asha, later + RAISED_AFTER) == ["0.00", "700.00", "3000.00"]
    rows = OwnLimit.objects.filter(user=asha.user).count()
    assert set_own(asha, later, "0", "700", "3000") == []
    assert OwnLimit.objects.filter(user=asha.user).count() == rows


def test_an_owner_drops_what_somebody_else_asked_for() -> None:
    asha, now = holder(), timezone.now()
    set_own(asha, now, "500", None, None)
    assert not drop_raise(user=asha.user, type=Limited.TRANSFER, now=now)
    set_own(asha, now, None, None, None)
    assert not drop_raise(user=holder("Zoya Khan").user, type=Limited.TRANSFER, now=now)
    assert not drop_raise(user=asha.user, type=Limited.PAY, now=now)
    assert drop_raise(user=asha.user, type=Limited.TRANSFER, now=now)
    assert own(asha, now + 2 * RAISED_AFTER) == ["500.00", None, None]
    assert not drop_raise(user=asha.user, type=Limited.TRANSFER, now=now)


def test_of_two_wishes_at_once_neither_is_lifted_past_the_other(
    superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha, now = holder(), timezone.now()
    read = own_limits.own_limit_in_force
    threads: list[threading.Thread] = []
    answers: list[Any] = []

    def meanwhile(**named: Any) -> OwnLimit | None:
        """The first has read what holds; now the second comes."""
        monkeypatch.setattr(own_limits, "own_limit_in_force", read)
        held = read(**named)
        threads.append(in_thread(answers, lambda: set_own(asha, now + timedelta(seconds=1), "5000", None, None)))
        wait_until_somebody_waits(superuser_url)
        return held

    monkeypatch.setattr(own_limits, "own_limit_in_force", meanwhile)
    set_own(asha, now, "100", None, None)
    threads[0].join(20)
    assert own(asha, now + timedelta(minutes=1)) == ["100.00", None, None]
    assert own(asha, now + timedelta(days=2)) == ["5000.00", None, None]


@pytest.mark.parametrize(
    "body",
    [
        {"per_day": "-1.00"},
        {"per_day": "1.001"},
        {"per_day": "1e3"},
        {"per_day": " 1"},
        {"per_day": 5},
        {"per_day": {"amount": "5.00"}},
        {"per_day": "9" * 16},
        {"per_month": "\u0665"},
    ],
)
def test_what_is_no_amount_is_refused(ravi: Holder, body: dict[str, Any]) -> None:
    answer = put(ravi, "WITHDRAW", **body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), answer.content
    assert [error["field"] for error in answer.json()["errors"]] == list(body)
    assert not OwnLimit.objects.filter(user=ravi.user, type="WITHDRAW").exists()


def test_there_are_four_types_and_one_owner(ravi: Holder) -> None:
    for type in ("REFUND", "transfer", "NOTHING"):
        answer = put(ravi, type, per_day="1.00")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert call("PUT", "/limits/PAY", {"per_day": "1.00"}).status_code == 401
    zoya = holder("Zoya Khan")
    body = {"per_day": "1.00", "user": ravi.user.pk, "wallet": ravi.wallet.public_id, "since": "2020-01-01T00:00:00Z"}
    assert put(zoya, "PAY", **body).status_code == 200
    assert not OwnLimit.objects.filter(user=ravi.user).exists()
    assert OwnLimit.objects.get(user=zoya.user).since > timezone.now() - timedelta(minutes=1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments_ownlimit SET per_day = 1",
        "UPDATE payments_ownlimit SET since = now()",
        "DELETE FROM payments_ownlimit",
        "TRUNCATE payments_ownlimit",
    ],
)
def test_the_application_rewrites_no_wish(statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_pages_show_set_and_drop_limits(ravi: Holder) -> None:
    asha = holder(rupees=5000)
    send(asha, ravi, "1000")
    page = Browser(asha.user)
    shown = page.open("/limits")
    assert "₹1,99,000.00 of ₹2,00,000.00" in shown.text
    assert "Show who you are" in shown.text
    form = page.open("/limits/TRANSFER").form
    wrong = page.send(form, per_day="lots")
    assert (wrong.status, "Write an amount" in wrong.text) == (400, True)
    lowered = page.follow(page.send(form, per_transaction="2000", per_day="1,500.50"))
    assert "Your limits hold from now on." in lowered.text
    assert "₹500.50 of ₹1,500.50" in lowered.text
    raised = page.follow(page.send(page.open("/limits/TRANSFER").form, per_transaction="", per_day=""))
    assert "holds in 24 hours" in raised.text
    assert "₹500.50 of ₹1,500.50" in raised.text
    assert "wait until" in page.open("/limits/TRANSFER").text
    (drop,) = [form for form in raised.forms if form.action == "/limits/TRANSFER/drop"]
    dropped = page.follow(page.send(drop))
    assert "Dropped. Your limits stay as they are." in dropped.text
    assert own(asha, timezone.now() + timedelta(days=2)) == ["2000.00", "1500.50", None]
    assert page.open("/limits/NOTHING").status == 404
    # Another site's form carries no token of ours.
    assert page.client.post("/limits/TRANSFER", {"per_day": ""}).status_code == 403
    assert page.client.post("/limits/TRANSFER/drop").status_code == 403
