"""
A new password for whoever forgot theirs: a code, or a link, to an address that they verified.

Nobody learns who is registered. Asking does the same work for every address; a try is counted for every address
(`accounts.verification.spend_try`), and no code of an unverified claim exists, so whoever registers somebody's address
first gains nothing. The second factor stays: a mailbox alone opens no wallet that has one.

Nobody keeps a person from it either. What strangers ask for is counted by their networks, a device of the person's by
itself; past a limit a message was sent whose link is still good (`accounts.reset_links`), and wrong codes end codes
only. The device that set the new password is known from then on, so that no stranger locks it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import audit, known_devices, notices, reset_links, senders, sign_in_limits, tries
from accounts.addresses import LONGEST, Address
from accounts.models import AddressTries, OutgoingMessage, User, VerificationCode
from accounts.password_change import replace_password
from accounts.passwords import check_password_is_fit
from accounts.queries import owner_of
from accounts.verification import Attempt, asking_for_a_reset, matching, request_message, spend_try
from wallet_project.kernel.clients import client, network_of
from wallet_project.kernel.errors import Refusal


@dataclass(frozen=True, slots=True)
class Reset:
    """
    :ivar messages: ids of the messages that now wait.
    :ivar device_tokens: what the device is to show from now on.
    """

    messages: list[int]
    device_tokens: tuple[str, ...]


def ask_for_reset(*, address: Address, device_tokens: Sequence[str] = (), now: datetime) -> list[int]:
    """
    Note that the owner of this address is to get a code and a link, if it has one who may sign in. Never says so. What
    was sent before stays good.

    :param device_tokens: what the device shows (`known_devices.tokens_in`).
    :returns: ids of the messages to send (`accounts.verification.NOBODYS` for nobody).
    """
    if not senders.can_reach(address.channel):
        return []
    owner = owner_of(address)
    if owner is not None and owner.status != User.Status.ACTIVE:
        owner = None
    device = known_devices.device_of(user=owner, tokens=device_tokens, now=now)
    with transaction.atomic():
        return request_message(
            user=owner, address=address, purpose=OutgoingMessage.Purpose.RESET, device=device, now=now
        )


def reset_password(
    *, address: Address, code: str, new_password: str, device_tokens: Sequence[str] = (), now: datetime
) -> Reset:
    """
    Spend the code for a new password. Everything that was signed in dies, and the person is told.

    What the new password must be is judged before the code is used up, so that another can be chosen with the same one.

    :raises Refusal: `code_invalid` (wrong, used, expired, or nobody's), `too_many_tries`, `invalid`.
    """
    # Against nobody first: what it says is the same for every address, and no try is spent on it.
    check_password_is_fit(password=new_password, user=User(), field="new_password")
    device = known_devices.device_of(user=owner_of(address), tokens=device_tokens, now=now)
    attempt = spend_try(address=address, purpose=OutgoingMessage.Purpose.RESET, device=device, now=now)
    check_password_is_fit(password=new_password, user=_message_of(attempt, code, now).user, field="new_password")
    hashed = make_password(new_password)  # outside of any transaction: it takes its time
    with transaction.atomic():
        # In the order of `spend_try`: the counter, then codes. Of two with one code the second finds it gone.
        tries.hold(kind=AddressTries.Kind.RESET, address=address.value)
        user = User.objects.select_for_update(no_key=True).get(pk=_message_of(attempt, code, now).user_id)
        _message_of(attempt, code, now)
        if user != owner_of(address) or user.status != User.Status.ACTIVE:
            raise Refusal("code_invalid")
        reset = _replace(user, hashed, device_tokens, now)
        for counter in attempt.counters:
            tries.forget(kind=AddressTries.Kind.RESET, address=counter)
    # Whoever failed to sign in was not this person, or was them before: they may at once.
    sign_in_limits.forgive(user=user)
    return reset


def reset_password_by_link(*, token: str, new_password: str, device_tokens: Sequence[str] = (), now: datetime) -> Reset:
    """
    As `reset_password`, by the link of the message. Nothing is counted: nobody guesses it.

    :raises Refusal: `code_invalid` (nobody's, used, too old), `invalid`.
    """
    message = reset_links.message_of(token=token, now=now)
    check_password_is_fit(password=new_password, user=message.user, field="new_password")
    hashed = make_password(new_password)
    with transaction.atomic():
        tries.hold(kind=AddressTries.Kind.RESET, address=message.address)
        user = User.objects.select_for_update(no_key=True).get(pk=message.user_id)
        # Of two who follow one link at once the second finds it gone.
        reset_links.message_of(token=token, now=now)
        reset = _replace(user, hashed, device_tokens, now)
    sign_in_limits.forgive(user=user)
    return reset


def _replace(user: User, hashed: str, device_tokens: Sequence[str], now: datetime) -> Reset:
    """The person is locked."""
    resets = VerificationCode.objects.filter(verification__user=user)
    # In one order, as whoever counts a try takes them; they are deleted with their messages.
    list(
        resets.filter(verification__purpose=OutgoingMessage.Purpose.RESET)
        .order_by("pk")
        .select_for_update(of=("self",))
    )
    at_other_end = client.get()
    seen = known_devices.remember(user=user, tokens=device_tokens, client=at_other_end, now=now)
    if seen.is_new and not seen.is_first:
        audit.record("device.new", now=now, actor=user, subject=user)
    messages = replace_password(
        user=user, hashed=hashed, kind="password.reset", now=now, device=seen.device.label, address=at_other_end.address
    )
    forget_asking(user=user)
    return Reset(messages, seen.tokens)


def forget_asking(*, user: User) -> None:
    """Every link that was sent is dead, so another may be asked for: by whoever asks now, and over all networks."""
    network = network_of(client.get().address)
    for address in notices.verified_addresses(user):
        every = asking_for_a_reset(user=user, address=address)
        for counter in (every, f"{network} {every}"[:LONGEST]):
            tries.forget(kind=AddressTries.Kind.SENT, address=counter)


def _message_of(attempt: Attempt, code: str, now: datetime) -> OutgoingMessage:
    message = matching(attempt=attempt, code=code, now=now)
    if message is None:
        raise Refusal("code_invalid")
    return message
