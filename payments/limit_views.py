"""Pages of a person's limits: what is left, and their own."""

from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.signed_in import SignedInRequest, signed_in
from accounts.tasks import wake_sender
from payments.allowances import Bounds, allowance_of, allowances_of, bounds_of_level, most_held_at
from payments.limit_forms import OwnLimitsForm
from payments.models.limits import Limited
from payments.own_limits import drop_raise, set_own_limits
from payments.views import say_errors
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other

_TITLES: Final = {
    Limited.TRANSFER: "Sending to people",
    Limited.PAY: "Paying shops",
    Limited.WITHDRAW: "Withdrawing",
    Limited.ADD: "Adding money",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLevel:
    """A line of what a KYC level allows."""

    title: str
    bounds: Bounds


@signed_in
@require_safe
def limits(request: SignedInRequest) -> HttpResponse:
    """All of them; and to whoever has not shown who they are, what that would change."""
    now, full = timezone.now(), User.KycLevel.FULL
    found = allowances_of(user=request.user, now=now)
    shown = {
        "allowances": [(_TITLES[each.type], each) for each in found.of_types],
        "holding": found.holding,
        "here": "limits",
    }
    if found.kyc_level != full:
        of_level = bounds_of_level(level=full, now=now)
        shown["with_full"] = [AtLevel(title=_TITLES[each], bounds=bounds) for each, bounds in of_level.items()]
        shown["full_most"] = most_held_at(level=full, now=now)
    return render(request, "payments/limits.html", shown)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: SignedInRequest, type: str) -> HttpResponse:
    """One's own limits of one type."""
    limited, now, status = _read(type), timezone.now(), 200
    allowance = allowance_of(user=request.user, type=limited, now=now)
    own = allowance.own if allowance.waiting is None else allowance.waiting.bounds
    form = OwnLimitsForm(request.POST or None, initial=OwnLimitsForm.initial_of(own))
    if form.is_valid():
        try:
            told = set_own_limits(user=request.user, type=limited, now=now, **form.cleaned_data)
        except Refusal as refusal:
            say_errors(form, refusal)
            status = refusal.status
        else:
            wake_sender(told)
            messages.success(
                request, _outcome(is_raise=bool(allowance_of(user=request.user, type=limited, now=now).waiting))
            )
            return see_other("limits")
    elif form.is_bound:
        status = 400
    shown = {
        "form": form,
        "title": _TITLES[limited],
        "allowance": allowance,
        "hours": settings.OWN_LIMIT_RAISE_HOURS,
        "here": "limits",
    }
    return render(request, "payments/limits_change.html", shown, status=status)


@signed_in
@require_POST
def drop(request: SignedInRequest, type: str) -> HttpResponse:
    """Higher ones that do not hold yet will not."""
    if drop_raise(user=request.user, type=_read(type), now=timezone.now()):
        messages.success(request, "Dropped. Your limits stay as they are.")
    else:
        messages.info(request, "Nothing was waiting.")
    return see_other("limits")


def _outcome(*, is_raise: bool) -> str:
    if is_raise:
        hours = settings.OWN_LIMIT_RAISE_HOURS
        return (
            f"What is higher holds in {hours} hours; until then you can drop it here. What is lower holds from now on."
        )
    return "Your limits hold from now on."


def _read(type: str) -> Limited:
    if type not in Limited:
        raise Http404
    return Limited(type)
