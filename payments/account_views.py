"""The pages of a whole account: closing it, and having all data about oneself."""

from django.contrib import messages
from django.http import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.page_sessions import close_page_session
from accounts.second_factor import is_on
from accounts.signed_in import SignedInRequest, signed_in
from accounts.tasks import wake_sender
from payments.account_forms import CloseForm, DataForm
from payments.closing import close_account, obstacles_of
from payments.personal_data import MOST_A_DAY, download
from payments.views import say_errors
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other


@counted_as("sign_in")
@sensitive_post_parameters()
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def close(request: SignedInRequest) -> HttpResponseBase:
    """What stands in the way, or the last question."""
    form, status = CloseForm(request.POST or None, with_factor=is_on(request.user)), 200
    if form.is_valid():
        try:
            wake_sender(close_account(user=request.user, now=timezone.now(), **form.fields_of_deed))
        except Refusal as refusal:
            _say(form, refusal)
            status = refusal.status
        else:
            close_page_session(request)
            messages.success(request, "Your account is closed.")
            return see_other("sign_in")
    elif form.is_bound:
        status = 400
    shown = {"form": form, "obstacles": obstacles_of(user=request.user), "here": "account"}
    return render(request, "payments/account_close.html", shown, status=status)


@counted_as("sign_in")
@sensitive_post_parameters()
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def data(request: SignedInRequest) -> HttpResponseBase:
    """One file, for whoever knows the password: a page may stand open before others."""
    form, status = DataForm(request.POST or None), 200
    if form.is_valid():
        now = timezone.now()
        try:
            pieces = download(user=request.user, password=form.cleaned_data["password"], now=now)
        except Refusal as refusal:
            _say(form, refusal)
            status = refusal.status
        else:
            answer = StreamingHttpResponse(pieces, content_type="application/json")
            answer["Content-Disposition"] = f'attachment; filename="wallet-data-{timezone.localdate(now)}.json"'
            return answer
    elif form.is_bound:
        status = 400
    shown = {"form": form, "most_a_day": MOST_A_DAY, "here": "account"}
    return render(request, "payments/account_data.html", shown, status=status)


def _say(form: CloseForm | DataForm, refusal: Refusal) -> None:
    field = {"credentials_invalid": "password", "otp_required": "otp", "otp_invalid": "otp"}.get(refusal.code)
    if field is not None:
        form.add_error(field, refusal.detail)
    elif refusal.code != "account_not_empty":
        # What is left, the page lists.
        say_errors(form, refusal)
