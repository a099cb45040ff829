"""
Adding, changing and removing an e-mail or a phone of somebody who has an account.

Whoever sits before an open page, or knows the password, is not enough: the person shows their second factor or, where
they have none, a code that went to an address of theirs; and the new address shows a code of its own. An address that
is somebody else's is answered like any other, and its owner is told. The addresses of before are told how to undo it
(`accounts.address_undo`); until that is over, large payments ask support.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts import address_undo, audit, notices, second_factor, senders, sessions, tries
from accounts.addresses import Address
from accounts.factor_changes import FRESH, require_again
from accounts.models import AddressChange, AddressTries, Channel, OutgoingMessage, User, VerificationCode
from accounts.own_password import check_own_password
from accounts.queries import owner_of
from accounts.verification import CODE_LIFETIME, claiming, code_matches, drop_claim, has_verified, request_message
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.reasons import read_reason

KIND: Final = "address.changed"
LIFT_KIND: Final = "address.hold_lifted"
LIFT_PERMISSION: Final = "accounts.lift_addresschange"
LIFETIME: Final = CODE_LIFETIME
MOST_FAILURES: Final = 5
LONGEST_REASON: Final = 500
# Over all changes of a person: else each new one would bring five fresh guesses.
WRONG_CODES: Final = tries.Limit(AddressTries.Kind.ADDRESS, most=10, window=timedelta(hours=1))
# Counted alike for addresses that are free and those that are not.
STARTS: Final = tries.Limit(AddressTries.Kind.SENT, most=5, window=timedelta(hours=1))
NOBODYS: Final = UUID(int=0)
_WORDS: Final = {Channel.EMAIL: "e-mail", Channel.PHONE: "phone"}


@dataclass(frozen=True, slots=True)
class Begun:
    """
    :ivar own_channel: where the code to an address of theirs went; None where a second factor was shown instead.
    :ivar is_done: a removal that needs no code any more.
    :ivar messages: ids of the messages that now wait.
    """

    change: AddressChange
    own_channel: Channel | None
    expires_at: datetime
    is_done: bool
    messages: list[int]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """
    :ivar user: as they are from now on.
    :ivar messages: ids of the messages that now wait.
    """

    user: User
    messages: list[int]


def begin(
    *, user: User, address: Address, password: str, code: str = "", shown_at: datetime | None = None, now: datetime
) -> Begun:
    """
    Somebody wants this address, beside or instead of the one of its channel. Nothing changes before `confirm`.

    :param code: of their second factor, where they have one.
    :param shown_at: when a factor was last shown in the session that asks; a moment ago stands for the code.
    :raises Refusal: `credentials_invalid`, `otp_required`, `otp_invalid`, `too_many_tries`, `too_many_requests`,
        `invalid` (it is theirs already, or there is no way to send an SMS). Never because it is somebody else's.
    """
    if not senders.can_reach(address.channel):
        raise Refusal.of_field("phone", "Phone numbers cannot be verified here.", "unavailable")
    if address in notices.verified_addresses(user):
        raise Refusal.of_field(address.channel.value, "That is your address already.", "unchanged")
    proven = _prove(user, password, code, shown_at, now)
    return _begin(user, address.channel, address, now if proven else None, now)


def begin_removal(
    *,
    user: User,
    channel: Channel,
    password: str,
    code: str = "",
    keep: UUID,
    shown_at: datetime | None = None,
    now: datetime,
) -> Begun:
    """
    Somebody wants to be without their e-mail or phone. With a second factor it is done at once, else by `confirm`.

    :param keep: the session that asks; all others end where it is done.
    :raises Refusal: `not_found` (there is none), `last_address`, and what `begin` raises.
    """
    _check_another_stays(user, channel)
    proven = _prove(user, password, code, shown_at, now)
    begun = _begin(user, channel, None, now if proven else None, now)
    if not proven:
        return begun
    with transaction.atomic():
        done = _complete(user, begun.change, keep, now)
    return replace(begun, is_done=True, messages=done.messages)


def confirm(*, user: User, change: str, code: str, own_code: str, keep: UUID, now: datetime) -> Confirmed:
    """
    The codes came back: the change is made, every other session of the person ends, and their addresses of before are
    told how to undo it. The try is counted, and committed, before a code is looked at.

    :param change: its public id.
    :param code: which the new address got; of a removal none.
    :param own_code: which an address of theirs got, where no second factor was shown.
    :raises Refusal: `not_found`, `code_invalid` (either is wrong, or the change is over, or the address is somebody
        else's), `last_address`, `too_many_tries`.
    :raises RuntimeError: inside a transaction, whose rollback would give the try back.
    """
    found = _count_try(user, change, now)
    # Both are looked at in any case, so that the time does not tell which was wrong.
    shown = [_shows(found.own_message_id, own_code, now), _shows(found.message_id, code, now)]
    is_them, has_address = shown[0] or found.proven_at is not None, shown[1] or not found.new_value
    try:
        if found.failures >= MOST_FAILURES or not (is_them and has_address):
            raise Refusal("code_invalid")
        with transaction.atomic():
            # In the order of `_count_try`: the counter, then the change.
            tries.hold(kind=WRONG_CODES.kind, address=user.public_id)
            confirmed = _complete(user, found, keep, now)
            tries.forget(kind=WRONG_CODES.kind, address=user.public_id)
    except Refusal as refusal:
        audit.record(KIND, now=now, actor=user, subject=user, refused=refusal.code, object=found.public_id)
        raise
    return confirmed


def waiting_change(*, user: User, change: str, now: datetime) -> AddressChange | None:
    """A change of theirs that waits for its codes, by its public id."""
    uuid = parse_public_id(AddressChange.PREFIX, change)
    if uuid is None:
        return None
    theirs = AddressChange.objects.filter(user=user, uuid=uuid, status=AddressChange.Status.REQUESTED)
    return theirs.filter(requested_at__gt=now - LIFETIME).first()


def is_recent(user: User, now: datetime) -> bool:
    """
    Whether an address of theirs changed so lately that large payments ask support. A payment does not call this: it
    reads the same with the rest of its payer's standing (`payments.spending`).
    """
    return held_until(user=user, now=now) is not None


def held_until(*, user: User, now: datetime) -> datetime | None:
    """Until when large payments ask support."""
    held = AddressChange.objects.filter(user=user, held_until__gt=now).order_by("-held_until")
    return held.values_list("held_until", flat=True).first()


def lift(*, user: User, by: User, reason: str, now: datetime) -> list[int]:
    """
    Support is sure who this is: their large payments ask nobody any more. The old address can undo as before. Where
    nothing is held, nothing happens.

    :returns: ids of the messages that now wait.
    :raises Refusal: `permission_denied` (also of oneself), `invalid` (no reason).
    """
    if not may_lift(user=user, by=by):
        audit.record(LIFT_KIND, now=now, actor=by, subject=user, refused="permission_denied")
        raise Refusal("permission_denied")
    reason = read_reason(reason, longest=LONGEST_REASON)
    with transaction.atomic():
        if not AddressChange.objects.filter(user=user, held_until__gt=now).update(held_until=now):
            return []
        audit.record(LIFT_KIND, now=now, actor=by, subject=user, reason=reason)
        return notices.notify(user=user, kind="hold_lifted", now=now)


def may_lift(*, user: User, by: User) -> bool:
    """Support lifts what holds customers, never themselves; who of staff has a wallet asks a superuser."""
    return by.has_perm(LIFT_PERMISSION) and by != user and (by.is_superuser or not (user.is_staff or user.is_superuser))


def _prove(user: User, password: str, code: str, shown_at: datetime | None, now: datetime) -> bool:
    """
    Ask for the password, and for the second factor of whoever has one. Returns whether that is enough: of a factor that
    was switched on a moment ago it is not.
    """
    if second_factor.is_on(user):
        if not code and (shown_at is None or now - shown_at > FRESH):
            raise Refusal("otp_required")
        require_again(user=user, password=password, code=code, kind=KIND, now=now, shown_at=shown_at)
        return second_factor.has_settled(user, now)
    try:
        check_own_password(user=user, password=password, now=now)
    except Refusal as refusal:
        audit.record(KIND, now=now, actor=user, subject=user, refused=refusal.code)
        raise
    return False


def _check_another_stays(user: User, channel: Channel) -> None:
    verified = [address.channel for address in notices.verified_addresses(user)]
    if channel not in verified:
        raise Refusal("not_found", "You have no such address.")
    if len(verified) == 1:
        raise Refusal("last_address", "This is your last address. Add another one before you remove it.")


def _begin(user: User, channel: Channel, new: Address | None, proven_at: datetime | None, now: datetime) -> Begun:
    with transaction.atomic():
        wait = tries.spend(limit=STARTS, address=f"{user.public_id} changes", now=now)
        if wait is not None:
            raise Refusal("too_many_requests", "You asked for too many codes. Wait a while.", retry_after_seconds=wait)
        # One after another, so that one change of each channel waits at most.
        locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        _drop_waiting(locked, channel)
        theirs = {address.channel: address for address in notices.verified_addresses(locked)}
        old = theirs.get(channel)
        change = AddressChange(
            user=locked,
            channel=channel,
            old_value=old.value if old else "",
            new_value=new.value if new else "",
            proven_at=proven_at,
            requested_at=now,
        )
        messages = _ask_new_address(change, new, now) if new is not None else []
        own = _own_address(theirs, channel) if proven_at is None else None
        if own is not None:
            messages += _ask_own_address(change, own, now)
        change.save(force_insert=True)
    return Begun(change, own.channel if own else None, now + LIFETIME, False, messages)


def _ask_new_address(change: AddressChange, new: Address, now: datetime) -> list[int]:
    """Past their limits messages are dropped without a word, as everywhere: who owns an address is not told."""
    owner = owner_of(new)
    purpose = OutgoingMessage.Purpose.ADDRESS if owner is None else OutgoingMessage.Purpose.TAKEN
    messages = request_message(user=owner or change.user, address=new, purpose=purpose, now=now)
    if owner is None and messages:
        change.message_id = messages[0]
    return messages


def _ask_own_address(change: AddressChange, own: Address, now: datetime) -> list[int]:
    details = {"change": words_of(change)}
    messages = request_message(
        user=change.user, address=own, purpose=OutgoingMessage.Purpose.ADDRESS, details=details, now=now
    )
    if not messages:
        raise Refusal(
            "too_many_requests",
            "You asked for too many codes. Wait a while.",
            retry_after_seconds=int(STARTS.window.total_seconds()),
        )
    change.own_message_id = messages[0]
    return messages


def _own_address(theirs: dict[Channel, Address], channel: Channel) -> Address:
    """Rather the one that stays: the other is often changed because it is lost."""
    reachable = [address for address in theirs.values() if senders.can_reach(address.channel)]
    if not reachable:
        raise Refusal("not_verified", "There is no address of yours that a code could be sent to. Ask support.")
    return next((address for address in reachable if address.channel != channel), reachable[0])


def _drop_waiting(user: User, channel: Channel) -> None:
    for waiting in AddressChange.objects.filter(user=user, channel=channel, status=AddressChange.Status.REQUESTED):
        _forget_codes(waiting)
        AddressChange.objects.filter(pk=waiting.pk).update(status=AddressChange.Status.DROPPED)


def _count_try(user: User, name: str, now: datetime) -> AddressChange:
    """
    Count a wrong code before it is judged, and commit that.

    :returns: the change, its `failures` as they were before.
    """
    uuid = parse_public_id(AddressChange.PREFIX, name) or NOBODYS
    with transaction.atomic(durable=True):
        wait = tries.spend(limit=WRONG_CODES, address=user.public_id, now=now)
        row = AddressChange.objects.select_for_update(no_key=True).filter(user=user, uuid=uuid).first()
        if row is not None and wait is None:
            AddressChange.objects.filter(pk=row.pk).update(failures=F("failures") + 1)
    if wait is not None:
        raise Refusal("too_many_tries", "Too many wrong codes. Wait a while.", retry_after_seconds=wait)
    if row is None:
        raise Refusal("not_found", "There is no such change.")
    return row


def _shows(message: int | None, code: str, now: datetime) -> bool:
    return message is not None and code_matches(verification_id=message, code="".join(code.split()), now=now)


def _complete(user: User, change: AddressChange, keep: UUID, now: datetime) -> Confirmed:
    """All was shown. Of two who confirm one change, or claim one address, at once the second finds it done."""
    require_transaction("default")
    channel = Channel(change.channel)
    new = Address(channel, change.new_value) if change.new_value else None
    # People in one order, as everybody locks them. list() matters: an unread queryset locks nothing.
    wanted = Q(pk=user.pk) | Q(pk__in=claiming(address=new).values("pk")) if new else Q(pk=user.pk)
    people = list(User.objects.filter(wanted).order_by("pk").select_for_update())
    them = next(person for person in people if person.pk == user.pk)
    others = [person for person in people if person.pk != user.pk]
    before = notices.verified_addresses(them)
    waiting = AddressChange.objects.select_for_update(no_key=True).filter(
        pk=change.pk, status=AddressChange.Status.REQUESTED, requested_at__gt=now - LIFETIME
    )
    is_old = change.old_value == next((address.value for address in before if address.channel == channel), "")
    # Signed out, blocked or with another password since: then this is not for whoever asks.
    is_same = them.token_version == user.token_version and them.status == User.Status.ACTIVE
    if not (list(waiting) and is_old and is_same) or any(
        has_verified(user=person, channel=channel) for person in others
    ):
        raise Refusal("code_invalid")
    if new is None:
        _check_another_stays(them, channel)
    for person in others:
        drop_claim(user=person, channel=channel)
    _set(them, channel, new, now)
    _forget_codes(change)
    return Confirmed(them, _note(them, change, before, keep, now))


def _set(user: User, channel: Channel, new: Address | None, now: datetime) -> None:
    setattr(user, channel.value, new.value if new else None)
    setattr(user, f"{channel.value}_verified_at", now if new else None)
    try:
        with transaction.atomic():
            user.save(update_fields=[channel.value, f"{channel.value}_verified_at"])
    except IntegrityError as error:
        # Proved by somebody else this very moment.
        raise Refusal("code_invalid") from error


def _note(user: User, change: AddressChange, before: list[Address], keep: UUID, now: datetime) -> list[int]:
    """What follows from a change: written down, told, held, and every other session ended."""
    until = now + timedelta(hours=settings.ADDRESS_UNDO_HOURS)
    AddressChange.objects.filter(pk=change.pk).update(
        status=AddressChange.Status.DONE,
        done_at=now,
        undo_until=until,
        held_until=until,
        undo_digest=address_undo.digest_of(address_undo.token_of(change.uuid)),
    )
    sessions.end_others(user=user, but=keep, now=now)
    audit.record(KIND, now=now, actor=user, subject=user, object=change.public_id, change=_kind_of(change))
    return notices.notify_addresses(
        user=user,
        addresses=before,
        kind="address_changed" if change.new_value else "address_removed",
        now=now,
        change=words_of(change),
        undo=change.public_id,
        until=f"{timezone.localtime(until):%d %b, %H:%M}",
    )


def _forget_codes(change: AddressChange) -> None:
    ids = [pk for pk in (change.message_id, change.own_message_id) if pk is not None]
    VerificationCode.objects.filter(verification__in=ids).delete()


def words_of(change: AddressChange) -> str:
    """For the person: `phone added`. The address itself would be a stranger's words, and a mailbox is not private."""
    return f"{_WORDS[Channel(change.channel)]} {_kind_of(change)}"


def _kind_of(change: AddressChange) -> str:
    if not change.new_value:
        return "removed"
    return "changed" if change.old_value else "added"
