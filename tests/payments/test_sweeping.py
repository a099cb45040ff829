"""Sweeps: each row once, not too many, not too long, and none keeps the others from it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from structlog import get_logger
from structlog.testing import capture_logs

from payments import sweeping
from payments.models import BankAccount
from payments.sweeping import Errand, sweep_due
from tests.payments.cast import holder
from tests.payments.withdrawing import bank_account
from wallet_project.kernel.errors import GatewayError, Refusal

pytestmark = pytest.mark.usefixtures("database")
LATER = timedelta(hours=1)


@pytest.fixture
def due() -> Iterator[list[int]]:
    """Five bank accounts of Asha's, in the order in which they are due."""
    BankAccount.objects.update(check_at=None)
    asha, now = holder(), timezone.now()
    for ending in range(5):
        bank_account(asha, f"100{ending}")
    pks = list(BankAccount.objects.filter(check_at__isnull=False).order_by("pk").values_list("pk", flat=True))
    for late, pk in enumerate(reversed(pks)):
        BankAccount.objects.filter(pk=pk).update(check_at=now - timedelta(minutes=late), checks=0)
    yield pks
    BankAccount.objects.filter(pk__in=pks).update(check_at=None)


def errand(**does: Any) -> Errand[BankAccount]:
    return Errand(
        next_check=lambda _, now: now + LATER,
        names=lambda account: {"account": account.public_id},
        log=get_logger("tests"),
        put_off="test.put_off",
        failed="test.failed",
        **does,
    )


def sweep(does: Errand[BankAccount], longest_seconds: float = 60.0) -> int:
    return sweep_due(rows=BankAccount.objects.all(), errand=does, now=timezone.now(), longest_seconds=longest_seconds)


def test_the_longest_due_come_first_and_no_more_than_a_sweep_has_room_for(
    due: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "MOST_AT_ONCE", 2)
    done: list[int] = []
    does = errand(work=lambda account, _: done.append(account.pk))
    assert [sweep(does) for _ in range(4)] == [2, 2, 1, 0]
    assert done == due


def test_a_sweep_whose_time_is_over_begins_nothing_more(due: list[int]) -> None:
    assert sweep(errand(work=lambda _account, _now: None), longest_seconds=-1) == 0
    assert BankAccount.objects.filter(pk__in=due, checks=0).count() == 5


def test_one_that_goes_wrong_is_put_off_and_told_of_and_the_others_are_gone_on_with(due: list[int]) -> None:
    wrong = {due[0]: GatewayError("No.", http_status=502), due[1]: Refusal("busy"), due[2]: ZeroDivisionError()}
    done: list[int] = []

    def work(account: BankAccount, now: datetime) -> None:
        if account.pk in wrong:
            raise wrong[account.pk]
        done.append(account.pk)

    with capture_logs() as lines:
        assert sweep(errand(work=work)) == 5
    assert done == due[3:]
    told = [(line["event"], line.get("reason"), line.get("http_status")) for line in lines]
    assert told == [
        ("test.put_off", "GatewayError", 502),
        ("test.put_off", "Refusal", 503),
        ("test.failed", None, None),
    ]
    for row in BankAccount.objects.filter(pk__in=due):
        assert (row.checks, row.check_at is not None and row.check_at > timezone.now()) == (1, True)


def test_of_many_sweeps_at_once_one_goes_on_with_each_row(due: list[int]) -> None:
    done: list[int] = []
    does = errand(work=lambda account, _: done.append(account.pk))

    def work(_: int) -> int:
        try:
            return sweep(does)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(8))) == 5
    assert sorted(done) == due
