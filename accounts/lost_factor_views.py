"""The pages of a lost second factor: asking support, after the right password, and stopping it by a message's link."""

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import lost_factor_stops, lost_factors
from accounts.factor_views import for_whoever_waits
from accounts.lost_factor_forms import LostFactorForm
from accounts.models import User
from accounts.tasks import wake_sender
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other


@counted_as("sign_in")
@require_http_methods(["GET", "HEAD", "POST"])
@for_whoever_waits
def lost_factor(request: HttpRequest, user: User, next: str, now: datetime) -> HttpResponse:  # noqa: ARG001
    """Ask, or see how far it is."""
    under_way = lost_factors.open_of(user=user)
    form = LostFactorForm(request.POST or None)
    status, wait = 400 if form.is_bound else 200, None
    if under_way is None and form.is_valid():
        try:
            wake_sender(lost_factors.ask(user=user, statement=form.cleaned_data["statement"], now=now))
        except Refusal as refusal:
            form.add_error("statement" if refusal.errors else None, refusal.detail)
            status, wait = refusal.status, refusal.retry_after_seconds
        else:
            return see_other("lost_factor")
    context = {"form": form, "here": "sign_in", "lost": under_way}
    response = render(request, "accounts/lost_factor.html", context, status=status)
    if wait is not None:
        response["Retry-After"] = str(wait)
    return response


@counted_as("sign_in")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def lost_factor_stop(request: HttpRequest) -> HttpResponse:
    """Where the link leads. What reads mail for people opens links, so only the button stops anything."""
    given = request.POST if request.method == "POST" else request.GET
    token = given.get(lost_factor_stops.PARAMETER, "")
    context: dict[str, object] = {"here": "sign_in", "token": token}
    try:
        if request.method == "POST":
            wake_sender(lost_factor_stops.stop(token=token, now=timezone.now()))
            messages.success(request, "It is stopped: your second factor stays. Change your password now.")
            return see_other("sign_in")
        lost_factor_stops.lost_of(token=token)
    except Refusal as refusal:
        context["refused"] = refusal.detail
        return render(request, "accounts/lost_factor_stop.html", context, status=refusal.status)
    return render(request, "accounts/lost_factor_stop.html", context)
