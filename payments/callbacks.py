"""
The browser's return from the gateway's checkout, at the root.

The real gateway posts a form from its own site, so neither our session cookie nor a CSRF token comes along; the
sandbox redirects with the same fields in the query. Only the signature and our own order count.
"""

import json
from typing import Final

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.models import User
from payments.standing import return_unpaid
from payments.topups import return_from_checkout
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other

_LONGEST_FIELD: Final = 200
_LONGEST_METADATA: Final = 2000


@never_cache
@csrf_exempt
@require_http_methods(["GET", "POST"])
def razorpay_callback(request: HttpRequest) -> HttpResponse:
    """To the receipt of what was paid; to the top-up's own page where nothing was, or nothing genuine came."""
    fields = request.POST if request.method == "POST" else request.GET
    try:
        add = return_from_checkout(
            order_id=_field(fields, "razorpay_order_id"),
            payment_id=_field(fields, "razorpay_payment_id"),
            signature=_field(fields, "razorpay_signature"),
            now=timezone.now(),
        )
    except Refusal:
        # A failed attempt comes unsigned: it may show its payer where the top-up stands, and nobody anything else.
        add = None
        if isinstance(request.user, User):
            add = return_unpaid(user=request.user, order_id=_failed_order(fields), now=timezone.now())
    return see_other("receipt", add) if add is not None else see_other("add")


def _field(fields: QueryDict, name: str) -> str:
    return fields.get(name, "")[:_LONGEST_FIELD].replace("\0", "")


def _failed_order(fields: QueryDict) -> str:
    """A failure names its order in `error[metadata]`, a small JSON document."""
    try:
        order_id = json.loads(fields.get("error[metadata]", "")[:_LONGEST_METADATA])["order_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return order_id.replace("\0", "") if isinstance(order_id, str) else ""


urlpatterns = [path("payments/razorpay/callback", razorpay_callback, name="razorpay_callback")]
