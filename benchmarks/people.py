"""A crowd for the benchmarks: people with wallets, and money in each of them that the ledger can prove."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.utils import timezone

from accounts import tokens
from accounts.actors import system_actor
from accounts.models import Actor, Session, User
from ledger.movements import Group, Movement
from ledger.posting import post
from ledger.system_wallets import system_wallet
from payments.models.limits import HoldingLimit, Limited, LimitRule
from wallet_project.kernel.ids import new_uuid
from wallets.models import Wallet

FUNDS: Final = Decimal(1_000_000)
_CHUNK: Final = 500


def make_people(count: int) -> None:
    """`count` verified people, each with an actor and an INR wallet that holds `FUNDS`; no transfer meets a limit."""
    now = timezone.now()
    _open_limits(now)
    users = User.objects.bulk_create(
        [
            User(email=f"person{i}@example.com", full_name=f"Person {i}", email_verified_at=now, password="!")
            for i in range(count)
        ],
        batch_size=_CHUNK,
    )
    Actor.objects.bulk_create([Actor(kind=Actor.Kind.PERSON, user=user) for user in users], batch_size=_CHUNK)
    wallets = Wallet.objects.bulk_create(
        [Wallet(owner=user, kind=Wallet.Kind.USER, currency="INR", decimals=2) for user in users], batch_size=_CHUNK
    )
    initiator, source = system_actor("benchmark").pk, system_wallet("promotions", "INR")
    for chunk in _chunks(wallets):
        post(
            [
                Group(
                    initiator=initiator,
                    movements=(
                        Movement(
                            type="ADJUSTMENT",
                            amount=FUNDS,
                            currency="INR",
                            from_wallet=source,
                            to_wallet=wallet.pk,
                            fact=True,
                        ),
                    ),
                )
                for wallet in chunk
            ]
        )


def _open_limits(now: datetime) -> None:
    """They are judged as ever, and let everything pass: what is measured is a transfer, not its refusal."""
    level, much, why = User.KycLevel.MINIMUM, FUNDS * 1000, "A benchmark."
    HoldingLimit.objects.create(kyc_level=level, most=much, since=now, reason=why)
    LimitRule.objects.create(
        kyc_level=level,
        type=Limited.TRANSFER,
        per_transaction=much,
        per_day=much,
        per_month=much,
        since=now,
        reason=why,
    )


def access_tokens(count: int) -> list[tuple[str, str]]:
    """`(access token, wallet's public id)` of `count` people, each signed in once."""
    now = timezone.now()
    wallets = list(Wallet.objects.filter(kind=Wallet.Kind.USER).select_related("owner").order_by("pk")[:count])
    sessions = Session.objects.bulk_create(
        [
            Session(
                user=wallet.owner,
                refresh_id=new_uuid(),
                created_at=now,
                last_used_at=now,
                expires_at=now + tokens.REFRESH_LIFETIME,
            )
            for wallet in wallets
        ],
        batch_size=_CHUNK,
    )
    return [
        (tokens.encode(type=tokens.ACCESS, user=session.user, session=session, now=now), wallet.public_id)
        for session, wallet in zip(sessions, wallets, strict=True)
    ]


def _chunks(wallets: list[Wallet]) -> Iterator[list[Wallet]]:
    for start in range(0, len(wallets), _CHUNK):
        yield wallets[start : start + _CHUNK]
