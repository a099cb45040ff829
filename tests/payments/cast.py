"""The cast with money in their pockets: people as the API knows them, wallets filled by posted ADDs."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts import tokens
from accounts.actors import actor_of, system_actor
from accounts.models import Session, User
from ledger.models import Transaction
from ledger.movements import Group, Movement
from ledger.posting import post
from ledger.system_wallets import Purpose, system_wallet
from tests.accounts.people import call, code_sent_to, deliver, new_email, person
from wallet_project.kernel.ids import new_uuid, public_id
from wallets.models import Merchant, Wallet
from wallets.opening import open_merchant, open_wallet


@dataclass(frozen=True)
class Holder:
    """A person, their wallet, and what their phone holds: an access token."""

    user: User
    wallet: Wallet
    access: str

    @property
    def email(self) -> str:
        return self.user.email or ""

    @property
    def balance(self) -> Decimal:
        return Wallet.objects.get(pk=self.wallet.pk).balance

    def get(self, path: str, **headers: str) -> Any:
        return call("GET", path, access=self.access, **headers)

    def delete(self, path: str) -> Any:
        return call("DELETE", path, access=self.access)

    def post(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any:
        """With a fresh key unless one is given."""
        return call("POST", path, body, access=self.access, **{"Idempotency-Key": key or new_key(), **headers})

    def confirm(self, path: str, body: Any, *, key: str | None = None) -> Any:
        """The same, and once more with the code that was sent, where the payment asks for one."""
        key = key or new_key()
        answer = self.post(path, body, key=key)
        if answer.status_code != 403 or answer.json()["code"] != "step_up_required":
            return answer
        deliver()
        proof = f"{answer.json()['challenge']}:{code_sent_to(self.email)}"
        return self.post(path, body, key=key, **{"X-Step-Up": proof})


def new_key() -> str:
    return public_id("key", new_uuid())


def holder(full_name: str = "Asha Rao", *, rupees: int | str = 0, phone: str | None = None) -> Holder:
    """Somebody verified, with an open wallet that holds this much."""
    user = person(full_name, email=new_email(full_name.split()[0].lower()), phone=phone)
    actor_of(user)
    wallet = open_wallet(user=user)
    if Decimal(rupees):
        fund(wallet, rupees)
    return Holder(user, wallet, access_of(user))


def access_of(user: User) -> str:
    """A session begun without asking for the password, whose hash is slow on purpose."""
    now = timezone.now()
    session = Session.objects.create(
        user=user, refresh_id=new_uuid(), created_at=now, last_used_at=now, expires_at=now + tokens.REFRESH_LIFETIME
    )
    return tokens.encode(type=tokens.ACCESS, user=user, session=session, now=now)


def merchant(full_name: str = "Meera Nair", *, display_name: str = "Meera Books") -> tuple[Holder, Merchant]:
    meera = holder(full_name)
    return meera, open_merchant(user=meera.user, handle=f"meera-{new_uuid().hex[-12:]}", display_name=display_name)


def fund(wallet: Wallet, rupees: int | str) -> Transaction:
    """Money that a bank has already moved: a posted ADD."""
    outcome = post(
        [
            Group(
                initiator=system_actor("tests").pk,
                movements=(
                    Movement(
                        type=Transaction.Type.ADD,
                        amount=Decimal(rupees),
                        currency=wallet.currency,
                        from_wallet=system_wallet(Purpose.GATEWAY_CLEARING, wallet.currency),
                        to_wallet=wallet.pk,
                        fact=True,
                    ),
                ),
            )
        ]
    )[0]
    return Transaction.objects.get(pk=outcome.transactions[0])
