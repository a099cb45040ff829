"""What the tests of accounts share."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher


@pytest.fixture(autouse=True)
def _cheap_hashes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Argon2id as ever, at a hundredth of its cost, but for tests that ask for `real_hashes`."""
    if "real_hashes" in request.fixturenames:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Argon2PasswordHasher, "memory_cost", 1024)
        patch.setattr(Argon2PasswordHasher, "time_cost", 1)
        patch.setattr(Argon2PasswordHasher, "parallelism", 1)
        yield


@pytest.fixture
def real_hashes() -> None:
    """For what measures the time that a hash takes."""
