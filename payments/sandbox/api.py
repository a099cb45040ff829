"""The gateway's API: JSON under /v1 behind basic authentication."""

import hmac
import time

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from payments.sandbox.desk import desk
from payments.sandbox.errors import GatewayError
from payments.sandbox.listing import Window, collection
from payments.sandbox.order_requests import amount_of, currency_of, order_request, read_json
from payments.sandbox.orders import create_order, find_order, list_orders, order_entity
from payments.sandbox.payments import capture_payment, find_payment, list_payments, payment_entity, payments_of_order

api = Blueprint("api", __name__, url_prefix="/v1")


@api.before_request
def authenticate() -> None:
    """
    :raises GatewayError: 401, in one form for a missing, a malformed and a wrong pair.
    """
    given = request.authorization
    configuration = desk().configuration
    name, secret = (given.username or "", given.password or "") if given and given.type == "basic" else ("", "")
    known = hmac.compare_digest(name.encode(), configuration.key_id.encode())
    right = hmac.compare_digest(secret.encode(), configuration.key_secret.encode())
    if not (known and right):
        raise GatewayError("Authentication failed", status=401, reason="NA", step="NA")


@api.errorhandler(GatewayError)
def refuse(error: GatewayError) -> ResponseReturnValue:
    """The gateway's error document."""
    return jsonify(error.document()), error.status


@api.post("/orders")
def post_order() -> Response:
    asked = order_request(read_json(request.get_data()))
    with desk().state.unit() as db:
        order = create_order(db, asked=asked, now=int(time.time()))
    return jsonify(order_entity(order))


@api.get("/orders")
def get_orders() -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        orders = list_orders(db, window=window, receipt=request.args.get("receipt"))
    return jsonify(collection(order_entity(order) for order in orders))


@api.get("/orders/<order_id>")
def get_order(order_id: str) -> Response:
    with desk().state.unit() as db:
        order = find_order(db, order_id=order_id)
    return jsonify(order_entity(order))


@api.get("/orders/<order_id>/payments")
def get_order_payments(order_id: str) -> Response:
    with desk().state.unit() as db:
        payments = payments_of_order(db, order_id=order_id)
    return jsonify(collection(payment_entity(payment) for payment in payments))


@api.get("/payments")
def get_payments() -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        payments = list_payments(db, window=window)
    return jsonify(collection(payment_entity(payment) for payment in payments))


@api.get("/payments/<payment_id>")
def get_payment(payment_id: str) -> Response:
    with desk().state.unit() as db:
        payment = find_payment(db, payment_id=payment_id)
    return jsonify(payment_entity(payment))


@api.post("/payments/<payment_id>/capture")
def post_capture(payment_id: str) -> Response:
    body = read_json(request.get_data())
    amount, _ = amount_of(body), currency_of(body)
    with desk().state.unit() as db:
        payment = capture_payment(
            db, payment_id=payment_id, amount=amount, letterhead=desk().letterhead, now=int(time.time())
        )
    desk().courier.ring()
    return jsonify(payment_entity(payment))
