"""A code for what would hurt: when it is asked for, what it is good for, and that it is good for nothing else."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.utils import timezone

from accounts.models import OutgoingMessage
from accounts.sending import send_message
from ledger.models import IdempotencyKey, Transaction
from ledger.movements import Key
from payments import authorising
from payments.models import Spending, StepUp
from payments.step_ups import ANOTHER_MESSAGE_AFTER, LIFETIME, MOST_FAILURES, WRONG_CODES, forget_unspent, prove, spend
from payments.transfers import send_money
from tests.accounts.factors import code_of, enrolled
from tests.accounts.people import code_sent_to, deliver, messages_to, new_phone, person, wrong
from tests.accounts.test_races import at_once
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, access_of, fund, holder, merchant, new_key
from tests.payments.withdrawing import bank_account, withdraw
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import Money
from wallets.opening import open_wallet

pytestmark = pytest.mark.usefixtures("database")

LARGE = "5000.00"


@pytest.fixture
def asha() -> Holder:
    return holder("Asha Rao", rupees=50_000)


@pytest.fixture
def ravi() -> Holder:
    return holder("Ravi Kumar")


def with_an_app(holder: Holder) -> tuple[Holder, str]:
    """Signed in again, for whoever enrols is signed out; and the app's secret."""
    secret, _ = enrolled(holder.user)
    return Holder(holder.user, holder.wallet, access_of(holder.user)), secret


def transfer(payer: Holder, payee: Holder, amount: str, *, key: str | None = None, proof: str | None = None) -> Any:
    headers = {} if proof is None else {"X-Step-Up": proof}
    return payer.post("/wallet/transfer", {"to": payee.email, "amount": amount}, key=key, **headers)


def code(answer: Any) -> str:
    """What became of a request: `done`, or the problem's code."""
    return "done" if answer.status_code in (201, 202) else str(answer.json()["code"])


def challenge(payer: Holder, payee: Holder, key: str, amount: str = LARGE) -> str:
    answer = transfer(payer, payee, amount, key=key)
    assert (answer.status_code, code(answer)) == (403, "step_up_required")
    return str(answer.json()["challenge"])


def challenged(payer: Holder, payee: Holder, key: str, amount: str = LARGE) -> tuple[str, str]:
    """The challenge and the code that was sent for it."""
    return challenge(payer, payee, key, amount), code_sent_to(payer.email)


def payments_of(payer: Holder) -> int:
    return Transaction.objects.filter(from_wallet=payer.wallet).count()


def failures(name: str) -> int:
    return next(row.failures for row in StepUp.objects.all() if row.public_id == name)


def test_large_payments_ask_and_smaller_ones_to_people_paid_before_do_not(asha: Holder, ravi: Holder) -> None:
    assert code(transfer(asha, ravi, "2000.00")) == "step_up_required"
    assert code(transfer(asha, ravi, "1999.99")) == "done"
    assert code(transfer(asha, ravi, "2000.00")) == "done"
    meera, shop = merchant()
    assert code(asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "2000"})) == "step_up_required"
    assert code(asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "0.01"})) == "done"
    assert code(asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "5000"})) == "step_up_required"
    assert code(asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "4999.99"})) == "done"
    assert meera.balance == 0


def test_exactly_five_thousand_to_one_payee_in_a_day_passes_and_one_paisa_more_asks(asha: Holder, ravi: Holder) -> None:
    assert [code(transfer(asha, ravi, amount)) for amount in ("0.01", "4999.99")] == ["done", "done"]
    assert code(transfer(asha, ravi, "0.01")) == "step_up_required"
    # Of everybody else nothing was said.
    assert code(transfer(asha, holder("Meera Nair"), "1999.99")) == "done"


def test_what_was_confirmed_with_a_code_does_not_count_towards_the_five_thousand(asha: Holder, ravi: Holder) -> None:
    assert code(asha.confirm("/wallet/transfer", {"to": ravi.email, "amount": "6000"})) == "done"
    assert code(transfer(asha, ravi, "4999.99")) == "done"
    assert code(transfer(asha, ravi, "0.01")) == "done"
    assert code(transfer(asha, ravi, "0.01")) == "step_up_required"


