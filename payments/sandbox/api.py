"""The gateway's API: JSON under /v1 behind basic authentication. The doors themselves stand in `api_*.py`."""

import hmac

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from payments.sandbox.api_contacts import contacts
from payments.sandbox.api_disputes import disputes
from payments.sandbox.api_orders import orders
from payments.sandbox.api_payments import payments
from payments.sandbox.api_payouts import payouts
from payments.sandbox.api_settlements import settlements
from payments.sandbox.desk import desk
from payments.sandbox.errors import GatewayError

api = Blueprint("api", __name__, url_prefix="/v1")
for doors in (orders, payments, contacts, payouts, disputes, settlements):
    api.register_blueprint(doors)


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
