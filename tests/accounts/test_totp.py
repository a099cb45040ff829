"""The authenticator app's codes: each good once, guesses counted, and a right one taken after wrong ones."""

from datetime import UTC, datetime, timedelta

import django_otp
import pytest
from django.db import transaction
from django.utils import timezone

from accounts import second_factor
from accounts.factor_codes import code_at, matching_step, new_secret
from accounts.models import TotpDevice, User
from accounts.models.factors import KEY_SEALED_FOR
from tests.accounts.people import person, wrong
from tests.accounts.test_races import at_once, refusal_of
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.sealing import seal

pytestmark = pytest.mark.usefixtures("database")
PARALLEL = 20


def with_totp(user: User) -> str:
    """Their secret; enrolled without the ceremony."""
    secret = new_secret()
    TotpDevice.objects.create(
        user=user, name="app", key_sealed=seal(secret, purpose=KEY_SEALED_FOR), created_at=timezone.now()
    )
    User.objects.filter(pk=user.pk).update(second_factor=True)
    return secret


def test_twenty_uses_of_one_code_at_once_succeed_once() -> None:
    asha = person()
    secret = with_totp(asha)
    now = timezone.now()
    code = code_at(secret=secret, now=now)

    answers, backends = at_once(*[refusal_of(lambda: second_factor.check(user=asha, code=code, now=now))] * 12)
    print(answers, len(backends))
    assert answers.count("done") == 1
