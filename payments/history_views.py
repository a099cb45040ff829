"""
Pages that show people their money: home and history. They are here and not in ledger because both begin with what
waits to be paid.
"""

from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.signed_in import SignedInRequest, signed_in
from ledger.forms import HistoryForm
from ledger.queries import Filters, history_of, reasons_of_holds
from ledger.wording import line_of, reason_of_hold
from payments.standing import waiting_topups
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import Money
from wallets.models import Wallet
from wallets.queries import state_of, wallet_of, wallets_of

LATEST_ROWS: Final = 6


@dataclass(frozen=True, slots=True)
class Tab:
    """One of a person's wallets, where they have several."""

    label: str
    url: str
    current: bool


@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponseBase:
    """The balance and what happened last; for others, what this is."""
    if request.user.is_authenticated:
        return _own_home(request)
    return render(request, "payments/landing.html", {"here": "landing"})


@signed_in
def _own_home(request: SignedInRequest) -> HttpResponse:
    wallets = wallets_of(user=request.user)
    if not wallets:
        return render(request, "payments/home.html", {"here": "home"})
    wallet = wallet_of(user=request.user, wanted=request.GET.get("wallet"))
    shown = {
        **money_of(wallet=wallet, several=len(wallets) > 1),
        "wallet_state": state_of(wallet),
        "tabs": _tabs(wallets, wallet, "home"),
        "here": "home",
    }
    return render(request, "payments/home.html", shown)


def money_of(*, wallet: Wallet, several: bool) -> dict[str, Any]:
    """
    What home shows of a wallet, and shows anew once it has changed (`payments.live_views`).

    :param several: whether it is one of several of its owner.
    """
    page = history_of(wallet=wallet, limit=LATEST_ROWS)
    return {
        "wallet": wallet,
        "lines": [line_of(row) for row in page.rows],
        "waiting": waiting_topups(wallet=wallet, now=timezone.now()),
        "held": Money(wallet.held, wallet.currency) if wallet.held else None,
        "held_because": [reason_of_hold(reason) for reason in reasons_of_holds(wallet=wallet)] if wallet.held else [],
        "history": _address_of("history", wallet) if several else reverse("history"),
    }


@signed_in
@require_safe
def history(request: SignedInRequest) -> HttpResponse:
    """A wallet's transactions, newest first, page by page, as far as the filters let them through."""
    wallet = wallet_of(user=request.user, wanted=request.GET.get("wallet"))
    form = HistoryForm(request.GET)
    shown = {"filters": form, "tabs": _tabs(wallets_of(user=request.user), wallet, "history"), "here": "history"}
    if not form.is_valid():
        return render(request, "payments/history.html", shown, status=400)
    kept = {name: str(value) for name, value in request.GET.items() if value and name in (*form.fields, "wallet")}
    cursor = request.GET.get("cursor") or None
    try:
        page = history_of(wallet=wallet, filters=form.filters, cursor=cursor)
    except Refusal:
        # A cursor that is none of ours: begin at the top.
        return redirect(f"{reverse('history')}?{urlencode(kept)}")
    shown |= {
        "lines": [line_of(row) for row in page.rows],
        "waiting": [] if cursor else waiting_topups(wallet=wallet, now=timezone.now()),
        "filtered": form.filters != Filters(),
        "paged": cursor is not None,
        "newest": f"?{urlencode(kept)}",
        "older": f"?{urlencode({**kept, 'cursor': page.next})}" if page.next else "",
        "wallet_id": request.GET.get("wallet", ""),
    }
    return render(request, "payments/history.html", shown)


def _tabs(wallets: list[Wallet], current: Wallet, page: str) -> list[Tab]:
    if len(wallets) < 2:
        return []
    return [Tab(_label(wallet), _address_of(page, wallet), wallet == current) for wallet in wallets]


def _address_of(page: str, wallet: Wallet) -> str:
    return f"{reverse(page)}?{urlencode({'wallet': wallet.public_id})}"


def _label(wallet: Wallet) -> str:
    if wallet.kind == Wallet.Kind.MERCHANT:
        return wallet.merchant.display_name
    return "Personal" if wallet.status != Wallet.Status.CLOSED else "Closed"
