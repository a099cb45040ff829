"""Asking for money back that went to the wrong person: what, of whom, how often, and how it ends without an answer."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.blocking import block as block_person
from accounts.models import SecurityEvent
from accounts.roles import AUDITOR, SUPPORT
from payments import money_back
from payments.models import MoneyBack
from payments.money_back import LIFETIME, expire_overdue
from payments.person_blocks import block_payee
from tests.accounts.people import PASSWORD, superuser
from tests.payments.asking_back import answer, asked, code, held, sent, status_of, told
from tests.payments.cast import Holder, holder, merchant
from tests.payments.staff import list_of, page_of, shown, staff
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import new_uuid, public_id

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def asha() -> Holder:
    return holder("Asha Rao", rupees=1000)


@pytest.fixture
def ravi() -> Holder:
    return holder("Ravi Kumar")


def test_only_the_two_of_them_see_it_and_each_has_their_own_answers(asha: Holder, ravi: Holder) -> None:
    request = asked(asha, sent(asha, ravi))
    zoya = holder("Zoya Khan")
    assert code(zoya.get(f"/money-back/{request}")) == (404, "not_found")
    assert zoya.get("/money-back").json()["results"] == []
    tried = [
        *((zoya, word) for word in ("give", "hold", "decline", "withdraw")),
        *((asha, word) for word in ("give", "hold", "decline")),
        (ravi, "withdraw"),
    ]
    for person, word in tried:
        assert code(answer(person, request, word)) == (404, "not_found")
    assert code(answer(ravi, "nonsense", "give")) == (404, "not_found")
    assert code(answer(ravi, public_id("mbk", new_uuid()), "decline")) == (404, "not_found")
    assert status_of(request) == "ASKED"


def test_what_cannot_be_asked_back(asha: Holder, ravi: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(person: Holder, transaction: str, **body: str) -> tuple[int, str]:
        return code(person.post(f"/transactions/{transaction}/money-back", body))

    meera, books = merchant()
    paid = sent(asha, ravi, "10")
    bought = asha.post("/wallet/pay", {"merchant": books.handle, "amount": "5"}).json()["id"]
    failed = asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1500"}).json()["transaction"]
    added = asha.get("/transactions?type=ADD").json()["results"][0]["id"]
    for_meera = sent(asha, meera, "7")
    to_herself = meera.post("/wallet/transfer", {"to": books.wallet.public_id, "amount": "7"}).json()["id"]
    assert ask(asha, bought) == (422, "not_refundable")
    assert ask(asha, failed) == (422, "not_refundable")
    assert ask(meera, to_herself) == (422, "not_refundable")
    for transaction in (added, "nonsense", public_id("txn", new_uuid())):
        assert ask(asha, transaction) == (404, "not_found")
    assert ask(ravi, paid) == (404, "not_found"), "whoever got it has nothing to ask back"
    assert ask(asha, paid, note="x" * 281) == (400, "invalid")
    assert ask(asha, paid, note="My card is 4111 1111 1111 1111") == (400, "invalid")
    assert ask(asha, paid, note="a\x07b") == (400, "invalid")
    asked(asha, for_meera)
    monkeypatch.setattr(money_back, "ASKED_WITHIN", timedelta(0))
    assert ask(asha, paid) == (422, "not_refundable")


def test_whoever_keeps_the_sender_away_is_not_asked(asha: Holder, ravi: Holder) -> None:
    paid, before = sent(asha, ravi, "10"), sent(asha, ravi, "20")
    request = asked(asha, before)
    block_payee(user=ravi.user, to=asha.email, now=timezone.now())
    answered = asha.post(f"/transactions/{paid}/money-back", {})
    assert code(answered) == (422, "recipient_unavailable")
    zoya = holder("Zoya Khan")
    to_zoya = sent(asha, zoya, "5")
    block_person(user=zoya.user, by=superuser(), reason="Fraud", now=timezone.now())
    unable = asha.post(f"/transactions/{to_zoya}/money-back", {})
    assert answered.json() | {"request_id": ""} == unable.json() | {"request_id": ""}, "it does not tell who blocked"
    # What was asked before can still be given, and is no payment to somebody who is kept away.
    assert answer(ravi, request, "give").status_code == 201


def test_one_is_open_at_a_time_and_there_is_an_end_to_asking(asha: Holder, ravi: Holder) -> None:
    paid = sent(asha, ravi, "10")
    first = asha.post(f"/transactions/{paid}/money-back", {"note": "one"})
    again = asha.post(f"/transactions/{paid}/money-back", {"note": "two"})
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    assert len(told(ravi)) == 1
    assert answer(ravi, first.json()["id"], "decline").status_code == 200
    for _ in range(2):
        assert answer(ravi, asked(asha, paid), "decline").status_code == 200
    assert code(asha.post(f"/transactions/{paid}/money-back", {})) == (422, "not_refundable")
    other = asha.post(f"/transactions/{sent(asha, ravi, '5')}/money-back", {})
    assert (code(other), "Retry-After" in other.headers) == ((429, "too_many_requests"), True)
    # Of somebody else there is nothing to be tired of yet.
    asked(asha, sent(asha, holder("Dev Singh"), "5"))


def test_nobody_asks_any_number_of_people_a_day(asha: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a message of theirs to a stranger, by SMS too: for a paisa, which they may get back."""
    monkeypatch.setattr(money_back, "MOST_A_DAY_OF_ALL", 2)
    paid = [sent(asha, holder("Dev Singh"), "0.01") for _ in range(3)]
    requests = [asked(asha, each) for each in paid[:2]]
    assert answer(asha, requests[0], "withdraw").status_code == 200
    late = asha.post(f"/transactions/{paid[2]}/money-back", {})
    assert (code(late), "Retry-After" in late.headers) == ((429, "too_many_requests"), True)
    known = asha.post(f"/transactions/{paid[1]}/money-back", {})
    assert (known.status_code, known.json()["id"]) == (200, requests[1])


