"""The API's doors for payments and their refunds."""

import time

from flask import Blueprint, Response, jsonify, request

from payments.sandbox.desk import desk
from payments.sandbox.fields import amount_of, currency_of, read_json
from payments.sandbox.idempotency import InFlight, fingerprint, key_of
from payments.sandbox.listing import Window, collection
from payments.sandbox.payments import capture_payment, find_payment, list_payments, payment_entity
from payments.sandbox.refund_requests import KEY_HEADER, KEY_PATTERN, refund_request
from payments.sandbox.refunds import create_refund, create_refund_once, find_refund, list_refunds, refund_entity

payments = Blueprint("payments", __name__)

_in_flight = InFlight()


@payments.get("/payments")
def get_payments() -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        found = list_payments(db, window=window)
    return jsonify(collection(payment_entity(payment) for payment in found))


@payments.get("/payments/<payment_id>")
def get_payment(payment_id: str) -> Response:
    with desk().state.unit() as db:
        payment = find_payment(db, payment_id=payment_id)
    return jsonify(payment_entity(payment))


@payments.post("/payments/<payment_id>/capture")
def post_capture(payment_id: str) -> Response:
    body = read_json(request.get_data())
    amount, _ = amount_of(body), currency_of(body)
    with desk().state.unit() as db:
        payment = capture_payment(
            db, payment_id=payment_id, amount=amount, letterhead=desk().letterhead, now=int(time.time())
        )
    desk().courier.ring()
    return jsonify(payment_entity(payment))


@payments.post("/payments/<payment_id>/refund")
def post_refund(payment_id: str) -> Response:
    body = read_json(request.get_data())
    asked = refund_request(body)
    key = key_of(request.headers.get(KEY_HEADER), name=KEY_HEADER, pattern=KEY_PATTERN)
    at, now = desk(), int(time.time())
    with _in_flight.only_one(key), at.state.unit() as db:
        if key is None:
            refund = create_refund(db, payment_id=payment_id, asked=asked, letterhead=at.letterhead, now=now)
        else:
            refund = create_refund_once(
                db,
                key=key,
                fingerprint=fingerprint(payment_id, body),
                payment_id=payment_id,
                asked=asked,
                letterhead=at.letterhead,
                now=now,
            )
    at.courier.ring()
    return jsonify(refund_entity(refund))


@payments.get("/payments/<payment_id>/refunds")
def get_payment_refunds(payment_id: str) -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        found = list_refunds(db, window=window, payment_id=payment_id)
    return jsonify(collection(refund_entity(refund) for refund in found))


@payments.get("/payments/<payment_id>/refunds/<refund_id>")
def get_payment_refund(payment_id: str, refund_id: str) -> Response:
    with desk().state.unit() as db:
        refund = find_refund(db, refund_id=refund_id, payment_id=payment_id)
    return jsonify(refund_entity(refund))


@payments.get("/refunds")
def get_refunds() -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        found = list_refunds(db, window=window)
    return jsonify(collection(refund_entity(refund) for refund in found))


@payments.get("/refunds/<refund_id>")
def get_refund(refund_id: str) -> Response:
    with desk().state.unit() as db:
        refund = find_refund(db, refund_id=refund_id)
    return jsonify(refund_entity(refund))
