"""
A new password for whoever forgot theirs: a code to an address that they verified.

Nobody learns who is registered. Asking does the same work for every address; a try is counted for every address
(`accounts.verification.spend_try`), and no code of an unverified claim exists, so whoever registers somebody's address
first gains nothing. The second factor stays: a mailbox alone opens no wallet that has one.
"""

from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import senders, sign_in_limits, tries
from accounts.addresses import Address
from accounts.models import AddressTries, User, Verification
from accounts.password_change import replace_password
from accounts.passwords import check_password_is_fit
from accounts.queries import owner_of
from accounts.verification import Attempt, matching, request_message, spend_try
from wallet_project.kernel.errors import Refusal


def ask_for_reset(*, address: Address, now: datetime) -> list[int]:
    """
    Note that the owner of this address is to get a code, if it has one who may sign in. Never says so.

    :returns: ids of the messages to send (`accounts.verification.NOBODYS` for nobody).
    """
    if not senders.can_reach(address.channel):
        return []
    owner = owner_of(address)
    if owner is not None and owner.status != User.Status.ACTIVE:
        owner = None
    with transaction.atomic():
        return request_message(user=owner, address=address, purpose=Verification.Purpose.RESET, now=now)


def reset_password(*, address: Address, code: str, new_password: str, now: datetime) -> list[int]:
    """
    Spend the code for a new password. Everything that was signed in dies, and the person is told.

    What the new password must be is judged before the code is used up, so that another can be chosen with the same one.

    :returns: ids of the messages that now wait.
    :raises Refusal: `code_invalid` (wrong, used, expired, or nobody's), `too_many_tries`, `invalid`.
    """
    # Against nobody first: what it says is the same for every address, and no try is spent on it.
    check_password_is_fit(password=new_password, user=User(), field="new_password")
    attempt = spend_try(address=address, purpose=Verification.Purpose.RESET, now=now)
    check_password_is_fit(password=new_password, user=_person_of(attempt, code, now), field="new_password")
    hashed = make_password(new_password)  # outside of any transaction: it takes its time
    with transaction.atomic():
        # In the order of `spend_try`: the counter, then codes. Of two with one code the second finds it gone.
        tries.hold(kind=AddressTries.Kind.RESET, address=address.value)
        user = User.objects.select_for_update(no_key=True).get(pk=_person_of(attempt, code, now).pk)
        if user != owner_of(address) or user.status != User.Status.ACTIVE:
            raise Refusal("code_invalid")
        messages = replace_password(user=user, hashed=hashed, kind="password.reset", now=now)
        tries.forget(kind=AddressTries.Kind.RESET, address=address.value)
    # Whoever failed to sign in was not this person, or was them before: they may at once.
    sign_in_limits.forgive(user=user)
    return messages


def _person_of(attempt: Attempt, code: str, now: datetime) -> User:
    message = matching(attempt=attempt, code=code, now=now)
    if message is None:
        raise Refusal("code_invalid")
    return message.user
