"""The support queue: one open case for each thing, whoever finds it and how often."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections
from django.utils import timezone
from structlog.testing import capture_logs

from accounts.actors import system_actor
from ledger.movements import Group, Movement, Outcome
from ledger.posting import post
from ledger.system_wallets import Purpose, system_wallet
from payments.cases import open_case, resolve_case, settle_case
from payments.models import Case
from tests.accounts.people import new_email, person
from tests.payments.cast import Holder, holder
from wallet_project.kernel.ids import new_uuid

pytestmark = pytest.mark.usefixtures("database")


def subject() -> str:
    return f"pay_{new_uuid().hex[-14:]}"


def credit(asha: Holder) -> Group:
    movement = Movement(
        type="ADD",
        amount=Decimal(5),
        currency="INR",
        from_wallet=system_wallet(Purpose.GATEWAY_CLEARING, "INR"),
        to_wallet=asha.wallet.pk,
        fact=True,
    )
    return Group(initiator=system_actor("gateway").pk, movements=(movement,))


def test_the_same_thing_found_again_is_the_same_case_and_alarms_once() -> None:
    about, now = subject(), timezone.now()
    with capture_logs() as logs:
        first = open_case(
            kind="AMOUNT", subject=about, reason="It is ten.", now=now, gateway="razorpay", amount_here_minor=10
        )
        again = open_case(
            kind="AMOUNT", subject=about, reason="It is twelve.", now=now + timedelta(hours=1), gateway="razorpay"
        )
        other = open_case(kind="STATE", subject=about, reason="It is open.", now=now, gateway="razorpay")
    assert (again.pk, again.times, again.reason, again.amount_here_minor) == (first.pk, 2, "It is twelve.", 10)
    assert (again.opened_at, again.last_seen_at) == (now, now + timedelta(hours=1))
    assert other.pk != first.pk
    levels = [(line["event"], line["log_level"]) for line in logs]
    assert levels == [("case.opened", "error"), ("case.seen_again", "info"), ("case.opened", "error")]


def test_many_who_find_it_at_once_open_one_case() -> None:
    about, now = subject(), timezone.now()

    def find(_: int) -> int:
        try:
            return open_case(kind="MISSING_HERE", subject=about, reason="Nobody knows it.", now=now).pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(find, range(24)))
    assert len(found) == 1
    assert Case.objects.get(subject=about).times == 24


def test_one_opened_within_a_posting_stands_or_falls_with_it() -> None:
    asha, about, now = holder(), subject(), timezone.now()

    def open_it(outcomes: Sequence[Outcome]) -> None:
        (credited,) = outcomes[0].transactions
        open_case(kind="DIVERTED", subject=about, reason="Its wallet is closed.", now=now, transaction=credited)

    def open_it_and_fail(outcomes: Sequence[Outcome]) -> None:
        open_it(outcomes)
        raise RuntimeError("The posting ends here.")

    with capture_logs() as logs, pytest.raises(RuntimeError, match="ends here"):
        post([credit(asha)], within=open_it_and_fail)
    assert not Case.objects.filter(subject=about).exists()
    assert "case.opened" not in [line["event"] for line in logs]
    outcome = post([credit(asha)], within=open_it)[0]
    assert Case.objects.get(subject=about).transaction_id == outcome.transactions[0]
    assert asha.balance == 5


def test_a_case_is_resolved_once_and_found_again_is_a_new_one() -> None:
    about, now = subject(), timezone.now()
    dev, anil = (person(name, email=new_email(name)) for name in ("Dev", "Anil"))
    first = open_case(kind="UNKNOWN_OUTCOME", subject=about, reason="No answer came.", now=now)
    assert resolve_case(case=first, by=dev, resolution="The bank says that it was paid.", now=now)
    assert not resolve_case(case=first, by=anil, resolution="Another word.", now=now)
    first.refresh_from_db()
    assert (first.state, first.resolved_by, first.resolution) == ("RESOLVED", dev, "The bank says that it was paid.")
    second = open_case(kind="UNKNOWN_OUTCOME", subject=about, reason="No answer came.", now=now)
    assert (second.pk != first.pk, second.times) == (True, 1)
    assert settle_case(kind="UNKNOWN_OUTCOME", subject=about, resolution="The gateway answered.", now=now)
    assert not settle_case(kind="UNKNOWN_OUTCOME", subject=about, resolution="The gateway answered.", now=now)
    second.refresh_from_db()
    assert (second.state, second.resolved_by, second.resolution) == ("RESOLVED", None, "The gateway answered.")
