"""
Who may operate: whoever sits at this machine.

The sandbox listens on loopback only, but a browser here may be lured by a page from elsewhere. A form needs the
page's token; a program's door wants JSON, which no form of another site can send; and a name that somebody else
made to point at loopback (DNS rebinding) is not answered.
"""

import hmac
import secrets
import sqlite3
from urllib.parse import urlsplit

from flask import request

from payments.sandbox.errors import GatewayError

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_TOKEN = "operator_form_token"  # noqa: S105  (its name, not itself)


def require_local_name() -> None:
    """
    :raises GatewayError: 403, this machine was called by a foreign name.
    """
    try:
        name = urlsplit(f"//{request.host}").hostname
    except ValueError:
        name = None
    if name not in LOCAL_NAMES:
        raise GatewayError("The operator's page is open to this machine only.", status=403, step="operator")


def require_json() -> None:
    """
    :raises GatewayError: 415, the body does not call itself JSON.
    """
    if request.method != "GET" and request.mimetype != "application/json":
        raise GatewayError("Send application/json.", status=415, step="operator")


def form_token(db: sqlite3.Connection) -> str:
    """What the page's forms carry. It outlives a restart, so that an open page goes on working."""
    db.execute(
        "INSERT INTO switches (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        [_TOKEN, secrets.token_urlsafe(32)],
    )
    return str(db.execute("SELECT value FROM switches WHERE name = ?", [_TOKEN]).fetchone()["value"])


def require_form_token(db: sqlite3.Connection) -> None:
    """
    :raises GatewayError: 403, the form did not come from the page.
    """
    given = request.form.get("token", "")
    if not hmac.compare_digest(given.encode(), form_token(db).encode()):
        raise GatewayError("This form did not come from the operator's page.", status=403, step="operator")
