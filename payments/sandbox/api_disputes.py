"""The API's doors for disputes. They are opened and moved by banks: on the operator's page, that is."""

from flask import Blueprint, Response, jsonify, request

from payments.sandbox.desk import desk
from payments.sandbox.disputes import dispute_entity, find_dispute, list_disputes
from payments.sandbox.listing import Window, collection

disputes = Blueprint("disputes", __name__, url_prefix="/disputes")


@disputes.get("")
def get_disputes() -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        found = list_disputes(db, window=window)
    return jsonify(collection(dispute_entity(dispute) for dispute in found))


@disputes.get("/<dispute_id>")
def get_dispute(dispute_id: str) -> Response:
    with desk().state.unit() as db:
        dispute = find_dispute(db, dispute_id=dispute_id)
    return jsonify(dispute_entity(dispute))
