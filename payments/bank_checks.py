"""
Bank accounts at the gateway: made known to it, and their banks asked whether they exist.

Neither is waited for. A withdrawal makes the account known itself if need be, and only an account that its bank denied
is refused. The work stands in the rows (`check_at`) and is swept, so that a lost wake-up loses nothing.
"""

from datetime import datetime
from typing import Final

import structlog

from payments.asking import is_overdue, next_ask
from payments.bank_accounts import forget_number, number_of
from payments.gateways import gateway_named
from payments.gateways.base import NotOffered, RemoteValidation, is_definite
from payments.models import BankAccount
from payments.sweeping import Errand, attend, sweep_due
from wallet_project.kernel.database import give_back_connection
from wallet_project.kernel.errors import GatewayError

log = structlog.get_logger("payments.bank_checks")

_LONGEST_NAME: Final = 100

Validation = BankAccount.Validation


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
    Go on with the accounts that are due, as `sweep_due` goes on with rows.

    :returns: how many were looked at.
    """
    return sweep_due(rows=BankAccount.objects.all(), errand=_ERRAND, now=now, longest_seconds=longest_seconds)


def check_bank_account(*, account_id: int, now: datetime) -> None:
    """One account, if it is due: what a wake-up does."""
    account = BankAccount.objects.filter(pk=account_id, check_at__lte=now).first()
    if account is not None:
        attend(row=account, errand=_ERRAND, now=now)


def _check(account: BankAccount, now: datetime) -> None:
    """
    :raises GatewayError:
    """
    if account.removed_at is not None:
        forget_number(account=account)
        return
    try:
        _go_on(account, now)
    except GatewayError as error:
        # A bank that does not say is not one that says no: the account stays as good as any that nobody asked about.
        if is_definite(error) or is_overdue(since=account.created_at, now=now):
            BankAccount.objects.filter(pk=account.pk, removed_at=None).update(check_at=None)
        raise


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


_ERRAND: Final[Errand[BankAccount]] = Errand(
    work=_check,
    next_check=lambda account, now: next_ask(asked=account.checks, now=now),
    names=lambda account: {"account": account.public_id},
    log=log,
    put_off="bank_account.not_checked",
    failed="bank_account.check_failed",
)
