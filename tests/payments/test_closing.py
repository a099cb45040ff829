"""Closing an account: what stands in the way, what is erased, what stays, and a payment that comes that very moment."""

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.utils import timezone

from accounts import purging
from accounts.erasing import KYC_LIFETIME
from accounts.models import (
    Consent,
    KnownDevice,
    KycSubmission,
    OutgoingMessage,
    Passkey,
    RecoveryDevice,
    SecurityEvent,
    Session,
    StatusChange,
    TotpDevice,
    User,
)
from accounts.sessions import begin
from ledger.models import Transaction
from ledger.movements import Group, Movement, PlaceHold, ReleaseHold
from ledger.posting import post
from payments import closing
from payments.bank_accounts import add_bank_account
from payments.models import BankAccount, Case, Dispute, GatewayOrder, GatewayRefund, PaymentAttempt
from tests.accounts.factors import code_of, enrolled
from tests.accounts.people import PASSWORD, deliver, messages_to, new_phone, register_by_api
from tests.journeys.browsing import Browser
from tests.ledger.proofs import assert_books_hold
from tests.ledger.verifier import holds
from tests.payments.cast import Holder, access_of, fund, holder, merchant
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.sealing import seal
from wallets.models import Wallet, WalletStatusChange

pytestmark = pytest.mark.usefixtures("database")


def close(person: Holder, **body: Any) -> Any:
    return person.post("/me/close", {"password": PASSWORD, **body})


def left_of(person: Holder) -> set[str]:
    """The codes of what keeps this account open, as the API tells them."""
    answer = close(person)
    assert (answer.status_code, answer.json()["code"]) == (422, "account_not_empty"), answer.content
    assert {error["field"] for error in answer.json()["errors"]} == {"account"}
    person.user.refresh_from_db()
    assert person.user.status == User.Status.ACTIVE
    assert person.get("/me").status_code == 200
    return {error["code"] for error in answer.json()["errors"]}


def send(sender: Holder, to: Holder, rupees: str) -> Any:
    return sender.post("/wallet/transfer", {"to": to.wallet.public_id, "amount": rupees})


def topped_up(person: Holder, rupees: int = 100) -> PaymentAttempt:
    """A top-up that was paid, as its rows stand then."""
    add, now = fund(person.wallet, rupees), timezone.now()
    order = GatewayOrder.objects.create(
        transaction=add, gateway="razorpay", order_id=f"order_{new_uuid().hex}", amount_minor=rupees * 100,
        currency="INR", state="PAID", created_at=now, expires_at=now,
    )  # fmt: skip
    return PaymentAttempt.objects.create(
        order=order, gateway="razorpay", payment_id=f"pay_{new_uuid().hex}", amount_minor=rupees * 100, currency="INR",
        status="captured", credited_by=add, first_seen_at=now, last_seen_at=now,
    )  # fmt: skip


def once_more(person: Holder) -> Holder:
    """Signed in anew, after what ended every session."""
    user = User.objects.get(pk=person.user.pk)
    return Holder(user, person.wallet, access_of(user))


def emptied(person: Holder, into: Holder) -> None:
    if person.balance:
        assert send(person, into, f"{person.balance:.2f}").status_code == 201


