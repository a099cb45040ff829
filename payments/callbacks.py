"""
The browser's return from a gateway's checkout, at the root.

A gateway may post a form from its own site, so neither our session cookie nor a CSRF token comes along; the sandbox
redirects with the same fields in the query. Only the signature and our own order count.
"""

from typing import Final

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.models import User
from payments.gateways import UnknownGateway, gateway_named
from payments.gateways.base import Return
from payments.standing import return_unpaid
from payments.topups import return_from_checkout
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other

_MOST_FIELDS: Final = 50
_LONGEST_FIELD: Final = 2000


@never_cache
@csrf_exempt
@require_http_methods(["GET", "POST"])
def checkout_callback(request: HttpRequest, gateway: str) -> HttpResponse:
    """To the receipt of what was paid; to the top-up's own page where nothing was, or nothing genuine came."""
    try:
        back = gateway_named(gateway).read_return(_fields(request))
    except UnknownGateway as error:
        raise Http404(str(error)) from error
    add = _credit(gateway, back) if back.signature else None
    # What comes unsigned, as failures do, may show its payer where the top-up stands, and nobody anything else.
    if add is None and isinstance(request.user, User):
        add = return_unpaid(user=request.user, gateway=gateway, order_id=back.order_id, now=timezone.now())
    return see_other("receipt", add) if add is not None else see_other("add")


def _credit(gateway: str, back: Return) -> str | None:
    try:
        return return_from_checkout(
            gateway=gateway,
            order_id=back.order_id,
            payment_id=back.payment_id,
            signature=back.signature,
            now=timezone.now(),
        )
    except Refusal:
        return None


def _fields(request: HttpRequest) -> dict[str, str]:
    """What the browser brings, within bounds, and without what PostgreSQL could not look for."""
    fields = request.POST if request.method == "POST" else request.GET
    names = list(fields)[:_MOST_FIELDS]
    return {name: str(fields.get(name, ""))[:_LONGEST_FIELD].replace("\0", "") for name in names}


urlpatterns = [path("payments/<str:gateway>/callback", checkout_callback, name="checkout_callback")]
