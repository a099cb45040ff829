"""The page that verifies an address. It is here and not in accounts because a wallet opens with it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.views import VERIFYING, registration_of, wait_for_code
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other
from wallets.forms import VerifyForm
from wallets.opening import verify_and_open_wallet


@counted_as("codes")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def verify(request: HttpRequest) -> HttpResponse:
    """
    Prove an address with the code that was sent there. The person then signs in with their password: a code alone
    proves the address, not that this browser's person chose that password. Whoever registered here, or showed that
    registration's password, verifies that one only: other people's codes, which reach the same mailbox, are wrong.
    """
    form = VerifyForm(request.POST or None, initial={"address": request.session.get(VERIFYING, "")})
    status = 200
    if form.is_valid():
        try:
            address = form.cleaned_data["address"]
            verify_and_open_wallet(
                address=address,
                code=form.cleaned_data["code"],
                registration=registration_of(request, address),
                now=timezone.now(),
            )
        except Refusal as refusal:
            form.add_error("code" if refusal.code == "code_invalid" else None, refusal.detail)
            status = refusal.status
        else:
            wait_for_code(request, None)
            messages.success(request, "Your wallet is open. Sign in to use it.")
            return see_other("sign_in")
    elif form.is_bound:
        status = 400
    return render(request, "wallets/verify.html", {"form": form, "address": form["address"].value()}, status=status)
