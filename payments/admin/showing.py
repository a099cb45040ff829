"""How rows of payments are shown: amounts as people read them, and the way to the rows they belong to."""

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html

from accounts.models import User
from wallet_project.kernel.money import Money
from wallets.models import Wallet

NOTHING = "-"


def spelled(minor: int | None, currency: str) -> str:
    """Minor units as an amount. A gateway may name a currency that the wallet does not hold."""
    if minor is None:
        return NOTHING
    try:
        return Money.from_minor(minor, currency or "INR").spelled
    except ValueError:
        return f"{minor} minor units of {currency}"


def address_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def link_to(row: Model | None, text: str = "") -> str:
    """To a row's own page in the admin."""
    if row is None:
        return NOTHING
    return format_html('<a href="{}">{}</a>', address_of(row), text or str(row))


def link_to_owner(wallet: Wallet | None) -> str:
    """To whoever a wallet belongs to; a system wallet by its label."""
    if wallet is None:
        return NOTHING
    owner: User | None = wallet.owner
    return wallet.label if owner is None else link_to(owner, owner.full_name)


def as_text(body: str) -> str:
    """Text as it came, its lines kept, and nothing in it believed."""
    return format_html('<pre class="as-it-came">{}</pre>', body)
