"""Freezing a wallet: with a reason, on record, against nobody's own; and what a transfer at the same moment meets."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connection, connections, transaction
from django.utils import timezone

from accounts.models import OutgoingMessage, SecurityEvent, User
from accounts.roles import AUDITOR, SUPPORT, appoint, appoint_superuser
from ledger.movements import Outcome
from ledger.posting import post
from tests.accounts.people import person
from tests.ledger.factories import Member, UserFactory, asha, group, ravi, transfer
from tests.ledger.proofs import assert_books_hold
from tests.payments.cast import holder
from tests.payments.staff import browser_of, page_of, said, shown
from tests.races.test_locks import Posting, wait_until_blocked
from wallet_project.kernel.errors import Refusal
from wallets.freezing import freeze, unfreeze
from wallets.models import Wallet, WalletStatusChange

pytestmark = pytest.mark.usefixtures("database")
WHY = "Reported as stolen"


@pytest.fixture
def watcher(superuser_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Looks at who waits for whom, each time anew."""
    with psycopg.connect(superuser_url, autocommit=True) as session:
        yield session


def staff(group: str = SUPPORT) -> User:
    user = UserFactory.create(full_name="Dev Singh")
    with transaction.atomic():
        appoint(user=user, group=group)
    return User.objects.get(pk=user.pk)


def root() -> User:
    user = UserFactory.create(full_name="Root")
    appoint_superuser(user=user)
    return user


def status_of(member: Member) -> str:
    return Wallet.objects.get(pk=member.wallet.pk).status


def backend_of(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_a_frozen_wallet_lets_nothing_out_by_its_owners_wish_and_everything_in() -> None:
    zoya, friend, dev = holder("Zoya Khan", rupees=100), holder("Ravi Menon", rupees=100), staff()
    messages = freeze(wallet=zoya.wallet, by=dev, reason=f"  {WHY} ", now=timezone.now())
    for path, body in (
        ("/wallet/transfer", {"to": friend.email, "amount": "1"}),
        ("/wallet/transfer?dry_run=true", {"to": friend.email, "amount": "1"}),
    ):
        answer = zoya.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "wallet_frozen")
    assert friend.post("/wallet/transfer", {"to": zoya.email, "amount": "7"}).status_code == 201
    assert (zoya.balance, zoya.get("/wallet/balance").json()["status"]) == (107, "FROZEN")
    notice = OutgoingMessage.objects.get(pk__in=messages)
    assert (notice.user, notice.details["kind"]) == (zoya.user, "wallet_frozen")
    # Why is the house's own affair.
    assert WHY not in str(notice.details)
    assert unfreeze(wallet=zoya.wallet, by=dev, reason="She came by", now=timezone.now())
    assert zoya.post("/wallet/transfer", {"to": friend.email, "amount": "7"}).status_code == 201
    changes = WalletStatusChange.objects.filter(wallet=zoya.wallet).order_by("pk")
    assert list(changes.values_list("status", "by", "reason")) == [
        ("FROZEN", dev.pk, WHY),
        ("ACTIVE", dev.pk, "She came by"),
    ]
    events = SecurityEvent.objects.filter(object=zoya.wallet.public_id).order_by("pk")
    assert list(events.values_list("kind", "result", "actor", "subject", "reason")) == [
        ("wallet.frozen", "DONE", dev.pk, zoya.user.pk, WHY),
        ("wallet.unfrozen", "DONE", dev.pk, zoya.user.pk, "She came by"),
    ]


def test_freezing_twice_is_recorded_once_and_a_reason_is_demanded() -> None:
    a, dev = asha(), staff()
    for reason in ("", "  ", "x" * 501, "a\0b"):
        with pytest.raises(Refusal, match="invalid"):
            freeze(wallet=a.wallet, by=dev, reason=reason, now=timezone.now())
    assert status_of(a) == "ACTIVE"
    assert freeze(wallet=a.wallet, by=dev, reason=WHY, now=timezone.now())
    assert freeze(wallet=a.wallet, by=dev, reason=WHY, now=timezone.now()) == []
    assert WalletStatusChange.objects.filter(wallet=a.wallet).count() == 1


def test_nobody_freezes_their_own_wallet_a_system_wallet_or_a_colleagues_and_who_tried_is_on_record() -> None:
    a, anil, zoya, dev = asha(), staff(AUDITOR), person("Zoya Khan"), asha()
    with transaction.atomic():
        appoint(user=dev.user, group=SUPPORT)
    by = User.objects.get(pk=dev.user.pk)
    books, colleague = Wallet.objects.filter(kind="SYSTEM")[0], asha()
    with transaction.atomic():
        appoint(user=colleague.user, group=AUDITOR)
    for who, wallet in (
        (by, dev.wallet),
        (by, books),
        (root(), books),
        (by, colleague.wallet),
        (anil, a.wallet),
        (zoya, a.wallet),
        (a.user, a.wallet),
    ):
        wanted = Wallet.objects.get(pk=wallet.pk)
        for deed in (freeze, unfreeze):
            with pytest.raises(Refusal, match="permission_denied"):
                deed(wallet=wanted, by=who, reason=WHY, now=timezone.now())
        tried = SecurityEvent.objects.filter(object=wanted.public_id, actor=who, result="REFUSED")
        assert sorted(tried.values_list("kind", "reason")) == [
            ("wallet.frozen", "permission_denied"),
            ("wallet.unfrozen", "permission_denied"),
        ]
        assert Wallet.objects.get(pk=wallet.pk).status == "ACTIVE"
    assert freeze(wallet=Wallet.objects.get(pk=colleague.wallet.pk), by=root(), reason=WHY, now=timezone.now())


