"""The API's doors for payouts."""

import time

from flask import Blueprint, Response, jsonify, request

from payments.sandbox.connection import drop_reply
from payments.sandbox.desk import desk
from payments.sandbox.errors import GatewayError
from payments.sandbox.faults import BAD_GATEWAY, TOO_MANY_REQUESTS
from payments.sandbox.fields import needed, read_json
from payments.sandbox.idempotency import fingerprint, key_of
from payments.sandbox.listing import Window, collection
from payments.sandbox.payout_requests import payout_request, refuse_other_account
from payments.sandbox.payouts import (
    cancel_payout,
    create_payout_once,
    drops_reply,
    find_payout,
    list_payouts,
    payout_entity,
    stumble,
)

KEY_HEADER = "X-Payout-Idempotency"
KEY_PATTERN = r"[A-Za-z0-9_\- ]{4,36}"

payouts = Blueprint("payouts", __name__, url_prefix="/payouts")


@payouts.post("")
def post_payout() -> Response:
    key = key_of(request.headers.get(KEY_HEADER), name=KEY_HEADER, pattern=KEY_PATTERN)
    if key is None:
        raise GatewayError(f"The {KEY_HEADER} header is required.", field=KEY_HEADER)
    body = read_json(request.get_data())
    at, now = desk(), int(time.time())
    asked = payout_request(body, account_number=at.configuration.account_number)
    with at.state.unit() as db:
        stumbles = stumble(db, key=key, fund_account_id=asked.fund_account_id)
    if stumbles is not None:
        return _stumbled(stumbles)
    with at.state.unit() as db:
        payout, is_new = create_payout_once(
            db, key=key, fingerprint=fingerprint(body), asked=asked, letterhead=at.letterhead, now=now
        )
        is_dropped = is_new and drops_reply(db, payout=payout)
    at.courier.ring()
    if is_dropped:
        drop_reply(request.environ)
    return jsonify(payout_entity(payout))


@payouts.get("")
def get_payouts() -> Response:
    window, asked = Window.asked_by(request.args), request.args
    refuse_other_account(
        needed(dict(asked), "account_number", longest=40), account_number=desk().configuration.account_number
    )
    with desk().state.unit() as db:
        found = list_payouts(
            db,
            window=window,
            reference_id=asked.get("reference_id"),
            fund_account_id=asked.get("fund_account_id"),
            status=asked.get("status"),
        )
    return jsonify(collection(payout_entity(payout) for payout in found))


@payouts.get("/<payout_id>")
def get_payout(payout_id: str) -> Response:
    with desk().state.unit() as db:
        payout = find_payout(db, payout_id=payout_id)
    return jsonify(payout_entity(payout))


@payouts.post("/<payout_id>/cancel")
def post_cancel(payout_id: str) -> Response:
    with desk().state.unit() as db:
        payout = cancel_payout(db, payout_id=payout_id, letterhead=desk().letterhead, now=int(time.time()))
    desk().courier.ring()
    return jsonify(payout_entity(payout))


def _stumbled(how: str) -> Response:
    if how == "bad gateway":
        return Response(BAD_GATEWAY, status=502, content_type="text/html")
    return Response(TOO_MANY_REQUESTS, status=429, content_type="application/json")
