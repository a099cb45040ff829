"""Asking somebody who is signed in for their password once more, before what a thief of their session would do."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from accounts import tries
from accounts.models import AddressTries, User
from accounts.passwords import LONGEST
from wallet_project.kernel.errors import Refusal

WRONG_PASSWORDS: Final = tries.Limit(AddressTries.Kind.PASSWORD, most=10, window=timedelta(minutes=15))


def check_own_password(*, user: User, password: str, now: datetime) -> None:
    """
    The try is counted, and committed, before the password is looked at; only failures stay counted.

    :raises Refusal: `credentials_invalid`, `too_many_tries`.
    :raises RuntimeError: inside a transaction, whose rollback would give the try back.
    """
    with transaction.atomic(durable=True):
        wait = tries.spend(limit=WRONG_PASSWORDS, address=user.public_id, now=now)
    if wait is not None:
        raise Refusal("too_many_tries", "Too many wrong passwords. Wait a while.", retry_after_seconds=wait)
    # No transaction is open here: a hash takes its time.
    if len(password) > LONGEST or not user.check_password(password):
        raise Refusal("credentials_invalid", "That is not your password.")
    with transaction.atomic():
        tries.forget(kind=WRONG_PASSWORDS.kind, address=user.public_id)
