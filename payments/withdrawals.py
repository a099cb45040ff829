"""
Withdrawing money to a bank account: the wallet is debited at once, and the payout follows after the commit.

The WITHDRAW is PENDING with its two entries, so the money is neither spendable nor gone, and its payout is a row of the
same posting: whatever dies in between, the sweep finds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from accounts.actors import actor_of
from accounts.models import User
from ledger.models import Transaction
from ledger.movements import Group, Key, Movement, Outcome
from ledger.system_wallets import Purpose, system_wallet
from payments.authorising import post_asked_for
from payments.bank_accounts import find_bank_account, label_of
from payments.gateways import gateway_named
from payments.idempotency import Answer, look_up
from payments.models import BankAccount, Payout
from payments.payees import Parties
from payments.spending import Payee
from payments.transfers import Quote, quote
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.money import Money
from wallets.models import Wallet
from wallets.queries import wallet_of

ACCEPTED: Final = 202
# An IFSC is of an Indian bank.
CURRENCY: Final = "INR"


@dataclass(frozen=True, slots=True)
class _Way:
    """From which wallet, to which account."""

    wallet: Wallet
    account: BankAccount


def withdraw_money(
    *,
    user: User,
    bank_account: str,
    amount: Money,
    key: str,
    wallet: str | None = None,
    step_up: str | None = None,
    now: datetime,
) -> Answer:
    """
    Take money out of a person's wallet, on its way to their bank account, once for each key.

    :param bank_account: its `bnk_` id.
    :param wallet: another wallet of theirs than the USER one (a `wal_` id).
    :param step_up: `<challenge>:<code>`, where an earlier answer asked for it.
    :returns: PENDING; or refused with a code that is kept: `insufficient_funds`, `limit_exceeded` (also below the
        gateway's smallest amount), `wallet_frozen`, `currency_mismatch`, `bank_account_invalid`.
    :raises Refusal: `not_found` (no such wallet or account of theirs, or removed), `idempotency_key_reused`,
        `step_up_required`, `step_up_invalid`, `too_many_tries`, `busy`: nothing is kept.
    """
    actor = actor_of(user)
    request = Key(
        key=key,
        fingerprint=fingerprint(
            "wallet/withdraw", bank_account=bank_account, amount=amount.text, currency=amount.currency, wallet=wallet
        ),
        http_status=ACCEPTED,
    )
    found = look_up(lambda: _find(user, bank_account, wallet), initiator=actor, key=request)
    if isinstance(found, Answer):
        return found

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind == "posted":
            _open_payout(found.account, outcomes[0].transactions[0], amount, now)

    return post_asked_for(
        user=user,
        group=Group(initiator=actor.pk, movements=(_movement(found, amount),), key=request),
        payee=Payee(bank_account=found.account.pk),
        payee_name=label_of(account=found.account),
        step_up=step_up,
        now=now,
        within=remember,
    )


def preview_withdrawal(*, user: User, bank_account: str, amount: Money, wallet: str | None = None) -> Quote:
    """
    What `withdraw_money` would do now. Moves nothing, keeps nothing.

    :raises Refusal: any of `withdraw_money`'s, kept ones too.
    """
    way = _find(user, bank_account, wallet)
    movement = _movement(way, amount)
    parties = Parties(
        payer=way.wallet.pk,
        currency=way.wallet.currency,
        payee=movement.to_wallet,
        refuse=movement.refuse,
        payee_name=label_of(account=way.account),
    )
    return quote(
        group=Group(initiator=actor_of(user).pk, movements=(movement,)),
        parties=parties,
        amount=amount,
        payee=Payee(bank_account=way.account.pk),
    )


def _find(user: User, bank_account: str, wallet: str | None) -> _Way:
    return _Way(wallet_of(user=user, wanted=wallet), find_bank_account(owner=user, account=bank_account))


def _movement(way: _Way, amount: Money) -> Movement:
    account = way.account
    return Movement(
        type=Transaction.Type.WITHDRAW,
        amount=amount.amount,
        currency=amount.currency,
        from_wallet=way.wallet.pk,
        to_wallet=system_wallet(Purpose.PAYOUT_CLEARING, way.wallet.currency),
        status="PENDING",
        metadata={"bank_account": account.public_id, "payee_name": label_of(account=account)},
        refuse=_refusal_of(way, amount),
    )


def _refusal_of(way: _Way, amount: Money) -> str:
    if {amount.currency, way.wallet.currency} != {CURRENCY}:
        return "currency_mismatch"
    if amount.minor < gateway_named(way.account.gateway).least_minor:
        return "limit_exceeded"
    return "bank_account_invalid" if way.account.validation == BankAccount.Validation.INVALID else ""


def _open_payout(account: BankAccount, transaction: int, amount: Money, now: datetime) -> None:
    """
    Within the posting of its WITHDRAW.

    :raises Refusal: `not_found`: its owner removed the account just now; then nothing is posted.
    """
    # Whoever removes it at this moment waits for us, and then sees that its number is still needed; or was faster.
    still_there = BankAccount.objects.select_for_update(no_key=True).filter(pk=account.pk, removed_at=None).first()
    if still_there is None:
        raise Refusal("not_found", "There is no such bank account.")
    withdrawal = Transaction.objects.get(pk=transaction)
    Payout.objects.create(
        transaction=withdrawal,
        bank_account=still_there,
        gateway=account.gateway,
        key=withdrawal.public_id,
        amount_minor=amount.minor,
        currency=amount.currency,
        created_at=now,
        check_at=now,
    )
