"""What support does about a row, with a reason: the page in between asks for it, and keeps what was done on record."""

from collections.abc import Callable, Iterable

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.tasks import wake_sender
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.read_only_admin import ReadOnlyAdmin


def act_with_reason(
    admin: ReadOnlyAdmin,
    request: HttpRequest,
    *,
    row: Model,
    form: forms.Form,
    deed: Callable[[str], Iterable[int]],
    logged: str,
    told: Callable[[], str],
    at: str = "",
) -> HttpResponse | None:
    """
    Do it, if the form has its reason.

    :param deed: given the reason; the outgoing messages that it wrote, which are sent at once.
    :param logged: what was done, in the admin's own log, before the reason.
    :param told: what was done, for whoever did it; asked for afterwards.
    :param at: where they go from here; the row's own page, if not said.
    :returns: None, if nothing was done and the form is to be shown: it says why.
    """
    if not form.is_valid():
        return None
    reason = form.cleaned_data["reason"]
    try:
        wake_sender(deed(reason))
    except Refusal as refusal:
        form.add_error(None, refusal.detail)
        return None
    admin.log_change(request, row, f"{logged}: {reason}")
    messages.success(request, told())
    opts = admin.opts
    return HttpResponseRedirect(at or reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk]))
