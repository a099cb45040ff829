"""What every private page has in common."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache

from accounts.models import User
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other

P = ParamSpec("P")


class SignedInRequest(HttpRequest):
    """A request that is known to come from a person."""

    user: User


def signed_in(
    view: Callable[Concatenate[SignedInRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """
    For people who signed in and are not blocked (the backend knows nobody else); others go to the sign-in page.

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
                logout(request)
                return see_other("sign_in")
            raise

    return never_cache(login_required(checked))
