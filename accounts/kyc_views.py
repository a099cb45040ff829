"""The page on which a person shows who they are, and reads how far that is."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.kyc import kyc_of, submit
from accounts.kyc_forms import KycForm
from accounts.signed_in import SignedInRequest, signed_in
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other


@counted_as("documents")
@sensitive_post_parameters()
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def kyc(request: SignedInRequest) -> HttpResponse:
    """What is known, what waits, and the form where one may be sent."""
    form, status = KycForm(request.POST or None, request.FILES or None), 200
    if form.is_valid():
        try:
            submit(user=request.user, now=timezone.now(), **form.fields_of_deed)
        except Refusal as refusal:
            _say(form, refusal)
            status = refusal.status
        else:
            messages.success(request, "We have your document and will look at it. You hear from us.")
            return see_other("kyc")
    elif form.is_bound:
        status = 400
    standing = kyc_of(user=request.user)
    shown = {"form": form, "standing": standing, "submission": standing.submission, "here": "kyc"}
    return render(request, "accounts/kyc.html", shown, status=status)


def _say(form: KycForm, refusal: Refusal) -> None:
    """Beside the field that it names. A file must be chosen anew in any case: no browser sends it along again."""
    for error in refusal.errors:
        form.add_error(error["field"] if error["field"] in form.fields else None, error["detail"])
    if not refusal.errors:
        form.add_error(None, refusal.detail)
