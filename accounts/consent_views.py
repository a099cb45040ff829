"""The pages of the terms of use and the privacy notice, and the one that asks to agree to them."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.consents import Document, agree, edition_in_force, missing
from accounts.forms import ConsentForm
from accounts.models import Consent
from accounts.signed_in import SignedInRequest, signed_in
from wallet_project.kernel.redirects import own_address, see_other


@require_safe
def terms(request: HttpRequest) -> HttpResponse:
    return _document(request, Document.TERMS)


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    return _document(request, Document.PRIVACY)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def consent(request: SignedInRequest) -> HttpResponse:
    """Agree to what is in force. Whoever has agreed to all of it is sent on to where they wanted to go."""
    now = timezone.now()
    form = ConsentForm(request.POST or None)
    if form.is_valid():
        asked = agree(user=request.user, seen=form.cleaned_data["seen"].split(), now=now)
    else:
        asked = missing(user=request.user, now=now)
    wanted = request.POST.get("next") or request.GET.get("next", "")
    if not asked:
        return see_other(own_address(request, wanted))
    if not form.is_bound or form.is_valid():
        form = ConsentForm(initial={"seen": " ".join(edition.name for edition in asked), "next": wanted})
    shown = {"form": form, "asked": asked, "documents": {edition.document.value for edition in asked}}
    return render(request, "accounts/consent.html", shown, status=400 if form.is_bound else 200)


def _document(request: HttpRequest, document: Consent.Document) -> HttpResponse:
    edition = edition_in_force(document=document, now=timezone.now())
    return render(request, edition.template, {"edition": edition})
