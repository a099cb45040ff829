"""What both sides of a request for money back do at once: one deed call, and a word for how it ended."""

from collections.abc import Callable

from django.utils import timezone

from accounts.models import User
from payments import money_back, money_back_answers
from payments.person_blocks import block_payee
from wallet_project.kernel.errors import Refusal


def ask(*, person: int, transaction: str) -> str:
    """:param person: their primary key, as in all of these."""
    user = User.objects.get(pk=person)
    return _ended(lambda: money_back.ask(asker=user, transaction=transaction, now=timezone.now()).is_new)


def give(*, person: int, request: str, key: str) -> str:
    user = User.objects.get(pk=person)

    def deed() -> str | bool:
        answer = money_back_answers.give(user=user, money_back=request, key=key, now=timezone.now())
        return answer.code or not answer.replayed

    return _ended(deed)


def hold(*, person: int, request: str) -> str:
    user = User.objects.get(pk=person)
    return _ended(lambda: money_back_answers.hold(user=user, money_back=request, now=timezone.now()).is_new)


def decline(*, person: int, request: str) -> str:
    user = User.objects.get(pk=person)
    return _ended(lambda: money_back_answers.decline(user=user, money_back=request, now=timezone.now()).is_new)


def withdraw(*, person: int, request: str) -> str:
    user = User.objects.get(pk=person)
    return _ended(lambda: money_back.withdraw(user=user, money_back=request, now=timezone.now()).is_new)


def block(*, person: int, to: str) -> str:
    user = User.objects.get(pk=person)
    return _ended(lambda: block_payee(user=user, to=to, now=timezone.now()).is_new)


def _ended(deed: Callable[[], str | bool]) -> str:
    """`done`, `before` (somebody had done it), or a refusal's code."""
    try:
        ended = deed()
    except Refusal as refusal:
        return refusal.code
    if isinstance(ended, str):
        return ended
    return "done" if ended else "before"
