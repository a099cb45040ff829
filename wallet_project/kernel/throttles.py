"""
Where the API's requests are counted.

A view says which of `rate_limits.ROUTE_CLASSES` it belongs to by `throttle_scope`. One that says nothing is a `read`
or moves `money`, by its method; a stranger's is `public`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from wallet_project.kernel.clients import client
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.rate_limits import SAFE_METHODS, count, refuse_if_spent, spend

if TYPE_CHECKING:
    # At run time it reads the settings, which name the class below.
    from rest_framework.views import APIView


class RouteThrottle(BaseThrottle):
    """
    After authentication and before the body is looked at, so that it uses up no key.

    :raises Refusal: `too_many_requests`, `busy`.
    """

    def allow_request(self, request: Request, view: "APIView") -> bool:
        person: str | None = getattr(request.user, "public_id", None)
        usual = "public" if person is None else "read" if request.method in SAFE_METHODS else "money"
        spend(getattr(view, "throttle_scope", usual), person=person, address=client.get().address)
        return True


@contextmanager
def counting_forgeries() -> Iterator[None]:
    """
    Around the judging of a signature: a wrong one is counted, and past their limit nothing is judged any more.

    :raises Refusal: `too_many_requests`.
    """
    address = client.get().address
    refuse_if_spent("webhook_forged", address=address)
    try:
        yield
    except Refusal as refusal:
        if refusal.code == "signature_invalid":
            count("webhook_forged", address=address)
        raise