def test_a_closed_wallet_stays_closed() -> None:
    a, dev = asha(), staff()
    Wallet.objects.filter(pk=a.wallet.pk).update(status="CLOSED")
    for deed in (freeze, unfreeze):
        with pytest.raises(Refusal, match="invalid"):
            deed(wallet=a.wallet, by=dev, reason=WHY, now=timezone.now())
    assert status_of(a) == "CLOSED"


def test_a_transfer_that_comes_while_a_wallet_is_being_frozen_finds_it_frozen(
    watcher: psycopg.Connection[Any], superuser_url: str
) -> None:
    a, r, dev = asha(balance="10"), ravi(), staff()
    with transaction.atomic():
        freeze(wallet=a.wallet, by=dev, reason=WHY, now=timezone.now())
        backend = backend_of("default")
        posting = Posting(group(a, transfer(a, r, "4")))
        posting.start()
        wait_until_blocked(watcher, backend, posting)
    posting.join(10)
    assert [outcome.code for outcome in posting.outcomes] == ["wallet_frozen"]
    assert (a.balance, r.balance) == (10, 0)
    assert_books_hold(superuser_url)


def test_a_transfer_under_way_is_posted_whole_before_the_wallet_is_frozen(
    watcher: psycopg.Connection[Any], superuser_url: str
) -> None:
    a, r, dev = asha(balance="10"), ravi(), staff()
    freezing = _Thread(lambda: freeze(wallet=a.wallet, by=dev, reason=WHY, now=timezone.now()))

    def meanwhile(_: Any) -> None:
        """Under the kernel's locks, before its commit."""
        backend = backend_of("posting")
        freezing.start()
        wait_until_blocked(watcher, backend, freezing)

    outcomes: list[Outcome] = post([group(a, transfer(a, r, "4"))], within=meanwhile)
    freezing.join(10)
    assert [outcome.kind for outcome in outcomes] == ["posted"]
    assert (status_of(a), a.balance, r.balance) == ("FROZEN", 6, 4)
    assert [outcome.code for outcome in post([group(a, transfer(a, r, "4"))])] == ["wallet_frozen"]
    # The row that the freezing read and wrote was the one that the transfer had left.
    assert_books_hold(superuser_url)


def test_two_of_support_at_once_leave_one_record(watcher: psycopg.Connection[Any]) -> None:
    a, dev, lata = asha(), staff(), staff()
    second = _Thread(lambda: freeze(wallet=a.wallet, by=lata, reason=WHY, now=timezone.now()))
    with transaction.atomic():
        freeze(wallet=a.wallet, by=dev, reason=WHY, now=timezone.now())
        backend = backend_of("default")
        second.start()
        wait_until_blocked(watcher, backend, second)
    second.join(10)
    assert second.failed is None
    assert list(WalletStatusChange.objects.filter(wallet=a.wallet).values_list("by", flat=True)) == [dev.pk]


def test_support_freezes_and_unfreezes_on_a_page_that_asks_why_and_others_do_not() -> None:
    a, dev = asha(balance="10"), browser_of(staff())
    page = page_of(a.wallet, "status")
    assert page in shown(dev.get(page_of(a.wallet)))
    assert "Freeze this wallet of Asha Rao?" in shown(dev.get(page))
    assert dev.post(page, {"act": "freeze", "reason": " "}).status_code == 200
    dev.get(page, {"act": "freeze", "reason": WHY})
    assert status_of(a) == "ACTIVE"
    for act, status in (("freeze", "FROZEN"), ("unfreeze", "ACTIVE")):
        answer = dev.post(page, {"act": act, "reason": WHY})
        assert (answer.status_code, answer["Location"]) == (302, page_of(a.wallet))
        assert a.wallet.public_id in said(answer)
        assert status_of(a) == status
    assert WHY in shown(dev.get(page_of(a.wallet)))
    books = Wallet.objects.filter(kind="SYSTEM")[0]
    assert page_of(books, "status") not in shown(dev.get(page_of(books)))
    anil = browser_of(staff(AUDITOR))
    assert page not in shown(anil.get(page_of(a.wallet)))
    for browser, wallet in ((anil, a.wallet), (dev, books), (browser_of(root()), books)):
        assert browser.get(page_of(wallet, "status")).status_code == 403
        assert browser.post(page_of(wallet, "status"), {"act": "freeze", "reason": WHY}).status_code == 403
    assert SecurityEvent.objects.filter(object=a.wallet.public_id, result="REFUSED").count() == 1


def test_the_record_cannot_be_rewritten_by_the_application() -> None:
    freeze(wallet=asha().wallet, by=staff(), reason=WHY, now=timezone.now())
    for statement in ("UPDATE wallets_walletstatuschange SET reason = 'x'", "DELETE FROM wallets_walletstatuschange"):
        with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
            cursor.execute(statement)


class _Thread(threading.Thread):
    """One deed on a connection of its own, and what came out of it instead."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.act = act
        self.failed: BaseException | None = None

    def run(self) -> None:
        try:
            self.act()
        except BaseException as error:
            self.failed = error
        finally:
            connections.close_all()
