"""The API's doors for settlements and the report to reconcile with."""

from flask import Blueprint, Response, jsonify, request

from payments.sandbox.desk import desk
from payments.sandbox.listing import Window, collection
from payments.sandbox.report import Report
from payments.sandbox.settlements import (
    find_settlement,
    item_entity,
    list_settlements,
    settled_items,
    settlement_entity,
)

settlements = Blueprint("settlements", __name__, url_prefix="/settlements")


@settlements.get("")
def get_settlements() -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        found = list_settlements(db, window=window)
    return jsonify(collection(settlement_entity(settlement) for settlement in found))


@settlements.get("/recon/combined")
def get_report() -> Response:
    report = Report.asked_by(request.args)
    with desk().state.unit() as db:
        found = settled_items(db, first=report.first, after=report.after, count=report.count, skip=report.skip)
    return jsonify(collection(item_entity(item) for item in found))


@settlements.get("/<settlement_id>")
def get_settlement(settlement_id: str) -> Response:
    with desk().state.unit() as db:
        settlement = find_settlement(db, settlement_id=settlement_id)
    return jsonify(settlement_entity(settlement))