def test_a_day_later_it_counts_no_more(asha: Holder, ravi: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code(transfer(asha, ravi, "1")) == "done"
    assert code(transfer(asha, ravi, "4999")) == "done"
    real = authorising.read_standing

    def later(hours: timedelta) -> None:
        monkeypatch.setattr(authorising, "read_standing", lambda **of: real(**{**of, "now": of["now"] + hours}))

    later(timedelta(hours=23, minutes=59))
    assert code(transfer(asha, ravi, "1")) == "step_up_required"
    later(timedelta(hours=24, seconds=1))
    assert code(transfer(asha, ravi, "4999")) == "done"


def test_the_first_withdrawal_to_each_account_asks_however_small(asha: Holder, settings: LazySettings) -> None:
    first, second, third = (bank_account(asha, ending) for ending in ("0001", "0002", "0003"))
    body = {"bank_account": first, "amount": "1"}
    asked = asha.post("/wallet/withdraw", body)
    assert (code(asked), asked.json()["channel"]) == ("step_up_required", "email")
    withdraw(asha, first, "1")
    assert code(asha.post("/wallet/withdraw", body)) == "done"
    assert code(asha.post("/wallet/withdraw", {**body, "bank_account": second})) == "step_up_required"
    settings.STEP_UP_FIRST_WITHDRAWAL = False
    assert code(asha.post("/wallet/withdraw", {**body, "bank_account": third})) == "done"


def test_many_small_payments_are_no_dodge_however_the_payee_is_named(asha: Holder) -> None:
    ravi = holder("Ravi Kumar", phone=new_phone())
    names = [ravi.email, ravi.wallet.public_id, str(ravi.user.phone), ravi.email.upper()]
    answers = [code(asha.post("/wallet/transfer", {"to": names[number % 4], "amount": "499"})) for number in range(11)]
    assert answers == ["done"] * 10 + ["step_up_required"]
    _, shop = merchant()
    answers = [
        code(asha.post("/wallet/pay", {"merchant": named, "amount": "1700"}))
        for named in (shop.handle, shop.public_id, shop.handle.upper())
    ]
    assert answers == ["done", "done", "step_up_required"]


def test_two_wallets_of_the_payer_or_of_the_payee_are_no_dodge() -> None:
    asha, shop = merchant("Asha Rao", display_name="Asha Art")
    fund(asha.wallet, 10_000)
    fund(shop.wallet, 10_000)
    ravi, stall = merchant("Ravi Kumar", display_name="Ravi Tea")
    from_shop = f"/wallet/transfer?wallet={shop.wallet.public_id}"
    assert code(transfer(asha, ravi, "1999")) == "done"
    assert code(asha.post(from_shop, {"to": ravi.email, "amount": "2000"})) == "done"  # paid before
    to_stall = asha.post("/wallet/pay", {"merchant": stall.handle, "amount": "1001"})
    assert code(to_stall) == "done"
    assert code(asha.post(from_shop, {"to": ravi.email, "amount": "0.01"})) == "step_up_required"
    assert code(asha.post("/wallet/pay", {"merchant": stall.handle, "amount": "0.01"})) == "step_up_required"


def test_a_dry_run_says_so_and_asks_for_nothing(asha: Holder, ravi: Holder) -> None:
    for amount, asks in (("5000", True), ("1999.99", False)):
        quote = asha.post("/wallet/transfer?dry_run=true", {"to": ravi.email, "amount": amount})
        assert (quote.status_code, quote.json()["step_up_required"]) == (200, asks)
    assert not StepUp.objects.filter(user=asha.user).exists()
    assert not OutgoingMessage.objects.filter(user=asha.user, purpose="STEP_UP").exists()


def test_the_message_names_payee_and_amount_and_its_only_six_digits_are_the_code(asha: Holder, ravi: Holder) -> None:
    key = new_key()
    answer = transfer(asha, ravi, "9999", key=key)
    body = answer.json()
    assert (body["channel"], body["challenge"][:4]) == ("email", "stp_")
    assert body["expires_at"].endswith("Z")
    sent = code_sent_to(asha.email)
    text = messages_to(asha.email)[0].text
    assert "₹9,999.00 to Ravi K." in text
    assert re.findall(r"\d{6,}", text) == [sent]
    assert not IdempotencyKey.objects.filter(key=key).exists()
    assert payments_of(asha) == 0
    assert code(transfer(asha, ravi, "9999", key=key, proof=f"{body['challenge']}:{sent}")) == "done"


def test_who_has_only_a_phone_gets_the_code_there() -> None:
    phone = new_phone()
    asha = holder("Asha Rao", rupees=1)
    user = person("Zoya Khan", phone=phone)
    zoya = Holder(user, open_wallet(user=user), access_of(user))
    fund(zoya.wallet, 6000)
    key = new_key()
    answer = transfer(zoya, asha, LARGE, key=key)
    assert answer.json()["channel"] == "sms"
    proof = f"{answer.json()['challenge']}:{code_sent_to(phone)}"
    assert code(transfer(zoya, asha, LARGE, key=key, proof=proof)) == "done"


def test_a_challenge_is_good_for_one_person_payee_amount_and_key_alone(asha: Holder, ravi: Holder) -> None:
    meera, key, zoya = holder("Meera Nair"), new_key(), holder("Zoya Khan", rupees=50_000)
    proof = ":".join(challenged(asha, ravi, key))
    assert code(transfer(asha, meera, LARGE, key=key, proof=proof)) == "step_up_invalid"
    assert code(transfer(asha, ravi, "5000.01", key=key, proof=proof)) == "step_up_invalid"
    assert code(transfer(asha, ravi, LARGE, key=new_key(), proof=proof)) == "step_up_invalid"
    assert code(transfer(zoya, ravi, LARGE, key=key, proof=proof)) == "step_up_invalid"
    noted = {"to": ravi.email, "amount": LARGE, "note": "another"}
    assert code(asha.post("/wallet/transfer", noted, key=key, **{"X-Step-Up": proof})) == "step_up_invalid"
    assert (ravi.balance, meera.balance) == (0, 0)
    done = transfer(asha, ravi, LARGE, key=key, proof=proof)
    assert (done.status_code, ravi.balance) == (201, 5000)


def test_a_code_works_once_and_its_request_is_answered_alike_for_ever(asha: Holder, ravi: Holder) -> None:
    key = new_key()
    proof = ":".join(challenged(asha, ravi, key))
    first = transfer(asha, ravi, LARGE, key=key, proof=proof)
    assert first.status_code == 201
    for stale in (proof, None, f"{proof[:-6]}{wrong(proof[-6:])}", "nonsense", ""):
        again = transfer(asha, ravi, LARGE, key=key, proof=stale)
        assert (again.status_code, again.headers["Idempotent-Replayed"], again.json()) == (201, "true", first.json())
    assert code(transfer(asha, ravi, LARGE, key=new_key(), proof=proof)) == "step_up_invalid"
    assert (ravi.balance, payments_of(asha)) == (5000, 1)
    row = StepUp.objects.get(user=asha.user, spent_at__isnull=False)
    assert row.spent_by is not None
    assert row.spent_by.public_id == first.json()["id"]
    # Nor would another posting get it, however it came to be proven.
    with pytest.raises(Refusal, match="step_up_invalid"):
        spend(challenge=row.pk, transaction=row.spent_by.pk, now=timezone.now())


def test_what_is_refused_with_a_right_code_is_kept_and_its_code_spent(ravi: Holder) -> None:
    asha, key = holder("Asha Rao", rupees=1), new_key()
    proof = ":".join(challenged(asha, ravi, key))
    for replayed in (None, "true"):
        answer = transfer(asha, ravi, LARGE, key=key, proof=proof)
        assert (answer.status_code, code(answer)) == (422, "insufficient_funds")
        assert answer.headers.get("Idempotent-Replayed") == replayed
    assert StepUp.objects.get(user=asha.user).spent_at is not None
    assert not Spending.objects.filter(wallet=asha.wallet).exists()


def test_after_five_wrong_codes_the_right_one_is_wrong_and_another_challenge_is_asked_for(
    asha: Holder, ravi: Holder
) -> None:
    key = new_key()
    name, right = challenged(asha, ravi, key)
    for tried in range(1, MOST_FAILURES + 1):
        assert code(transfer(asha, ravi, LARGE, key=key, proof=f"{name}:{wrong(right)}")) == "step_up_invalid"
        # Counted for good: the request itself was taken back.
        assert failures(name) == tried
    assert code(transfer(asha, ravi, LARGE, key=key, proof=f"{name}:{right}")) == "step_up_invalid"
    assert ravi.balance == 0
    other, fresh = challenged(asha, ravi, key)
    assert other != name
    assert code(transfer(asha, ravi, LARGE, key=key, proof=f"{other}:{fresh}")) == "done"


def test_fresh_challenges_bring_no_fresh_guesses_without_end(asha: Holder, ravi: Holder) -> None:
    key = new_key()
    name, right = challenged(asha, ravi, key)
    others = [challenge(asha, ravi, new_key(), f"500{number}") for number in range(2)]
    guess = wrong(right)
    for number in range(WRONG_CODES.most):
        proof = f"{[name, *others][number % 3]}:{guess}" if number < 12 else f"stp_{'0' * 26}:{guess}"
        assert code(transfer(asha, ravi, LARGE, key=key, proof=proof)) == "step_up_invalid"
    assert failures(name) == 4
    answer = transfer(asha, ravi, LARGE, key=key, proof=f"{name}:{right}")
    assert (answer.status_code, code(answer)) == (429, "too_many_tries")
    assert int(answer.headers["Retry-After"]) > 0


def test_tries_are_not_given_back_by_anybodys_rollback(asha: Holder) -> None:
    key = Key(key="k", fingerprint=bytes(32))
    with pytest.raises(RuntimeError), transaction.atomic():
        prove(user=asha.user, answer="stp_00000000000000000000000000:123456", key=key, now=timezone.now())


def test_a_challenge_is_over_after_ten_minutes_though_its_code_came_late(asha: Holder, ravi: Holder) -> None:
    key, began = new_key(), timezone.now()
    name = challenge(asha, ravi, key)
    message = OutgoingMessage.objects.get(user=asha.user, purpose="STEP_UP")
    send_message(verification_id=message.pk, now=began + LIFETIME / 2)
    (right,) = re.findall(r"\d{6}", messages_to(asha.email)[0].text)
    amount = Money(Decimal(5000), "INR")

    def send(after: timedelta) -> str:
        try:
            return (
                send_money(
                    sender=asha.user,
                    to=ravi.email,
                    amount=amount,
                    key=key,
                    step_up=f"{name}:{right}",
                    now=began + after,
                ).code
                or "done"
            )
        except Refusal as refusal:
            return refusal.code

    assert send(LIFETIME + timedelta(seconds=2)) == "step_up_invalid"
    assert send(LIFETIME - timedelta(seconds=2)) == "done"


@pytest.mark.parametrize("header", ["", ":", "123456", "stp_:123456", "usr_00000000000000000000000000:123456", "é:1"])
def test_a_malformed_header_is_a_wrong_one_and_uses_up_no_key(header: str) -> None:
    asha, ravi, key = holder("Asha Rao", rupees=10), holder("Ravi Kumar"), new_key()
    assert code(transfer(asha, ravi, "1", key=key, proof=header)) == "step_up_invalid"
    assert code(transfer(asha, ravi, "1", key=key)) == "done"


def test_with_an_authenticator_its_code_is_asked_for_and_one_code_confirms_one_payment(
    asha: Holder, ravi: Holder
) -> None:
    asha, secret = with_an_app(asha)
    one, other = new_key(), new_key()
    asked = transfer(asha, ravi, LARGE, key=one)
    assert asked.json()["channel"] == "totp"
    assert "app" in asked.json()["detail"]
    first, second = asked.json()["challenge"], challenge(asha, ravi, other)
    assert not OutgoingMessage.objects.filter(user=asha.user, purpose="STEP_UP").exists()
    now = code_of(secret)
    assert code(transfer(asha, ravi, LARGE, key=one, proof=f"{first}:{wrong(now)}")) == "step_up_invalid"
    assert code(transfer(asha, ravi, LARGE, key=one, proof=f"{first}:{now}")) == "done"
    assert code(transfer(asha, ravi, LARGE, key=other, proof=f"{second}:{now}")) == "step_up_invalid"
    assert code(transfer(asha, ravi, LARGE, key=other, proof=f"{second}:{code_of(secret, steps=1)}")) == "done"
    assert ravi.balance == 10_000


def test_asking_again_and_again_sends_one_message(asha: Holder, ravi: Holder, settings: LazySettings) -> None:
    key = new_key()
    assert len({challenge(asha, ravi, key) for _ in range(5)}) == 1
    deliver()
    assert len(messages_to(asha.email)) == 1
    # Other requests are other challenges, and so many messages an hour.
    settings.STEP_UP_MESSAGES_AN_HOUR = 3
    answers = [transfer(asha, ravi, LARGE) for _ in range(4)]
    assert [code(answer) for answer in answers] == ["step_up_required"] * 2 + ["too_many_requests"] * 2
    assert (answers[-1].status_code, int(answers[-1].headers["Retry-After"]) > 0) == (429, True)
    deliver()
    assert len(messages_to(asha.email)) == 3
    assert challenge(asha, ravi, key) == challenge(asha, ravi, key)


def test_a_minute_later_another_code_takes_the_place_of_one_that_never_came(asha: Holder, ravi: Holder) -> None:
    key, later = new_key(), timezone.now() + ANOTHER_MESSAGE_AFTER + timedelta(seconds=1)
    name, old = challenged(asha, ravi, key)
    amount = Money(Decimal(5000), "INR")
    with pytest.raises(Refusal) as asked:
        send_money(sender=asha.user, to=ravi.email, amount=amount, key=key, now=later)
    assert asked.value.extra["challenge"] == name
    new = code_sent_to(asha.email)
    assert len(messages_to(asha.email)) == 2
    if new != old:
        assert code(transfer(asha, ravi, LARGE, key=key, proof=f"{name}:{old}")) == "step_up_invalid"
    assert code(transfer(asha, ravi, LARGE, key=key, proof=f"{name}:{new}")) == "done"


def test_one_request_with_its_code_many_times_at_once_pays_once_and_is_answered_alike(
    asha: Holder, ravi: Holder
) -> None:
    key = new_key()
    proof = ":".join(challenged(asha, ravi, key))
    answers, _ = at_once(*[lambda: transfer(asha, ravi, LARGE, key=key, proof=proof)] * 8)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (ravi.balance, payments_of(asha)) == (5000, 1)


def test_eight_guesses_at_once_are_judged_no_oftener_than_five_times(asha: Holder, ravi: Holder) -> None:
    key = new_key()
    name, right = challenged(asha, ravi, key)
    at_once(*[lambda: transfer(asha, ravi, LARGE, key=key, proof=f"{name}:{wrong(right)}")] * 8)
    assert failures(name) == MOST_FAILURES


def test_a_right_code_is_right_again_where_the_payment_did_not_come_to_its_end(
    asha: Holder, ravi: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha, secret = with_an_app(asha)
    key = new_key()
    proof = f"{challenge(asha, ravi, key)}:{code_of(secret)}"

    def busy(*_args: object, **_more: object) -> None:
        raise Refusal("busy", retry_after_seconds=1)

    with monkeypatch.context() as crowded:
        crowded.setattr(authorising, "post", busy)
        assert code(transfer(asha, ravi, LARGE, key=key, proof=proof)) == "busy"
    assert code(transfer(asha, ravi, LARGE, key=key, proof=proof)) == "done"


def test_challenges_that_nobody_answered_are_forgotten_and_spent_ones_kept(asha: Holder, ravi: Holder) -> None:
    key = new_key()
    proof = ":".join(challenged(asha, ravi, key))
    transfer(asha, ravi, LARGE, key=key, proof=proof)
    challenge(asha, ravi, new_key())
    forget_unspent(now=timezone.now() + LIFETIME)
    assert StepUp.objects.filter(user=asha.user).count() == 2
    forget_unspent(now=timezone.now() + timedelta(days=2))
    assert StepUp.objects.get(user=asha.user).spent_at is not None


def test_pages_ask_for_the_code_and_pay_once(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    asked = browser.send(browser.review("/send", to=ravi.email, amount=LARGE).form)
    assert (asked.status, asked.asks_for_code) == (403, True)
    for words in ("sent you by e-mail", "₹5,000.00", ravi.email, "Nobody of ours ever asks for it"):
        assert words in asked.text
    right = code_sent_to(asha.email)
    form, another = asked.forms
    for typed, words in ((wrong(right), "wrong, used or too old"), ("", "Write the code."), ("12345x", "wrong, used")):
        again = browser.send(form, code=typed)
        assert (again.status, again.asks_for_code, words in again.text) == (403, True, True)
        assert again.forms[0].fields["key"] == form.fields["key"]
    assert ravi.balance == 0
    # No second message within a minute.
    assert browser.send(another).forms[0].fields["challenge"] == form.fields["challenge"]
    assert code_sent_to(asha.email) == right
    paid = [browser.send(form, code=f" {right[:3]} {right[3:]}") for _ in range(2)]
    assert [(page.status, page.location) for page in paid] == [(303, paid[0].location)] * 2
    assert "Sent to Ravi K." in browser.follow(paid[0]).text
    assert (ravi.balance, payments_of(asha)) == (5000, 1)
    # What was meant for it is good for nothing else.
    other = browser.review("/send", to=ravi.email, amount="5001").form
    proof = {"challenge": form.fields["challenge"], "channel": "email", "code": right}
    assert browser.send(other, **proof).asks_for_code
    assert ravi.balance == 5000
