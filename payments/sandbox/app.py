"""The sandbox as a WSGI application: its doors, its limits, and what it says when something is wrong."""

import logging

from flask import Flask, Response, jsonify, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from payments.sandbox.api import api
from payments.sandbox.book import totals
from payments.sandbox.checkout import checkout
from payments.sandbox.desk import EXTENSION, Desk, desk
from payments.sandbox.errors import SERVER_ERROR, GatewayError
from payments.sandbox.faults import Faults
from payments.sandbox.operator.doors import doors
from payments.sandbox.operator.page import page

BODY_LARGEST = 64 * 1024

logger = logging.getLogger("sandbox")


def create_app(at: Desk) -> Flask:
    """Put the doors round a desk."""
    app = Flask("payments.sandbox", static_folder=None)
    app.extensions[EXTENSION] = at
    app.config["MAX_CONTENT_LENGTH"] = BODY_LARGEST
    app.json.sort_keys = False  # type: ignore[attr-defined]  # entities read in the documentation's order
    app.register_blueprint(api)
    app.register_blueprint(checkout)
    app.register_blueprint(doors)
    app.register_blueprint(page)
    app.add_url_rule("/", endpoint="front", view_func=lambda: redirect("/operator"))
    app.add_url_rule("/book", view_func=get_book)
    app.register_error_handler(HTTPException, refuse)
    app.register_error_handler(Exception, crash)
    app.after_request(harden)
    app.wsgi_app = Faults(app.wsgi_app, state=at.state)  # type: ignore[method-assign]  # as Flask's documentation has it
    return app


def get_book() -> Response:
    """The sandbox's book, open to whoever is on this machine."""
    with desk().state.unit() as db:
        return jsonify(totals(db))


def refuse(error: HTTPException) -> ResponseReturnValue:
    """What the framework refuses, in the gateway's words under /v1 and in plain text elsewhere."""
    status = error.code or 500
    if not request.path.startswith("/v1/"):
        return Response(f"{status} {error.name}\n", status=status, content_type="text/plain; charset=utf-8")
    if status == 404:
        # The gateway has no 404: an unknown address is as bad a request as an unknown id.
        return jsonify(GatewayError("The requested URL was not found on the server.").document()), 400
    return jsonify(GatewayError(error.name).document()), status


def crash(_error: Exception) -> ResponseReturnValue:
    """A bug of the sandbox: logged with its trace, answered as the gateway answers for its own."""
    logger.exception("sandbox.crashed method=%s path=%s", request.method, request.path)
    error = GatewayError("The server encountered an error.", status=500, code=SERVER_ERROR, reason="NA", step="NA")
    return jsonify(error.document()), 500


def harden(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
