"""
Whoever works here shows a second factor first: at the admin, and at the auditors' pages.

Held against the session's own row with every request: a factor shown in another browser, or removed since, opens
nothing. With tokens nobody has more than their own wallet, so none is asked for there.
"""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from accounts import second_factor
from accounts.page_sessions import session_of
from wallet_project.kernel.redirects import see_other


def may_work(request: HttpRequest) -> bool:
    """Whether this session showed a second factor, or none is asked for (STAFF_NEED_FACTOR)."""
    session = session_of(request)
    return not settings.STAFF_NEED_FACTOR or (session is not None and session.factor_at is not None)


def ask(request: HttpRequest, *, next: str) -> HttpResponse:
    """
    To where the factor is shown, or set up where there is none yet.

    :param next: where to go once it was shown; judged already, never another site.
    """
    # With the pages come passkeys and all that they stand on, for which no other process waits.
    from accounts.factor_views import begin

    session = session_of(request)
    if session is None:
        return see_other("sign_in")
    if second_factor.is_on(session.user):
        return begin(request, user=session.user, next=next)
    messages.warning(request, "Work here takes a second factor. Set one up, then go on.")
    return see_other("security")
