"""A sandbox of a module's own, with the merchant that it writes to; and the wallet speaking to it."""

from collections.abc import Iterator

import pytest

from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (merchant, sandbox):
        yield merchant, sandbox


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]
