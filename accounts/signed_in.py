"""What every private page has in common."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

from accounts.models import User

P = ParamSpec("P")


class SignedInRequest(HttpRequest):
    """A request that is known to come from a person."""

    user: User


def signed_in(
    view: Callable[Concatenate[SignedInRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """
    For people who signed in and are not blocked (the backend knows nobody else); others go to the sign-in page.

    Nothing of the page is stored (`no-store`): not by a proxy, nor by the browser, which would otherwise show it on
    Back after signing out.
    """

    @wraps(view)
    def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        return view(cast(SignedInRequest, request), *args, **kwargs)

    return never_cache(login_required(checked))
