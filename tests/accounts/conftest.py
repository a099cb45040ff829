"""What the tests of accounts share."""

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher

from accounts.password_hashing import SizedArgon2PasswordHasher


@pytest.fixture
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords cost what they cost in production, for what measures the time."""
    monkeypatch.setattr(SizedArgon2PasswordHasher, "memory_cost", Argon2PasswordHasher.memory_cost)
