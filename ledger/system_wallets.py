"""
The wallets that close the books.

Each purpose has several shards, so that processes do not queue for one row. A process keeps to one shard of
each purpose: picking at random for each movement would put every shard into every list.
"""

import os
from typing import Final

from django.conf import settings
from django.db import connections

from wallet_project.kernel.money import decimals_of
from wallets.models import Wallet

Purpose = Wallet.Purpose

_known: Final[dict[tuple[str, str, int, str], int]] = {}


def system_wallet(purpose: str, currency: str) -> int:
    """The primary key of this process's shard of a system wallet, made at its first use. Not inside `post`."""
    shard = os.getpid() % settings.SYSTEM_WALLET_SHARDS
    place = (connections["default"].settings_dict["NAME"], purpose, shard, currency)
    if place not in _known:
        wallet, _ = Wallet.objects.get_or_create(
            kind=Wallet.Kind.SYSTEM,
            purpose=purpose,
            shard=shard,
            currency=currency,
            defaults={"decimals": decimals_of(currency), "label": f"{Purpose(purpose).label} #{shard}"},
        )
        _known[place] = wallet.pk
    return _known[place]
