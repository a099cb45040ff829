"""The operator's page: plain HTML that works without JavaScript, and carries none."""

import datetime
import json
import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from payments.sandbox.checkout import rupees
from payments.sandbox.desk import desk
from payments.sandbox.errors import GatewayError
from payments.sandbox.misbehaviour import FAULTS, METHODS, ROUTES
from payments.sandbox.operator import reading
from payments.sandbox.operator.acts import ACTS, Act
from payments.sandbox.operator.doors import perform
from payments.sandbox.operator.guard import form_token, require_form_token, require_local_name
from payments.sandbox.operator.reading import OVERVIEW_MOST, Part
from payments.sandbox.refunds import COURSES

page = Blueprint("operator", __name__, url_prefix="/operator")
page.before_request(require_local_name)

SECTIONS = {
    "orders": "Orders",
    "refunds": "Refunds",
    "payouts": "Payouts",
    "disputes": "Disputes",
    "settlements": "Settlements",
    "webhooks": "Webhooks",
    "misbehaviour": "Misbehaviour",
}
# Said once after each act, by its path; never anything that the address itself brings along.
DONE = {
    "payouts/<subject>/move": "The payout has been moved.",
    "refunds/<subject>/process": "The refund has been processed.",
    "refunds/<subject>/fail": "The refund has failed.",
    "refund-course": "New refunds go that way from now on.",
    "payments/<subject>/dispute": "The payment is disputed.",
    "disputes/<subject>/move": "The dispute has been moved.",
    "settle": "Whatever was due has been settled.",
    "deliveries/<subject>/redeliver": "The webhook is being sent again.",
    "webhook-endpoint/enable": "The webhook endpoint is enabled.",
    "webhook-secret": "New webhooks are signed with that secret.",
    "misbehaviour": "The misbehaviour is on.",
    "misbehaviour/off": "All misbehaviour is off.",
    "misbehaviour/<subject>/off": "That misbehaviour is off.",
}


@page.get("")
def show() -> Response:
    return _page()


def _press(path: str, act: Act) -> None:
    def button(subject: str = "") -> ResponseReturnValue:
        with desk().state.unit() as db:
            require_form_token(db)
        perform(act, subject=subject, fields=_fields())
        # `done` names an act, and the page knows what to say of it.
        return redirect(f"/operator?{urlencode(_place() | {'done': path})}", code=303)

    page.add_url_rule(f"/{path}", endpoint=path.replace("/", "_"), view_func=button, methods=["POST"])


for _path, _act in ACTS.items():
    _press(_path, _act)


@page.errorhandler(GatewayError)
def refuse(error: GatewayError) -> ResponseReturnValue:
    """The page again, with what was wrong; a stranger does not get to see it."""
    if error.status == 403:
        return Response(f"{error.description}\n", status=403, content_type="text/plain; charset=utf-8")
    return _page(error=error.description, status=error.status)


def _fields() -> dict[str, Any]:
    """A form's texts as the JSON values that acts expect; what cannot be one stays a text, and is refused as such."""
    form = request.form
    fields: dict[str, Any] = {name: form[name].strip() for name in ("to", "reason", "course", "fault") if name in form}
    for name, read in (("calls", _whole), ("seed", _whole), ("seconds", _whole), ("secret", _whole),
                       ("probability", _decimal), ("amount", _paise)):  # fmt: skip
        if form.get(name, "").strip():
            fields[name] = read(form[name].strip())
    # The one that was not chosen is left filled in, for a page without JavaScript cannot empty it.
    for name in {"next": ("probability", "seed"), "random": ("calls",)}.get(form.get("when", ""), ()):
        fields.pop(name, None)
    for name in ("routes", "methods"):
        if form.getlist(name):
            fields[name] = form.getlist(name)
    return fields


def _whole(text: str) -> int | str:
    return int(text) if re.fullmatch(r"[0-9]{1,16}", text) else text


def _decimal(text: str) -> float | str:
    return float(text) if re.fullmatch(r"[0-9]{0,2}\.?[0-9]{1,9}", text) else text


def _paise(text: str) -> int:
    """
    Rupees as a person writes them, in paise.

    :raises GatewayError: not that.
    """
    match = re.fullmatch(r"([0-9]{1,10})(?:\.([0-9]{2}))?", text.replace(",", ""))
    if match is None:
        raise GatewayError("Write the amount in rupees, such as 500.00.", field="amount", step="operator")
    return int(match[1]) * 100 + int(match[2] or 0)


def _place() -> dict[str, str]:
    """Which part of the page a person is looking at, or pressed a button on."""
    shown = request.values.get("show", "")
    chosen = request.values.get("status", "")
    place = {"show": shown} if shown in SECTIONS else {}
    return place | ({"status": chosen} if chosen in reading.DELIVERY_FILTERS else {})


def _page(*, error: str = "", status: int = 200) -> Response:
    place = _place()
    shown, chosen = place.get("show", ""), place.get("status", "all")
    part = Part.asked_by(request.args) if shown else Part(most=OVERVIEW_MOST)
    read: dict[str, Callable[..., reading.Listed]] = {
        "orders": reading.orders,
        "refunds": reading.refunds,
        "payouts": reading.payouts,
        "disputes": reading.disputes,
        "settlements": reading.settlements,
    }
    with desk().state.unit() as db:
        listed = {name: each(db, part=part) for name, each in read.items() if shown in ("", name)}
        if shown in ("", "webhooks"):
            listed["webhooks"] = reading.deliveries(db, part=part, status=chosen)
        standing = reading.standing(db, configuration=desk().configuration)
        token = form_token(db)
    nonce = secrets.token_urlsafe(16)
    response = make_response(
        render_template(
            "operator/page.html",
            sections=SECTIONS,
            shown=shown,
            chosen=chosen,
            listed=listed,
            standing=standing,
            faults=FAULTS,
            routes=ROUTES,
            methods=METHODS,
            courses=COURSES,
            filters=list(reading.DELIVERY_FILTERS),
            token=token,
            error=error,
            done=DONE.get(request.args.get("done", ""), ""),
            nonce=nonce,
            rupees=rupees,
            clock=_clock,
            pretty=_pretty,
        ),
        status,
    )
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _clock(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%d %b %Y %H:%M:%S")


def _pretty(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
