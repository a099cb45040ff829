"""The API's calls on a bad day: a layer round the whole application that strikes as the switches say."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from payments.sandbox.connection import hang_up, hold, is_dropped, let_doors_drop_reply, swallow_body
from payments.sandbox.misbehaviour import FAULTS, Switch, route_of, strike
from payments.sandbox.state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/v1/"
BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
TOO_MANY_REQUESTS = (
    '{"error":{"code":"BAD_REQUEST_ERROR","description":"Request failed. Please try after sometime.",'
    '"source":"NA","step":"NA","reason":"NA","metadata":{}}}'
)

logger = logging.getLogger("sandbox.faults")


class Faults:
    """Between the server and the application. It touches nothing but the API."""

    def __init__(self, application: "WSGIApplication", *, state: State) -> None:
        self._application = application
        self._state = state

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if not path.startswith(PREFIX):
            return self._application(environ, start_response)
        with self._state.unit() as db:
            switch = strike(db, route=route_of(path), method=method)
        if switch is not None:
            logger.info("sandbox.fault fault=%s method=%s path=%s", switch.fault, method, path)
            if FAULTS[switch.fault].moment == "instead":
                return self._instead(switch, environ)(environ, start_response)
        # Whole and finished before anything of it is sent: what is dropped or late has taken effect.
        let_doors_drop_reply(environ)
        answer = Response.from_app(self._application, environ, buffered=True)
        if is_dropped(environ) or (switch is not None and switch.fault == "dropped_reply"):
            answer.close()
            hang_up(environ)
        if switch is not None and switch.fault == "late_reply":
            hold(environ, seconds=switch.seconds)
        return answer(environ, start_response)

    def _instead(self, switch: Switch, environ: "WSGIEnvironment") -> Response:
        swallow_body(environ)
        if switch.fault == "no_answer":
            hold(environ, seconds=switch.seconds)
            hang_up(environ)
        if switch.fault == "bad_gateway":
            return Response(BAD_GATEWAY, status=502, content_type="text/html")
        # As documented: no Retry-After.
        return Response(TOO_MANY_REQUESTS, status=429, content_type="application/json")
