"""The operator's doors for programs: JSON in, JSON out, no credentials, this machine only."""

import time
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from payments.sandbox.desk import desk
from payments.sandbox.errors import GatewayError
from payments.sandbox.fields import read_json
from payments.sandbox.operator.acts import ACTS, Act, Request, misbehaviour_document
from payments.sandbox.operator.guard import require_json, require_local_name
from payments.sandbox.operator.reading import Part, deliveries

doors = Blueprint("operator_doors", __name__, url_prefix="/operator/api")
doors.before_request(require_local_name)


@doors.errorhandler(GatewayError)
def refuse(error: GatewayError) -> ResponseReturnValue:
    """In the gateway's own form, though no real gateway has these doors."""
    return jsonify(error.document()), error.status


def perform(act: Act, *, subject: str, fields: dict[str, Any]) -> dict[str, Any]:
    """One act as one unit of work; the courier is told, for most acts write an event."""
    at = desk()
    asked = Request(
        subject=subject,
        fields=fields,
        configuration=at.configuration,
        letterhead=at.letterhead,
        now=int(time.time()),
    )
    with at.state.unit() as db:
        document = act(db, asked)
    at.courier.ring()
    return document


def _open(path: str, act: Act) -> None:
    def door(subject: str = "") -> Response:
        require_json()
        return jsonify(perform(act, subject=subject, fields=read_json(request.get_data())))

    doors.add_url_rule(f"/{path}", endpoint=path.replace("/", "_"), view_func=door, methods=["POST"])


for _path, _act in ACTS.items():
    _open(_path, _act)


@doors.get("/misbehaviour")
def show_misbehaviour() -> Response:
    with desk().state.unit() as db:
        return jsonify(misbehaviour_document(db))


@doors.delete("/misbehaviour")
@doors.delete("/misbehaviour/<fault>")
def end_misbehaviour(fault: str = "") -> Response:
    """A browser asks before it sends another site's DELETE, and is not answered: no JSON is needed."""
    return jsonify(perform(ACTS["misbehaviour/off"], subject=fault, fields={}))


@doors.get("/deliveries")
def show_deliveries() -> Response:
    """The delivery log, newest first: `?status=all|pending|failed`, `?before=` an id."""
    part = Part.asked_by(request.args)
    with desk().state.unit() as db:
        listed = deliveries(db, part=part, status=request.args.get("status", "all"))
    return jsonify({"items": listed.items, "before": listed.before})
