"""
The sandbox as a process: one loopback port, a thread for each connection, one courier, one clock.

One process on purpose: `kill -9` leaves no worker behind that still holds the port or the state.
"""

import logging
import os
import signal
import socket
import threading
from typing import NoReturn

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from payments.sandbox.app import create_app
from payments.sandbox.configuration import HOST, Configuration
from payments.sandbox.courier import Courier
from payments.sandbox.desk import Desk
from payments.sandbox.later import Later
from payments.sandbox.state import State, StateUnusable
from payments.sandbox.timetable import TIMETABLE

# Connections the kernel holds while threads are being made: more than anybody opens at once.
BACKLOG = 512

logger = logging.getLogger("sandbox")


class CannotStart(Exception):
    """The port or the state file is not to be had; the message says which."""


class RequestHandler(WSGIRequestHandler):
    """Werkzeug's handler, with a bound on silence and a log line without the query string."""

    # A client that says nothing for this long loses its thread.
    timeout = 30

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        logger.info("sandbox.request %s %s %s", self.command, self.path.partition("?")[0], code)


def serve(configuration: Configuration) -> NoReturn:
    """
    Serve until SIGTERM or SIGINT, then exit with 0.

    :raises CannotStart: before anything is served.
    """
    try:
        state = State(configuration.state)
    except StateUnusable as error:
        raise CannotStart(str(error)) from error
    courier = Courier(state=state, url=configuration.webhook_url)
    desk = Desk(configuration=configuration, state=state, courier=courier)
    later = Later(state=state, letterhead=desk.letterhead, courier=courier, timetable=TIMETABLE)
    app = create_app(desk)
    server = _listen(configuration.port, app)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    courier.start()
    later.start()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="listener", daemon=True).start()
    logger.info("sandbox.ready http://%s:%s", HOST, configuration.port)
    stop.wait()
    server.shutdown()
    server.server_close()
    later.stop()
    courier.stop()
    state.close()
    logger.info("sandbox.stopped")
    # Letters on their way would hold the interpreter for up to five seconds. They are still
    # due in the state, as after any other death.
    logging.shutdown()
    os._exit(0)


def _listen(port: int, app: Flask) -> BaseWSGIServer:
    """The port is bound here, since Werkzeug would end the process without a word of which one was taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise CannotStart(f"SANDBOX_PORT {port} cannot be used: {error.strerror}.") from error
        listener.listen(BACKLOG)
        server = make_server(HOST, port, app, threaded=True, request_handler=RequestHandler, fd=listener.fileno())
    server.socket.listen(BACKLOG)
    return server
