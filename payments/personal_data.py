"""
Everything that the wallet keeps about one person, for that person (Digital Personal Data Protection Act, 2023, section
11): one JSON document, made while it is read, so that a history of any length takes the memory of one page of it.

Secrets are no data about anybody and are left out: passwords, codes, keys and tokens, in whatever form they are kept.
Of other people it holds what the person sees anyway, their masked names; of staff nothing.
"""

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

from django.db import transaction
from django.db.models import Model, Q, QuerySet

from accounts import audit
from accounts.kyc import ADDRESS, BORN
from accounts.kyc_numbers import PURPOSE as NUMBER
from accounts.models import (
    AddressChange,
    Consent,
    KnownDevice,
    KycSubmission,
    LostFactor,
    Notification,
    NotificationPreference,
    OutgoingMessage,
    Passkey,
    PersonBlock,
    PushSubscription,
    RecoveryCode,
    SecurityEvent,
    Session,
    StatusChange,
    TotpDevice,
    User,
)
from accounts.own_password import check_own_password
from ledger.queries import MOST_ROWS, SeenEntry, SeenTransaction, entries_of, history_of
from payments.bank_accounts import masked_number
from payments.models import BankAccount, MoneyBack, OwnLimit, PaymentAttempt, StepUp, WebhookEndpoint
from payments.money_back import with_parties
from payments.money_back_queries import SeenMoneyBack, seen_by
from wallet_project.kernel.database import give_back_connection
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import Money
from wallet_project.kernel.sealing import unseal
from wallets.display_names import masked
from wallets.models import Wallet, WalletStatusChange
from wallets.queries import wallets_of

KIND: Final = "data.downloaded"
MOST_A_DAY: Final = 10
ROWS_AT_ONCE: Final = 200
# Of an identity document's number, where no password was asked for.
_SHOWN: Final = 4

M = TypeVar("M", bound=Model)
Rows = Iterator[dict[str, Any]]


def download(*, user: User, password: str | None, now: datetime) -> Generator[str, None, None]:
    """
    All data about this person, as pieces of one JSON document. That it was asked for is on record before the first.

    :param password: asked for once more at a page, which others may find open; None where a token shows who it is, and
        then of the numbers of identity documents only the last four characters are told.
    :raises Refusal: `credentials_invalid`, `too_many_tries`; `too_many_requests`: more than `MOST_A_DAY` in a day.
    """
    try:
        if password is not None:
            check_own_password(user=user, password=password, now=now)
        _count(user, now)
    except Refusal as refusal:
        audit.record(KIND, now=now, actor=user, subject=user, refused=refusal.code)
        raise
    return _document(user, now, whole=password is not None)


