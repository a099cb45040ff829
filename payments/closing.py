"""
Closing an account: its wallets for ever, and whatever we need not keep of its person.

Nothing may be left in it or on its way. That is looked at under the locks that every posting takes, so a payment that
arrives this very moment is either before (then something is left) or finds the wallet CLOSED. Money that a bank moves
to a closed wallet later goes to suspense, as any fact does whose wallet cannot take it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, second_factor
from accounts.erasing import NAME, REASON, erase_person
from accounts.models import User
from accounts.notices import notify
from accounts.own_password import check_own_password
from payments.bank_accounts import forget_number
from payments.disputes import UNDECIDED
from payments.merchant_webhooks.endpoints import remove_endpoints
from payments.models import BankAccount, Case, Dispute, GatewayOrder, GatewayRefund, MoneyBack, Payout, StepUp
from payments.money_back import leave
from payments.payout_outcomes import OPEN as PAYOUT_OPEN
from payments.refund_outcomes import OPEN as REFUND_OPEN
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import Money
from wallets.display_names import masked
from wallets.models import Wallet, WalletStatusChange

log = structlog.get_logger("payments.closing")

_ORDER_OPEN: Final = (GatewayOrder.State.NEW, GatewayOrder.State.OPEN)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """
    What keeps an account open.

    :ivar code: a word that stays the same.
    :ivar sentence: what it is and what to do about it.
    """

    code: str
    sentence: str


def obstacles_of(*, user: User) -> list[Obstacle]:
    """What keeps this account open now; nothing is locked, and nothing promised."""
    return list(_obstacles(_open_wallets(user)))


def close_account(*, user: User, password: str, otp: str, now: datetime) -> list[int]:
    """
    This person leaves: their wallets are CLOSED, their tokens and sessions dead, their addresses free, and of what
    names them only what must be kept is left. Twice is as good as once.

    :param otp: a code of their second factor, or a recovery code; only where one is on.
    :returns: ids of the last messages to the addresses that were theirs.
    :raises Refusal: `credentials_invalid`, `otp_required`, `otp_invalid`, `too_many_tries`; `permission_denied`: one of
        staff; `account_not_empty`, whose `errors` say what is left.
    """
    _require_themselves(user, password, otp, now)
    try:
        with transaction.atomic():
            messages = _close(user, now)
    except Refusal as refusal:
        audit.record("account.closed", now=now, actor=user, subject=user, refused=refusal.code)
        raise
    log.info("account.closed", user=user.public_id)
    return messages


def _require_themselves(user: User, password: str, otp: str, now: datetime) -> None:
    """Outside of any transaction, so that no try is given back."""
    try:
        if user.is_staff or user.is_superuser:
            raise Refusal("permission_denied", "Somebody who may must end your work here first.")
        check_own_password(user=user, password=password, now=now)
        if second_factor.is_on(user):
            if not otp:
                raise Refusal("otp_required")
            second_factor.check(user=user, code=otp, now=now)
    except Refusal as refusal:
        audit.record("account.closed", now=now, actor=user, subject=user, refused=refusal.code)
        raise


def _close(user: User, now: datetime) -> list[int]:
    locked, wallets = _locked(user)
    if locked.status == User.Status.CLOSED:
        return []
    if locked.status != User.Status.ACTIVE:
        raise Refusal("blocked")
    left = list(_obstacles(wallets))
    if left:
        raise Refusal(
            "account_not_empty",
            " ".join(obstacle.sentence for obstacle in left),
            errors=[{"field": "account", "code": each.code, "detail": each.sentence} for each in left],
        )
    # To the addresses that are theirs until now.
    messages = notify(user=locked, kind="account_closed", now=now)
    _close_wallets(wallets, locked, now)
    _forget_bank_accounts(locked, now)
    leave(user=locked, now=now)
    remove_endpoints(wallets=wallets, now=now)
    StepUp.objects.filter(user=locked, spent_at=None).delete()
    audit.record("account.closed", now=now, actor=locked, subject=locked)
    erase_person(user=locked, keep=messages, now=now)
    return messages


def _locked(user: User) -> tuple[User, list[Wallet]]:
    """The person first, as whoever changes them locks them; then their wallets, as every posting does."""
    person = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    # In order, and not the key: a posting that waits for us sees the wallet closed when it goes on.
    wallets = list(_open_wallets(person).order_by("pk").select_for_update(no_key=True))
    return person, wallets


def _open_wallets(user: User) -> QuerySet[Wallet]:
    return Wallet.objects.filter(owner=user).exclude(status=Wallet.Status.CLOSED)


def _obstacles(wallets: Sequence[Wallet] | QuerySet[Wallet]) -> Iterator[Obstacle]:
    wallets = list(wallets)
    for wallet in wallets:
        whose = "your shop's wallet" if wallet.kind == Wallet.Kind.MERCHANT else "your wallet"
        if wallet.balance > 0:
            yield Obstacle("balance", f"{wallet.money.spelled} is in {whose}. Send or withdraw it first.")
        elif wallet.balance < 0:
            owed = Money(-wallet.balance, wallet.currency)
            yield Obstacle("balance", f"In {whose} {owed.spelled} is missing. Add it first.")
        if wallet.held:
            yield Obstacle("held", "Some of your money is set aside for a payment that is not decided yet.")
        if wallet.status == Wallet.Status.FROZEN:
            yield Obstacle("frozen", "Your wallet is frozen. Write to support.")
    # Each from the few rows that are open of all wallets (a partial index), never through a wallet's whole history.
    if Payout.objects.filter(transaction__from_wallet__in=wallets, state__in=PAYOUT_OPEN).exists():
        yield Obstacle("withdrawal", "A withdrawal is on its way to your bank. Wait until it has arrived.")
    if GatewayOrder.objects.filter(transaction__to_wallet__in=wallets, state__in=_ORDER_OPEN).exists():
        yield Obstacle("order", "A payment that you began can still be paid. It ends by itself within the hour.")
    if GatewayRefund.objects.filter(transaction__from_wallet__in=wallets, state__in=REFUND_OPEN).exists():
        yield Obstacle("refund", "Money is on its way back to where it came from. Wait until it has arrived.")
    contested = Dispute.objects.filter(attempt__order__transaction__to_wallet__in=wallets, state__in=UNDECIDED)
    if contested.exists():
        yield Obstacle("dispute", "Somebody has asked their bank for a payment back. Wait until it is decided.")
    aside = MoneyBack.objects.filter(status=MoneyBack.Status.HELD, asker__wallets__in=wallets)
    if aside.exists():
        yield Obstacle(
            "money_back",
            "Money that you asked back is set aside for you. Wait for the answer, or withdraw what you asked.",
        )
    cases = Case.objects.filter(state=Case.State.OPEN)
    if (cases.filter(transaction__to_wallet__in=wallets) | cases.filter(transaction__from_wallet__in=wallets)).exists():
        yield Obstacle("case", "Our support is still looking into one of your payments. Write to them.")


def _close_wallets(wallets: Sequence[Wallet], owner: User, now: datetime) -> None:
    """What others saw of the name stays with a person's wallet: their histories go on reading as they did."""
    for wallet in wallets:
        label = masked(owner.full_name) if wallet.kind == Wallet.Kind.USER else wallet.label
        Wallet.objects.filter(pk=wallet.pk).update(status=Wallet.Status.CLOSED, label=label)
        WalletStatusChange.objects.create(
            wallet=wallet, by=owner, status=Wallet.Status.CLOSED, reason=REASON, created_at=now
        )


def _forget_bank_accounts(owner: User, now: datetime) -> None:
    """Payouts name the rows, so they stay; whose they are and their numbers go."""
    accounts = BankAccount.objects.filter(owner=owner)
    accounts.filter(removed_at=None).update(removed_at=now, check_at=now)
    accounts.update(holder_name=NAME, registered_name="")
    for account in accounts.exclude(number_sealed=b""):
        forget_number(account=account)