def test_nobody_closes_an_account_with_anything_left_in_it(superuser_url: str) -> None:
    asha, ravi = holder(rupees=500), holder("Ravi Iyer")
    assert left_of(asha) == {"balance"}
    page = Browser(asha.user).open("/account/close")
    assert "₹500.00 is in your wallet" in page.text
    assert page.forms == []

    # A part of it is set aside.
    placed = PlaceHold(
        wallet=asha.wallet.pk, amount=asha.balance, currency="INR", reason="dispute", reference=f"t:{new_uuid()}"
    )
    hold = post([Group(initiator=asha.user.actor.pk, movements=(placed,))])[0].holds[0]
    assert left_of(asha) == {"balance", "held"}
    post([Group(initiator=asha.user.actor.pk, movements=(ReleaseHold(hold=hold),))])

    # Nothing is in it, but some of it is on its way to a bank, or back to where it came from, or can still come.
    account = add_bank_account(
        owner=asha.user, holder_name="Asha Rao", ifsc="HDFC0001234", account_number="50100012340001", now=timezone.now()
    )
    withdrawn = asha.confirm("/wallet/withdraw", {"bank_account": account.public_id, "amount": "500"})
    assert withdrawn.status_code == 202, withdrawn.content
    assert left_of(asha) == {"withdrawal"}
    attempt = topped_up(ravi)
    contested = Dispute.objects.create(
        attempt=attempt, gateway="razorpay", dispute_id=f"disp_{new_uuid().hex}", amount_minor=100, currency="INR",
        opened_at=timezone.now(),
    )  # fmt: skip
    case = Case.objects.create(
        kind="DIVERTED", subject=str(new_uuid()), transaction=attempt.credited_by, reason="Why?",
        opened_at=timezone.now(), last_seen_at=timezone.now(),
    )  # fmt: skip
    assert ravi.post("/wallet/add", {"amount": "50"}).status_code == 503  # nobody answers there
    assert left_of(ravi) == {"balance", "dispute", "case", "order"}
    emptied(ravi, asha)
    given_back = Transaction.objects.filter(from_wallet=ravi.wallet).latest("pk")
    refund = GatewayRefund.objects.create(
        transaction=given_back, attempt=attempt, gateway="razorpay", key=str(new_uuid()), amount_minor=100,
        currency="INR", created_at=timezone.now(),
    )  # fmt: skip
    assert left_of(ravi) == {"dispute", "case", "order", "refund"}
    Wallet.objects.filter(pk=ravi.wallet.pk).update(status="FROZEN")
    assert "frozen" in left_of(ravi)

    Wallet.objects.filter(pk=ravi.wallet.pk).update(status="ACTIVE")
    GatewayOrder.objects.filter(transaction__to_wallet=ravi.wallet).update(state="EXPIRED")
    for row, state in ((refund, "PROCESSED"), (contested, "WON")):
        type(row).objects.filter(pk=row.pk).update(state=state)
    Case.objects.filter(pk=case.pk).update(state="RESOLVED", resolved_at=timezone.now())
    assert close(ravi).status_code == 204
    assert_books_hold(superuser_url)


def test_a_merchant_leaves_only_with_their_shops_wallet_empty_too() -> None:
    (meera, shop), asha = merchant(), holder(rupees=100)
    assert asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "40"}).status_code == 201
    assert left_of(meera) == {"balance"}
    out = meera.post(f"/wallet/transfer?wallet={shop.wallet.public_id}", {"to": asha.email, "amount": "40"})
    assert out.status_code == 201, out.content
    assert close(meera).status_code == 204
    assert set(Wallet.objects.filter(owner=meera.user).values_list("status", flat=True)) == {"CLOSED"}
    refused = asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "1"})
    assert refused.json()["code"] == "recipient_unavailable"
    # A shop keeps the name that it chose; nobody takes its handle and is paid for it.
    assert asha.get("/transactions?type=PAY").json()["results"][-1]["counterparty"]["display_name"] == "Meera Books"


def test_it_needs_the_password_and_the_second_factor_where_one_is_on() -> None:
    asha = holder()
    secret, recovery_codes = enrolled(asha.user)
    asha = once_more(asha)
    assert close(asha, password="wrong-river-91").json()["code"] == "credentials_invalid"
    assert close(asha).json()["code"] == "otp_required"
    assert close(asha, otp="000000" if code_of(secret) != "000000" else "111111").json()["code"] == "otp_invalid"
    assert User.objects.get(pk=asha.user.pk).status == "ACTIVE"
    refused = SecurityEvent.objects.filter(subject=asha.user, kind="account.closed", result="REFUSED")
    assert set(refused.values_list("reason", flat=True)) == {"credentials_invalid", "otp_required", "otp_invalid"}
    assert close(asha, otp=recovery_codes[0]).status_code == 204


