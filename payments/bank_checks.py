"""
Bank accounts at the gateway: made known to it, and their banks asked whether they exist.

Neither is waited for. A withdrawal makes the account known itself if need be, and only an account that its bank denied
is refused. The work stands in the rows (`check_at`) and is swept, so that a lost wake-up loses nothing.
"""

import time
from datetime import datetime
from typing import Final

import structlog
from django.db.models import F

from payments.asking import is_overdue, next_ask
from payments.bank_accounts import forget_number, number_of
from payments.gateways import gateway_named
from payments.gateways.base import GatewayRefused, NotOffered, RemoteValidation
from payments.models import BankAccount
from wallet_project.kernel.database import give_back_connection
from wallet_project.kernel.errors import GatewayError

log = structlog.get_logger("payments.bank_checks")

MOST_ACCOUNTS_AT_ONCE: Final = 100
# Our credentials, somebody else's turn, or too many at once: none of them says anything of the request itself.
_NOT_ABOUT_THE_REQUEST: Final = (401, 403, 408, 409, 425, 429)
_LONGEST_NAME: Final = 100

Validation = BankAccount.Validation


def is_definite(error: GatewayError) -> bool:
    """Whether the gateway understood this very request and said no, now and for ever."""
    return isinstance(error, GatewayRefused) and error.http_status not in _NOT_ABOUT_THE_REQUEST


def make_known(*, account: BankAccount) -> str:
    """
    What the gateway knows the account by; told to it now, if it was not before. Safe at once and twice: the gateway
    answers the same account with the same name.

    :raises GatewayError: definite where the gateway takes no such account, which is then INVALID.
    """
    if account.fund_account_id:
        return account.fund_account_id
    number = number_of(account=account)
    give_back_connection()
    try:
        known_as = gateway_named(account.gateway).register_account(
            holder_name=account.holder_name, ifsc=account.ifsc, account_number=number, reference=account.public_id
        )
    except GatewayError as error:
        if is_definite(error) and not isinstance(error, NotOffered):
            BankAccount.objects.filter(pk=account.pk).update(validation=Validation.INVALID, check_at=None)
            log.warning("bank_account.refused", account=account.public_id, http_status=error.http_status)
        raise
    BankAccount.objects.filter(pk=account.pk, fund_account_id="").update(fund_account_id=known_as)
    account.refresh_from_db(fields=["fund_account_id"])
    return account.fund_account_id


def sweep_bank_accounts(*, now: datetime, longest_seconds: float = 60.0) -> int:
    """
    Go on with every account that is due. Safe to run twice at once: each is claimed first, and one that fails does
    not stop the others.

    :param longest_seconds: after that long no further one is begun; the next sweep goes on.
    :returns: how many were looked at.
    """
    due = BankAccount.objects.filter(check_at__lte=now).order_by("check_at")[:MOST_ACCOUNTS_AT_ONCE]
    checked, until = 0, time.monotonic() + longest_seconds
    for account in list(due):
        if time.monotonic() > until:
            break
        checked += _check_claimed(account, now)
    return checked


def check_bank_account(*, account_id: int, now: datetime) -> None:
    """One account, if it is due: what a wake-up does."""
    account = BankAccount.objects.filter(pk=account_id, check_at__lte=now).first()
    if account is not None:
        _check_claimed(account, now)


def _check_claimed(account: BankAccount, now: datetime) -> bool:
    """
    :returns: False where somebody else has it.
    """
    claimed = BankAccount.objects.filter(pk=account.pk, check_at=account.check_at).update(
        check_at=next_ask(asked=account.checks, now=now), checks=F("checks") + 1
    )
    if not claimed:
        return False
    try:
        if account.removed_at is not None:
            forget_number(account=account)
        else:
            _go_on(account, now)
    except GatewayError as error:
        log.warning("bank_account.not_checked", account=account.public_id, http_status=error.http_status)
        # A bank that does not say is not one that says no: the account stays as good as any that nobody asked about.
        if is_definite(error) or is_overdue(since=account.created_at, now=now):
            BankAccount.objects.filter(pk=account.pk, removed_at=None).update(check_at=None)
    except Exception:
        # One row that cannot be worked on must not keep the others from it; it comes again, and is heard of again.
        log.exception("bank_account.check_failed", account=account.public_id)
    return True


def _go_on(account: BankAccount, now: datetime) -> None:
    """
    :raises GatewayError:
    """
    known_as = make_known(account=account)
    gateway = gateway_named(account.gateway)
    give_back_connection()
    if account.validation_id:
        _note(account, gateway.validation_of(validation_id=account.validation_id), now)
    else:
        _note(account, gateway.validate_account(fund_account_id=known_as, reference=account.public_id), now)


def _note(account: BankAccount, remote: RemoteValidation, now: datetime) -> None:
    waits = remote.state == Validation.ASKED and not is_overdue(since=account.created_at, now=now)
    kept = BankAccount.objects.filter(pk=account.pk, removed_at=None)
    kept.exclude(validation__in=(Validation.VALID, Validation.INVALID)).update(
        validation=remote.state,
        validation_id=remote.id,
        registered_name=remote.registered_name[:_LONGEST_NAME],
        **({} if waits else {"check_at": None}),
    )
    log.info("bank_account.validation", account=account.public_id, state=remote.state)
