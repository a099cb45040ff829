"""Money that went to the wrong person, as tests ask for it back and answer; and how it stands."""

from decimal import Decimal
from typing import Any

from accounts.models import Notification
from payments.models import MoneyBack
from tests.payments.cast import Holder
from wallets.models import Wallet


def sent(payer: Holder, payee: Holder, amount: str = "300") -> str:
    answer = payer.confirm("/wallet/transfer", {"to": payee.email, "amount": amount})
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def asked(payer: Holder, transaction: str, note: str = "Sorry, a wrong number") -> str:
    answer = payer.post(f"/transactions/{transaction}/money-back", {"note": note})
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def answer(person: Holder, request: str, word: str, **more: Any) -> Any:
    return person.post(f"/money-back/{request}/{word}", **more)


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def held(person: Holder) -> Decimal:
    return Wallet.objects.get(pk=person.wallet.pk).held


def status_of(request: str) -> str:
    return str(next(row.status for row in MoneyBack.objects.all() if row.public_id == request))


def told(person: Holder) -> list[str]:
    """The titles of what they were told of requests, the newest first."""
    rows = Notification.objects.filter(user=person.user, kind="money_back").order_by("-pk")
    return [row.title for row in rows]
