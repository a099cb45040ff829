"""The receipt of a transaction: what became of it, as it stands now."""

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.signed_in import SignedInRequest, signed_in
from ledger.queries import find_transaction
from ledger.wording import receipt_of
from payments.standing import ask_again, standing_of
from wallet_project.kernel.redirects import see_other


@signed_in
@require_safe
def receipt(request: SignedInRequest, transaction: str) -> HttpResponse:
    """Whichever way it went, or may still go. The checkout's return leads here; so does a reload, at any time."""
    shown = receipt_of(find_transaction(user=request.user, transaction=transaction))
    standing = None
    if shown.waiting:
        standing = standing_of(user=request.user, transaction=transaction, now=timezone.now())
    return render(request, "payments/receipt.html", {"receipt": shown, "standing": standing})


@signed_in
@require_POST
def check(request: SignedInRequest, transaction: str) -> HttpResponse:
    """Ask the gateway now, then show the receipt."""
    ask_again(user=request.user, transaction=transaction, now=timezone.now())
    return see_other("receipt", transaction)