def test_what_is_left_of_a_person_names_nobody_and_the_others_history_reads_as_before(superuser_url: str) -> None:
    asha, ravi = holder("Asha Lakshmi Rao", phone=new_phone(), rupees=100), holder("Ravi Iyer", rupees=10)
    now, email, phone = timezone.now(), asha.email, asha.user.phone
    assert phone is not None
    assert send(ravi, asha, "5").status_code == 201
    before = ravi.get("/transactions").json()["results"]
    assert before[0]["counterparty"]["display_name"] == "Asha R."
    account = add_bank_account(
        owner=asha.user, holder_name="Asha Rao", ifsc="HDFC0001234", account_number="50100012340001", now=now
    )
    _, recovery_codes = enrolled(asha.user)
    Passkey.objects.create(
        user=asha.user, credential_id=new_uuid().bytes, public_key=b"k", name="phone", created_at=now
    )
    begin(user=asha.user, kind=Session.Kind.PAGES, device_tokens=(), factor=True, now=now)
    Consent.objects.create(user=asha.user, document="TERMS", version="1", given_at=now)
    approved, refused = (_identity(asha.user, status) for status in ("APPROVED", "REFUSED"))
    asha = once_more(asha)
    browser = Browser(asha.user)
    emptied(asha, ravi)

    assert close(asha, otp=recovery_codes[0]).status_code == 204

    user = User.objects.get(pk=asha.user.pk)
    assert (user.status, user.full_name, user.email, user.phone) == ("CLOSED", "Closed account", None, None)
    assert not user.has_usable_password()
    # Tokens and pages die at once, by each of what they are held against.
    assert user.token_version > asha.user.token_version
    assert not Session.objects.filter(user=user, revoked_at=None).exists()
    assert asha.get("/me").status_code == 401
    assert browser.open("/history").status == 302
    for of_theirs in (TotpDevice, RecoveryDevice, Passkey, KnownDevice):
        assert not of_theirs.objects.filter(user=user).exists()
    assert not Session.objects.filter(user=user).exclude(label="", address=None).exists()
    account.refresh_from_db()
    assert (account.holder_name, bytes(account.number_sealed)) == ("Closed account", b"")
    # The law wants the approved one, sealed; it opens under nobody's number, so the document may open another account.
    kept = KycSubmission.objects.get(pk=approved.pk)
    assert (bytes(kept.number_sealed), kept.image_name) == (bytes(approved.number_sealed), approved.image_name)
    assert bytes(kept.number_index) != bytes(approved.number_index)
    gone = KycSubmission.objects.get(pk=refused.pk)
    assert (bytes(gone.number_sealed), bytes(gone.born_sealed), gone.full_name, gone.image_name) == (b"", b"", "", "")
    assert Consent.objects.filter(user=user).exists()
    assert WalletStatusChange.objects.get(wallet=asha.wallet).status == "CLOSED"
    assert StatusChange.objects.get(user=user, status="CLOSED").by == user
    assert SecurityEvent.objects.get(subject=user, kind="account.closed", result="DONE").actor_id == user.pk

    # The last word goes to the addresses that were theirs.
    deliver()
    for address in (email, phone):
        assert "account was closed" in messages_to(address)[0].text
    # No name or address stands anywhere but in that message and, a name, where the law wants it.
    OutgoingMessage.objects.filter(user=user).delete()
    assert places_of(superuser_url, email, phone) == {"accounts_inboxmessage"}
    assert places_of(superuser_url, "Lakshmi") == {"accounts_kycsubmission"}

    # Others read what they always did, and find nobody there any more.
    assert ravi.get("/transactions").json()["results"][1:] == before
    assert ravi.get("/transactions?q=asha").json()["results"] != []
    assert send(ravi, asha, "1").json()["code"] == "recipient_unavailable"
    assert ravi.post("/wallet/transfer", {"to": email, "amount": "1"}).json()["code"] == "payee_not_found"
    assert_books_hold(superuser_url)
    assert holds()

    # The address is free, and whoever comes next has nothing of what was.
    assert register_by_api(email=email, full_name="Asha Again").status_code == 201
    again = User.objects.get(email=email)
    assert again.pk != user.pk


def test_a_closed_account_stays_through_every_purge_and_its_document_five_years() -> None:
    asha = holder()
    approved = _identity(asha.user, "APPROVED")
    assert close(asha).status_code == 204
    now = timezone.now()
    purging.purge(now=now + KYC_LIFETIME - timedelta(days=1))
    approved.refresh_from_db()
    assert bytes(approved.number_sealed)
    purging.purge(now=now + KYC_LIFETIME + timedelta(days=1))
    approved.refresh_from_db()
    assert not bytes(approved.number_sealed)
    assert User.objects.get(pk=asha.user.pk).status == "CLOSED"
    assert Wallet.objects.get(pk=asha.wallet.pk).status == "CLOSED"


def test_staff_cannot_walk_out_of_their_duties() -> None:
    dev = holder("Dev Singh")
    User.objects.filter(pk=dev.user.pk).update(is_staff=True)
    assert close(dev).json()["code"] == "permission_denied"


