"""The pages by which people keep others away."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.signed_in import SignedInRequest, signed_in
from ledger.queries import USUAL_ROWS, find_transaction
from payments import person_blocks
from payments.forms import BlockForm
from payments.views import say_errors
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other


# To block somebody by an address is to learn whose it is.
@counted_as("payee")
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def blocked_people(request: SignedInRequest) -> HttpResponse:
    """Whom this person keeps away, and a form to keep away somebody who is in no receipt."""
    cursor, form, status = request.GET.get("cursor") or None, BlockForm(request.POST or None), 200
    if form.is_valid():
        try:
            kept = person_blocks.block_payee(user=request.user, to=form.cleaned_data["to"], now=timezone.now())
        except Refusal as refusal:
            if refusal.code == "payee_not_found":
                form.add_error("to", "Nobody here has verified this address.")
            else:
                say_errors(form, refusal)
            status = refusal.status
        else:
            return _blocked(request, kept)
    elif form.is_bound:
        status = 400
    try:
        page = person_blocks.blocked_by(user=request.user, limit=USUAL_ROWS, cursor=cursor)
    except Refusal:
        # A cursor that is none of ours: begin at the top.
        return redirect("blocked_people")
    shown = {"form": form, "blocks": page.blocks, "older": page.next, "paged": cursor is not None, "here": "account"}
    return render(request, "payments/blocked_people.html", shown, status=status)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def block(request: SignedInRequest, transaction: str) -> HttpResponse:
    """From a receipt: what it means, and the button."""
    seen = find_transaction(user=request.user, transaction=transaction)
    if request.method == "POST":
        try:
            kept = person_blocks.block_counterparty(user=request.user, transaction=transaction, now=timezone.now())
        except Refusal as refusal:
            messages.error(request, refusal.detail)
            return see_other("receipt", transaction)
        return _blocked(request, kept)
    if person_blocks.counterparty_of(user=request.user, transaction=transaction) is None:
        return see_other("receipt", transaction)
    return render(request, "payments/block.html", {"seen": seen, "here": "history"})


@signed_in
@require_POST
def unblock(request: SignedInRequest, id: str) -> HttpResponse:
    person_blocks.unblock(user=request.user, block=id)
    messages.success(request, "They can pay you again.")
    return see_other("blocked_people")


def _blocked(request: SignedInRequest, kept: person_blocks.Kept) -> HttpResponse:
    messages.success(request, f"{kept.name} is blocked. They are not told.")
    return see_other("blocked_people")
