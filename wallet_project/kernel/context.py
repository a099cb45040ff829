"""The id of the request being served, for logs and problem documents."""

import re
from contextvars import ContextVar
from typing import Final

from wallet_project.kernel.ids import new_uuid, public_id

_SANE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")

request_id: ContextVar[str] = ContextVar("request_id", default="")


def choose_request_id(offered: str | None) -> str:
    """The caller's id if it is sane, else a fresh one."""
    if offered and _SANE.match(offered):
        return offered
    return public_id("req", new_uuid())
