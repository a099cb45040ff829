"""After the contract's other tests (in the order of their names): the books are whole, and nothing crashed."""

import subprocess
import sys
from decimal import Decimal

import pytest

from tests.journeys.contract import Person, created
from tests.running import CHECKOUT, Run

pytestmark = pytest.mark.runner


def test_the_ledger_proves_itself(running_wallet: Run, asha: Person, ravi: Person) -> None:
    asha.fund("10")
    created(asha.transfer(ravi.address, "4"))
    sums = running_wallet.query("SELECT currency, sum(balance) FROM wallets_wallet GROUP BY 1")
    assert {total for _, total in sums} == {Decimal(0)}
    proof = subprocess.run(
        [sys.executable, "manage.py", "verify_ledger"],
        cwd=CHECKOUT,
        env=running_wallet.command_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert "http.crash" not in running_wallet.output
