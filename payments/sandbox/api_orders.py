"""The API's doors for orders."""

import time

from flask import Blueprint, Response, jsonify, request

from payments.sandbox.desk import desk
from payments.sandbox.fields import read_json
from payments.sandbox.listing import Window, collection
from payments.sandbox.order_requests import order_request
from payments.sandbox.orders import create_order, find_order, list_orders, order_entity
from payments.sandbox.payments import payment_entity, payments_of_order

orders = Blueprint("orders", __name__, url_prefix="/orders")


@orders.post("")
def post_order() -> Response:
    asked = order_request(read_json(request.get_data()))
    with desk().state.unit() as db:
        order = create_order(db, asked=asked, now=int(time.time()))
    return jsonify(order_entity(order))


@orders.get("")
def get_orders() -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        found = list_orders(db, window=window, receipt=request.args.get("receipt"))
    return jsonify(collection(order_entity(order) for order in found))


@orders.get("/<order_id>")
def get_order(order_id: str) -> Response:
    with desk().state.unit() as db:
        order = find_order(db, order_id=order_id)
    return jsonify(order_entity(order))


@orders.get("/<order_id>/payments")
def get_order_payments(order_id: str) -> Response:
    with desk().state.unit() as db:
        payments = payments_of_order(db, order_id=order_id)
    return jsonify(collection(payment_entity(payment) for payment in payments))