def test_a_payment_that_arrives_while_an_account_closes_finds_it_closed(
    superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha, ravi = holder(), holder("Ravi Iyer", rupees=100)
    told, posted = closing.notify, []

    def while_closing(**named: Any) -> Any:
        """The account was found empty, and nothing is written yet: now the payment comes."""
        sender = threading.Thread(target=_in_thread, args=(posted, lambda: send(ravi, asha, "10")))
        sender.start()
        _wait_until_somebody_waits(superuser_url)
        threads.append(sender)
        return told(**named)

    threads: list[threading.Thread] = []
    monkeypatch.setattr(closing, "notify", while_closing)
    assert close(asha).status_code == 204
    threads[0].join(20)
    assert posted[0].json()["code"] == "recipient_unavailable"
    assert (asha.balance, ravi.balance) == (0, 100)
    assert_books_hold(superuser_url)


def test_an_account_that_closes_while_a_payment_arrives_is_not_empty(superuser_url: str) -> None:
    asha, ravi = holder(), holder("Ravi Iyer", rupees=100)
    closed: list[Any] = []
    threads: list[threading.Thread] = []

    def while_posting(_outcomes: Any) -> None:
        closer = threading.Thread(target=_in_thread, args=(closed, lambda: close(asha)))
        closer.start()
        _wait_until_somebody_waits(superuser_url)
        threads.append(closer)

    movement = Movement(
        type=Transaction.Type.TRANSFER, amount=ravi.balance, currency="INR", from_wallet=ravi.wallet.pk,
        to_wallet=asha.wallet.pk,
    )  # fmt: skip
    post([Group(initiator=ravi.user.actor.pk, movements=(movement,))], within=while_posting)
    threads[0].join(20)
    assert closed[0].json()["code"] == "account_not_empty"
    assert asha.balance == 100
    assert User.objects.get(pk=asha.user.pk).status == "ACTIVE"


def test_the_page_asks_once_more_and_signs_out() -> None:
    asha = holder()
    browser = Browser(asha.user)
    page = browser.open("/account/close")
    assert "five years" in page.text
    assert browser.send(page.form, password="wrong-river-91").status == 401
    done = browser.send(browser.open("/account/close").form, password=PASSWORD)
    assert (done.status, done.location) == (303, "/sign-in")
    assert "Your account is closed." in browser.follow(done).text
    assert browser.open("/history").status == 302


def test_no_bank_account_is_added_to_an_account_that_was_closed_meanwhile() -> None:
    asha = holder()
    assert close(asha).status_code == 204
    with pytest.raises(Refusal) as refused:
        add_bank_account(
            owner=asha.user, holder_name="Asha Rao", ifsc="HDFC0001234", account_number="5010001", now=timezone.now()
        )
    assert refused.value.code == "blocked"
    assert not BankAccount.objects.filter(owner=asha.user).exists()


def _identity(user: User, status: str) -> KycSubmission:
    return KycSubmission.objects.create(
        user=user, full_name="Asha Lakshmi", born_sealed=seal("1990-01-01", purpose="t"),
        address_sealed=seal("4 Hill Road", purpose="t"), document="PAN", number_sealed=seal("ABCPE1234F", purpose="t"),
        number_index=new_uuid().bytes * 2, last_four="234F", image_name=f"{new_uuid().hex}.sealed", image_digest=b"d",
        status=status, provider="support", submitted_at=timezone.now(), decided_at=timezone.now(), reason="Seen.",
    )  # fmt: skip


def _in_thread(results: list[Any], act: Any) -> None:
    try:
        results.append(act())
    finally:
        connections.close_all()


def _wait_until_somebody_waits(superuser_url: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as watcher:
        for _ in range(400):
            found = watcher.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if found.fetchone() is not None:
                return
            watcher.execute("SELECT pg_sleep(0.01)")


def places_of(superuser_url: str, *texts: str) -> set[str]:
    """The tables that hold one of these texts, in any column."""
    found = set()
    with psycopg.connect(superuser_url) as server:
        tables = server.execute("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            for text in texts:
                if server.execute(f'SELECT 1 FROM "{table}" t WHERE t::text LIKE %s LIMIT 1', [f"%{text}%"]).fetchone():
                    found.add(table)
    return found
