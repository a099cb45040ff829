"""The page of where a person is signed in."""

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts import sessions
from accounts.models import Session
from accounts.page_sessions import session_of
from accounts.signed_in import SignedInRequest, signed_in
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other


@require_safe
@signed_in
def session_list(request: SignedInRequest) -> HttpResponse:
    """This browser first, then all the others, newest first."""
    current = _current(request)
    now = timezone.now()
    try:
        page = sessions.open_sessions_of(user=request.user, now=now, cursor=request.GET.get("cursor"))
    except Refusal:
        # No place in the list: it begins at the top.
        page = sessions.open_sessions_of(user=request.user, now=now)
    context = {
        "here": "security",
        "current": current,
        "others": [session for session in page.sessions if session.pk != current.pk],
        "next": page.next,
    }
    return render(request, "accounts/sessions.html", context)


@require_POST
@signed_in
def session_end(request: SignedInRequest, id: str) -> HttpResponse:
    """Sign out one device."""
    sessions.end(user=request.user, session=id, now=timezone.now())
    messages.success(request, "That device is signed out.")
    return see_other("sessions")


@require_POST
@signed_in
def session_end_others(request: SignedInRequest) -> HttpResponse:
    """Sign out everywhere but here."""
    sessions.end_others(user=request.user, but=_current(request).uuid, now=timezone.now())
    messages.success(request, "You are signed out everywhere else.")
    return see_other("sessions")


def _current(request: HttpRequest) -> Session:
    """Whoever is signed in has one."""
    return cast(Session, session_of(request))