def _count(user: User, now: datetime) -> None:
    """One after another, so that any number at once are no more than may."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        done = SecurityEvent.objects.filter(
            subject=user, kind=KIND, result=SecurityEvent.Result.DONE, created_at__gt=now - timedelta(days=1)
        )
        if done.count() >= MOST_A_DAY:
            raise Refusal(
                "too_many_requests", f"You can have your data {MOST_A_DAY} times a day.", retry_after_seconds=3600
            )
        audit.record(KIND, now=now, actor=user, subject=user)


def _document(user: User, now: datetime, *, whole: bool) -> Generator[str, None, None]:
    yield f'{{"made_at": {_json(now)}, "profile": {_json(_profile(user))}'
    for name, rows in _sections(user, whole=whole).items():
        yield f', "{name}": '
        yield from _list(_json(row) for row in rows)
    yield ', "wallets": '
    yield from _list_of_pieces(_wallet(wallet) for wallet in wallets_of(user=user))
    yield "}\n"


def _list(pieces: Iterable[str]) -> Iterator[str]:
    """A few rows at a time, and between them no connection is kept: whoever reads this may be slow."""
    return _list_of_pieces([piece] for piece in pieces)


def _list_of_pieces(items: Iterable[Iterable[str]]) -> Iterator[str]:
    yield "["
    for number, pieces in enumerate(items):
        yield "," if number else ""
        yield from pieces
    yield "]"


def _wallet(wallet: Wallet) -> Iterator[str]:
    head = {
        "id": wallet.public_id,
        "kind": wallet.kind,
        "status": wallet.status,
        "balance": wallet.money,
        "held": Money(wallet.held, wallet.currency),
        "opened_at": wallet.created_at,
        "history_of_status": [
            {"status": change.status, "at": change.created_at}
            for change in WalletStatusChange.objects.filter(wallet=wallet).order_by("pk")
        ],
    }
    if hasattr(wallet, "merchant"):
        head["merchant"] = {"handle": wallet.merchant.handle, "display_name": wallet.merchant.display_name}
        endpoints = WebhookEndpoint.objects.filter(wallet=wallet).exclude(state=WebhookEndpoint.State.REMOVED)
        head["webhooks"] = [
            {"id": each.public_id, "url": each.url, "types": each.types, "added_at": each.created_at}
            for each in endpoints.order_by("pk")
        ]
    yield _json(head)[:-1] + ', "transactions": '
    yield from _list(_json(row) for row in _transactions(wallet))
    yield "}"


def _transactions(wallet: Wallet) -> Rows:
    """As their own history shows them, newest first, each with their side of it."""
    cursor: str | None = None
    while True:
        page = history_of(wallet=wallet, cursor=cursor, limit=MOST_ROWS)
        entries = entries_of(wallet=wallet, rows=page.rows)
        give_back_connection()
        for row in page.rows:
            yield {**_transaction(row), "entries": [_entry(entry) for entry in entries.get(row.pk, ())]}
        if page.next is None:
            return
        cursor = page.next


def _transaction(seen: SeenTransaction) -> dict[str, Any]:
    return {
        "id": seen.public_id,
        "type": seen.type,
        "status": seen.status,
        "direction": seen.direction,
        "amount": seen.amount,
        "counterparty": {"display_name": seen.counterparty_name, "wallet": seen.counterparty_wallet},
        "note": seen.note,
        "order_reference": seen.order_reference,
        "balance_after": seen.balance_after,
        "reverses": seen.reverses,
        "reversed_by": seen.reversed_by,
        "failure": seen.failure_code or None,
        "created_at": seen.created_at,
        "completed_at": seen.completed_at,
    }


def _entry(entry: SeenEntry) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "debit": entry.debit,
        "credit": entry.credit,
        "balance_after": entry.balance_after,
        "created_at": entry.created_at,
    }


def _profile(user: User) -> dict[str, Any]:
    return {
        "id": user.public_id,
        "full_name": user.full_name,
        "email": user.email,
        "email_verified_at": user.email_verified_at,
        "phone": user.phone,
        "phone_verified_at": user.phone_verified_at,
        "status": user.status,
        "kyc_level": user.kyc_level,
        "second_factor": user.second_factor,
        "registered_at": user.created_at,
        "last_login": user.last_login,
    }


def _sections(user: User, *, whole: bool) -> Mapping[str, Rows]:
    """What is read a few rows at a time, when its turn comes."""
    about = Q(subject=user) | Q(actor=user, subject=None)
    codes_left = RecoveryCode.objects.filter(device__user=user, used_at=None).count
    return {
        "address_changes": _plain(
            AddressChange.objects.filter(user=user),
            *("channel", "old_value", "new_value", "status", "requested_at", "done_at", "undone_at"),
        ),
        "consents": _plain(Consent.objects.filter(user=user), "document", "version", "given_at", "address"),
        "history_of_status": _plain(StatusChange.objects.filter(user=user), "status", "created_at"),
        "sessions": _plain(
            Session.objects.filter(user=user),
            *("kind", "label", "address", "factor_at", "created_at", "last_used_at", "expires_at", "revoked_at"),
        ),
        "devices": _plain(KnownDevice.objects.filter(user=user), "label", "address", "first_seen_at", "last_seen_at"),
        "authenticator_apps": _plain(TotpDevice.objects.filter(user=user), "confirmed", "created_at"),
        "passkeys": _plain(Passkey.objects.filter(user=user), "name", "created_at", "last_used_at"),
        "recovery_codes": ({"left": left()} for left in (codes_left,)),
        "lost_factors": _plain(LostFactor.objects.filter(user=user), "status", "statement", "asked_at", "ended_at"),
        "identity_documents": (_identity(each, whole=whole) for each in _rows(KycSubmission.objects.filter(user=user))),
        "bank_accounts": (_bank_account(each) for each in _rows(BankAccount.objects.filter(owner=user))),
        "own_limits": _plain(
            OwnLimit.objects.filter(user=user),
            *("type", "per_transaction", "per_day", "per_month", "asked_at", "since", "dropped_at"),
        ),
        "codes_asked_for": _plain(StepUp.objects.filter(user=user), "channel", "created_at", "expires_at", "spent_at"),
        "payments_at_the_gateway": _plain(
            PaymentAttempt.objects.filter(order__transaction__to_wallet__owner=user),
            *("gateway", "payment_id", "amount_minor", "currency", "status", "method", "reference", "first_seen_at"),
        ),
        "people_blocked": (
            {"name": masked(each.blocked.full_name), "created_at": each.created_at}
            for each in _rows(PersonBlock.objects.filter(blocker=user).select_related("blocked"))
        ),
        "money_asked_back": (
            _money_back(seen_by(user=user, row=each))
            for each in _rows(with_parties(MoneyBack.objects.filter(Q(asker=user) | Q(asked=user))))
        ),
        "browsers_woken": _plain(PushSubscription.objects.filter(user=user), "label", "endpoint", "created_at"),
        "messages": _plain(
            OutgoingMessage.objects.filter(user=user), "purpose", "channel", "address", "requested_at", "sent_at"
        ),
        "notifications": _plain(
            Notification.objects.filter(user=user), "kind", "title", "text", "transaction_id", "created_at", "read_at"
        ),
        "notification_preferences": _plain(
            NotificationPreference.objects.filter(user=user), "kind", "channel", "is_on"
        ),
        "security_events": (_event(each, user) for each in _rows(SecurityEvent.objects.filter(about))),
    }


def _plain(rows: "QuerySet[M]", *columns: str) -> Rows:
    return ({column: getattr(row, column) for column in columns} for row in _rows(rows))


def _rows(rows: "QuerySet[M]") -> Iterator[M]:
    """In the order of their keys. Between two lots no connection is kept: whoever reads this may be slow."""
    last = 0
    while lot := list(rows.filter(pk__gt=last).order_by("pk")[:ROWS_AT_ONCE]):
        give_back_connection()
        last = lot[-1].pk
        yield from lot


def _identity(submission: KycSubmission, *, whole: bool) -> dict[str, Any]:
    def opened(sealed: bytes | memoryview, purpose: str) -> str | None:
        return unseal(sealed, purpose=purpose) if sealed else None

    number = opened(submission.number_sealed, NUMBER)
    if number is not None and not whole:
        number = "•" * (len(number) - _SHOWN) + number[-_SHOWN:]
    return {
        "id": submission.public_id,
        "full_name": submission.full_name,
        "born": opened(submission.born_sealed, BORN),
        "address": opened(submission.address_sealed, ADDRESS),
        "document": submission.document,
        "number": number,
        "image": "kept" if submission.image_name else "erased",
        "status": submission.status,
        "reason": submission.reason,
        "submitted_at": submission.submitted_at,
        "decided_at": submission.decided_at,
    }


def _bank_account(account: BankAccount) -> dict[str, Any]:
    return {
        "id": account.public_id,
        "holder_name": account.holder_name,
        "ifsc": account.ifsc,
        "account_number": masked_number(account=account),
        "registered_name": account.registered_name,
        "added_at": account.created_at,
        "removed_at": account.removed_at,
    }


def _money_back(seen: SeenMoneyBack) -> dict[str, Any]:
    return {
        "id": seen.id,
        "role": seen.role,
        "status": seen.status,
        "transaction": seen.transaction,
        "amount": seen.amount,
        "counterparty": {"display_name": seen.counterparty_name, "wallet": seen.counterparty_wallet},
        "note": seen.note,
        "refund": seen.refund,
        "asked_at": seen.asked_at,
        "held_at": seen.held_at,
        "expires_at": seen.expires_at,
        "ended_at": seen.ended_at,
    }


def _event(event: SecurityEvent, user: User) -> dict[str, Any]:
    """From where somebody of staff, or a stranger, did something is theirs, and so is how they put it."""
    shown: dict[str, Any] = {"kind": event.kind, "result": event.result, "at": event.created_at}
    if event.actor_id == user.pk:
        shown |= {"address": event.address, "program": event.agent, "reason": event.reason, "about": event.object}
    return shown


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plainly)


def _plainly(value: object) -> object:
    match value:
        case Money():
            return value.as_json()
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
    raise TypeError(f"{type(value).__name__} is no data about anybody.")
