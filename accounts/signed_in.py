"""What every private page has in common."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, cast
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from accounts import consents
from accounts.models import User
from accounts.page_sessions import close_page_session
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other

P = ParamSpec("P")
# In the page session: what its person is known to have agreed to, so that not every page asks.
_AGREED: Final = "agreed"


class SignedInRequest(HttpRequest):
    """A request that is known to come from a person."""

    user: User


def signed_in(
    view: Callable[Concatenate[SignedInRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """
    For people who signed in and are not blocked (nobody else has an open session); others go to the sign-in page.

    Nothing of the page is stored (`no-store`): not by a proxy, nor by the browser, which would otherwise show it on
    Back after signing out. A refusal that the view lets through becomes a page: what is not theirs is not there, and
    whoever was blocked meanwhile is signed out.
    """

    @wraps(view)
    def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            return view(cast(SignedInRequest, request), *args, **kwargs)
        except Refusal as refusal:
            if refusal.code == "not_found":
                raise Http404(refusal.detail) from refusal
            if refusal.code == "blocked":
                close_page_session(request)
                return see_other("sign_in")
            raise

    return never_cache(login_required(checked))


def agreed(
    view: Callable[Concatenate[SignedInRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """
    As `signed_in`, for pages that move money: whoever has not agreed to the terms of use and the privacy notice in
    force is led there first, once for each edition.
    """

    @wraps(view)
    def checked(request: SignedInRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if _has_agreed(request):
            return view(request, *args, **kwargs)
        return see_other(f"{reverse('consent')}?{urlencode({'next': request.get_full_path()})}")

    return signed_in(checked)


def _has_agreed(request: SignedInRequest) -> bool:
    now = timezone.now()
    names = [edition.name for edition in consents.in_force(now=now)]
    if request.session.get(_AGREED) != names:
        if consents.missing(user=request.user, now=now):
            return False
        request.session[_AGREED] = names
    return True
