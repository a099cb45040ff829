"""A sandbox of a module's own, with the merchant that it writes to; the wallet speaking to it; a merchant's server."""

from collections.abc import Iterator

import pytest
from django.conf import settings

from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.merchant_receiver import Receiver, receiving
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (merchant, sandbox):
        yield merchant, sandbox


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merchants' webhooks may go to this very machine."""
    monkeypatch.setattr(settings, "WEBHOOK_LOOPBACK", True)


@pytest.fixture
def shop() -> Iterator[Receiver]:
    """A merchant's own server; see `loopback`."""
    with receiving() as receiver:
        yield receiver
