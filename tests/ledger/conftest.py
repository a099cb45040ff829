"""What only the ledger's tests ask for."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests import environment


@pytest.fixture
def own_database(valkey_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[environment.Database]:
    """
    A clone for one test alone, for whoever tampers with the ledger or counts all of it.

    Not together with `database`: only one clone stands behind the aliases at a time.
    """
    environment.empty_valkey(valkey_url)
    with django_db_blocker.unblock(), environment.cloned_database() as clone:
        yield clone