def test_what_was_given_back_is_not_asked_for_again(asha: Holder, ravi: Holder) -> None:
    paid = sent(asha, ravi)
    assert answer(ravi, asked(asha, paid), "give").status_code == 201
    assert code(asha.post(f"/transactions/{paid}/money-back", {})) == (422, "not_refundable")


def test_nobody_answers_in_time_and_it_is_over(asha: Holder, ravi: Holder) -> None:
    waiting, aside = asked(asha, sent(asha, ravi)), asked(asha, sent(asha, ravi))
    assert answer(ravi, aside, "hold").status_code == 200
    now = timezone.now()
    expire_overdue(now=now + LIFETIME - timedelta(minutes=1))
    assert (status_of(waiting), status_of(aside)) == ("ASKED", "HELD")
    assert expire_overdue(now=now + LIFETIME + timedelta(minutes=1))
    assert (status_of(waiting), status_of(aside), held(ravi)) == ("EXPIRED", "EXPIRED", 0)
    assert expire_overdue(now=now + LIFETIME + timedelta(minutes=1)) == []
    assert code(answer(ravi, aside, "give")) == (409, "money_back_over")


def test_support_reads_the_thread_and_may_close_it(asha: Holder, ravi: Holder) -> None:
    request = asked(asha, sent(asha, ravi), note="Please, it was my rent")
    answer(ravi, request, "hold")
    row = MoneyBack.objects.get(asker=asha.user)
    dev, anil = staff(SUPPORT), staff(AUDITOR, "Anil Gupta")
    for reader in (dev, anil):
        page = shown(reader.get(page_of(row)))
        assert "Please, it was my rent" in page
        assert row.transfer.public_id in page
        assert request in shown(reader.get(list_of(MoneyBack)))
    assert anil.post(page_of(row, "close"), {"reason": "Enough"}).status_code == 403
    assert shown(dev.post(page_of(row, "close"), {"reason": " "}))
    assert status_of(request) == "HELD"
    closing = dev.post(page_of(row, "close"), {"reason": "They have settled it"})
    assert closing.status_code == 302
    assert (status_of(request), held(ravi)) == ("EXPIRED", 0)
    assert told(asha)[0] == "Our support closed what you asked for"
    row.refresh_from_db()
    assert row.closing_reason == "They have settled it"
    event = SecurityEvent.objects.get(kind="money_back.closed", object=request)
    assert event.reason == "They have settled it"
    with pytest.raises(Refusal, match="permission_denied"):
        money_back.close(money_back=row, by=ravi.user, reason="I want it", now=timezone.now())


def test_who_leaves_has_answered_and_what_is_set_aside_stands_in_the_way(asha: Holder, ravi: Holder) -> None:
    request, aside = asked(asha, sent(asha, ravi)), asked(asha, sent(asha, ravi, "50"))
    answer(ravi, aside, "hold")
    sent(asha, holder("Dev Singh"), "650")
    leaving = asha.post("/me/close", {"password": PASSWORD})
    assert [error["code"] for error in leaving.json()["errors"]] == ["money_back"]
    assert {error["code"] for error in ravi.post("/me/close", {"password": PASSWORD}).json()["errors"]} >= {"held"}
    assert answer(ravi, aside, "decline").status_code == 200
    sent(ravi, holder("Dev Singh"), "350")
    assert ravi.post("/me/close", {"password": PASSWORD}).status_code == 204
    assert status_of(request) == "DECLINED"
    data = b"".join(asha.get("/me/data").streaming_content)
    assert b'"money_asked_back": [{"id": "' + request.encode() in data
    assert asha.post("/me/close", {"password": PASSWORD}).status_code == 204


def test_the_list_has_pages_and_sides(asha: Holder, ravi: Holder) -> None:
    mine = [asked(asha, sent(asha, ravi, amount)) for amount in ("1", "2")]
    theirs = asked(ravi, sent(ravi, asha, "3"))
    page = asha.get("/money-back?limit=2").json()
    assert [row["id"] for row in page["results"]] == [theirs, mine[1]]
    rest = asha.get(f"/money-back?cursor={page['next']}").json()
    assert ([row["id"] for row in rest["results"]], rest["next"]) == ([mine[0]], None)
    assert [row["id"] for row in asha.get("/money-back?role=asked").json()["results"]] == [theirs]
    assert [row["id"] for row in asha.get("/money-back?role=asker&status=ASKED").json()["results"]] == mine[::-1]
    assert code(asha.get("/money-back?cursor=nonsense")) == (400, "cursor_invalid")
    assert code(asha.get("/money-back?role=both")) == (400, "invalid")
