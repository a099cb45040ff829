"""
The hosted checkout: where a person, or a program, pays an order.

Plain HTML that works without JavaScript. A program posts the same form and reads the 303.
"""

import json
import secrets
import sqlite3
import time
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from payments.sandbox.desk import desk
from payments.sandbox.errors import GatewayError
from payments.sandbox.orders import find_order
from payments.sandbox.payments import OrderAlreadyPaid, OrderTooSmall, attempt_payment
from payments.sandbox.signatures import return_signature
from payments.sandbox.vpas import VPAS, Vpa, is_vpa

checkout = Blueprint("checkout", __name__, url_prefix="/checkout")


class FormError(Exception):
    """What the payer must put right, in words for the page."""


@checkout.get("/<order_id>")
def show(order_id: str) -> ResponseReturnValue:
    with desk().state.unit() as db:
        order = find_order(db, order_id=order_id)
    if order["status"] == "paid":
        return _already_paid(order, status=200)
    return _form(order)


@checkout.post("/<order_id>")
def pay(order_id: str) -> ResponseReturnValue:
    with desk().state.unit() as db:
        order = find_order(db, order_id=order_id)
    try:
        vpa = _chosen_vpa(request.form.get("method", ""), request.form.get("vpa", ""))
        with desk().state.unit() as db:
            payment = attempt_payment(
                db, order_id=order_id, vpa=vpa, letterhead=desk().letterhead, now=int(time.time())
            )
    except FormError as error:
        return _form(order, error=str(error), status=400)
    except OrderTooSmall:
        return _form(order, error="Less than that cannot be paid: choose another UPI ID.", status=400)
    except OrderAlreadyPaid:
        return _already_paid(order, status=409)
    desk().courier.ring()
    return _send_back(payment) if vpa.returns else _page("unconfirmed.html", order)


@checkout.errorhandler(GatewayError)
def unknown_order(_error: GatewayError) -> ResponseReturnValue:
    """A page for a person, hence a person's 404; the API's 400 is for programs."""
    return _page("unknown.html", None, status=404)


def _chosen_vpa(method: str, address: str) -> Vpa:
    """
    :raises FormError: not a UPI payment from one of the test addresses.
    """
    if method != "upi":
        raise FormError("Only UPI is offered here: choose a UPI ID below.")
    address = address.strip().lower()
    if not address:
        raise FormError("Choose a UPI ID to pay from.")
    if not is_vpa(address):
        raise FormError("That is not a UPI ID. A UPI ID looks like name@bank.")
    if address not in VPAS:
        raise FormError("This sandbox does not know that UPI ID. Choose one of its test IDs below.")
    return VPAS[address]


def _send_back(payment: sqlite3.Row) -> ResponseReturnValue:
    """To the merchant's callback, with the signed result or the error in its query."""
    configuration = desk().configuration
    payment_id, order_id = payment["id"], payment["order_id"]
    if payment["status"] == "failed":
        result = {
            "error[code]": payment["error_code"],
            "error[description]": payment["error_description"],
            "error[source]": payment["error_source"],
            "error[step]": payment["error_step"],
            "error[reason]": payment["error_reason"],
            "error[metadata]": json.dumps({"payment_id": payment_id, "order_id": order_id}),
        }
    else:
        signature = return_signature(key_secret=configuration.key_secret, order_id=order_id, payment_id=payment_id)
        result = {
            "razorpay_payment_id": payment_id,
            "razorpay_order_id": order_id,
            "razorpay_signature": signature,
        }
    joint = "&" if "?" in configuration.callback_url else "?"
    return redirect(f"{configuration.callback_url}{joint}{urlencode(result)}", code=303)


def _form(order: sqlite3.Row, *, error: str = "", status: int = 200) -> Response:
    chosen = request.form.get("vpa", "").strip().lower() or next(iter(VPAS))
    return _page("checkout.html", order, status=status, error=error, vpas=VPAS.values(), chosen=chosen)


def _already_paid(order: sqlite3.Row, *, status: int) -> Response:
    return _page("paid.html", order, status=status)


def _page(template: str, order: sqlite3.Row | None, *, status: int = 200, **context: Any) -> Response:
    configuration = desk().configuration
    nonce = secrets.token_urlsafe(16)
    response = make_response(
        render_template(
            template,
            merchant=configuration.merchant,
            merchant_url=configuration.callback_origin,
            order_id=order["id"] if order else "",
            amount=rupees(order["amount"]) if order else "",
            nonce=nonce,
            **context,
        ),
        status,
    )
    # Browsers hold `form-action` against where a form's answer redirects to, too: hence the merchant's origin.
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        f"form-action 'self' {configuration.callback_origin}; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def rupees(paise: int) -> str:
    """Paise as Indians write rupees: `₹12,34,567.80`."""
    whole, rest = divmod(paise, 100)
    head, tail = str(whole)[:-3], str(whole)[-3:]
    groups = [tail]
    while head:
        groups.insert(0, head[-2:])
        head = head[:-2]
    return f"₹{','.join(groups)}.{rest:02d}"
