"""What one caller of a race does as a door would: one deed call, and a word for how it ended."""

from collections.abc import Callable
from decimal import Decimal

from django.utils import timezone

from accounts.models import User
from payments.idempotency import Answer
from payments.transfers import send_money
from payments.withdrawals import withdraw_money
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import Money


def send(*, payer: int, to: str, amount: str, key: str, wallet: str | None = None, step_up: str | None = None) -> str:
    """:param payer: the person's primary key."""
    user = User.objects.get(pk=payer)
    return _ended(
        lambda: send_money(
            sender=user, to=to, amount=_rupees(amount), key=key, wallet=wallet, step_up=step_up, now=timezone.now()
        )
    )


def withdraw(*, payer: int, bank_account: str, amount: str, key: str, wallet: str | None = None) -> str:
    """:param payer: the person's primary key."""
    user = User.objects.get(pk=payer)
    return _ended(
        lambda: withdraw_money(
            user=user, bank_account=bank_account, amount=_rupees(amount), key=key, wallet=wallet, now=timezone.now()
        )
    )


def _ended(deed: Callable[[], Answer]) -> str:
    try:
        answer = deed()
    except Refusal as refusal:
        return refusal.code
    return answer.code or ("replayed" if answer.replayed else "done")


def _rupees(amount: str) -> Money:
    return Money(Decimal(amount), "INR")
