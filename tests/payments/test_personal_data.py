"""Everything about a person for that person: whole, in pieces, on record, and with nothing of anybody else's."""

import json
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from accounts import audit
from accounts.models import SecurityEvent, User
from ledger import queries
from payments import personal_data
from payments.bank_accounts import add_bank_account
from tests.accounts.factors import enrolled
from tests.accounts.papers import passport, sent
from tests.accounts.people import PASSWORD, person
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, access_of, holder, merchant

pytestmark = pytest.mark.usefixtures("database")


def data_of(someone: Holder) -> dict[str, Any]:
    answer = someone.get("/me/data")
    assert answer.status_code == 200, answer.content
    return dict(json.loads(b"".join(answer.streaming_content)))


def test_a_person_has_all_of_their_own_and_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    # A page of two: a history of any length is read as this one is.
    monkeypatch.setattr(personal_data, "MOST_ROWS", 2)
    monkeypatch.setattr(personal_data, "ROWS_AT_ONCE", 2)
    asha, ravi, dev = holder("Asha Lakshmi Rao", rupees=100), holder("Ravi Iyer"), person("Dev Singh")
    for number in range(5):
        lunch = {"to": ravi.email, "amount": "7", "note": f"Lunch {number}"}
        assert asha.post("/wallet/transfer", lunch).status_code == 201
    add_bank_account(
        owner=asha.user, holder_name="Asha Rao", ifsc="HDFC0001234", account_number="50100012340001", now=timezone.now()
    )
    passport_number = passport()
    sent(asha, number=passport_number)
    secret, codes = enrolled(asha.user)
    audit.record("person.looked_at", now=timezone.now(), actor=dev, subject=asha.user, reason="Zoya said so")
    asha = Holder(User.objects.get(pk=asha.user.pk), asha.wallet, access_of(asha.user))

    found = data_of(asha)

    assert found["profile"]["full_name"] == "Asha Lakshmi Rao"
    assert found["profile"]["email"] == asha.email
    (wallet,) = found["wallets"]
    history = asha.get("/transactions?limit=100").json()["results"]
    assert [row["id"] for row in wallet["transactions"]] == [row["id"] for row in history]
    assert [row["note"] for row in wallet["transactions"]][:5] == [f"Lunch {number}" for number in reversed(range(5))]
    assert wallet["transactions"][0]["entries"][0]["debit"] == {"amount": "7.00", "currency": "INR"}
    assert wallet["transactions"][0]["counterparty"]["display_name"] == "Ravi I."
    assert found["bank_accounts"][0]["account_number"] == "••••••••0001"
    # By the token alone, which a thief may have; the page asks for the password.
    assert found["identity_documents"][0]["number"] == f"••••{passport_number[-4:]}"
    assert found["recovery_codes"] == [{"left": len(codes)}]
    assert {"person.looked_at", "data.downloaded"} <= {event["kind"] for event in found["security_events"]}
    text = json.dumps(found, ensure_ascii=False)
    numbers = ("50100012340001", passport_number)
    hidden = (secret, *codes, *numbers, asha.user.password, ravi.email, "Ravi Iyer", "Dev", dev.email, "Zoya")
    assert [each for each in hidden if str(each) in text] == []
    assert ravi.wallet.public_id in text  # what they see anyway


def test_every_table_about_a_person_is_told() -> None:
    """One that comes later has a line here, and a part in the document."""
    names = ("user", "owner", "subject", "blocker", "asker")
    about = {
        model._meta.label: field.name
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if field.related_model is User and field.concrete and field.name in names
    }
    told_in = {
        "accounts.AddressChange": "address_changes",
        "accounts.Consent": "consents",
        "accounts.KnownDevice": "devices",
        "accounts.KycSubmission": "identity_documents",
        "accounts.LostFactor": "lost_factors",
        "accounts.Passkey": "passkeys",
        "accounts.PersonBlock": "people_blocked",
        "accounts.RecoveryDevice": "recovery_codes",
        "accounts.SecurityEvent": "security_events",
        "accounts.Session": "sessions",
        "accounts.StatusChange": "history_of_status",
        "accounts.TotpDevice": "authenticator_apps",
        "accounts.Notification": "notifications",
        "accounts.NotificationPreference": "notification_preferences",
        "accounts.OutgoingMessage": "messages",
        "accounts.PushSubscription": "browsers_woken",
        "payments.BankAccount": "bank_accounts",
        "payments.MoneyBack": "money_asked_back",
        "payments.OwnLimit": "own_limits",
        "payments.StepUp": "codes_asked_for",
        "wallets.Wallet": "wallets",
    }
    # Of what staff did, and the name under which the ledger knows somebody: nothing about the person themselves.
    assert set(about) == {*told_in, "admin.LogEntry", "accounts.Actor"}
    assert set(data_of(holder())) == {*told_in.values(), "made_at", "profile", "payments_at_the_gateway"}


def test_it_is_read_a_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pieces leave before the history is looked at."""
    asha = holder(rupees=10)
    read: list[int] = []
    monkeypatch.setattr(personal_data, "history_of", lambda **named: read.append(1) or queries.history_of(**named))
    pieces = personal_data.download(user=asha.user, password=None, now=timezone.now())
    first = next(pieces)
    assert read == []
    assert json.loads(first + "".join(pieces))["profile"]["id"] == asha.user.public_id
    assert read == [1]


def test_a_merchants_shop_is_there_too() -> None:
    meera, shop = merchant()
    kinds = {wallet["kind"]: wallet for wallet in data_of(meera)["wallets"]}
    assert kinds["MERCHANT"]["merchant"]["handle"] == shop.handle


def test_the_page_asks_for_the_password_and_a_few_times_a_day_are_enough() -> None:
    asha, number = holder(), passport()
    sent(asha, number=number)
    browser = Browser(asha.user)
    assert browser.send(browser.open("/account/data").form, password="wrong-river-91").status == 401
    done = browser.send(browser.open("/account/data").form, password=PASSWORD)
    assert done.status == 200
    assert done.response.headers["Content-Disposition"].startswith('attachment; filename="wallet-data-')
    found = json.loads(b"".join(done.response.streaming_content))
    assert (found["profile"]["id"], found["identity_documents"][0]["number"]) == (asha.user.public_id, number)
    for _ in range(personal_data.MOST_A_DAY - 1):
        data_of(asha)
    refused = asha.get("/me/data")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert refused.headers["Retry-After"]
    on_record = SecurityEvent.objects.filter(subject=asha.user, kind="data.downloaded")
    assert sorted(on_record.values_list("reason", flat=True)) == [""] * personal_data.MOST_A_DAY + [
        "credentials_invalid",
        "too_many_requests",
    ]
