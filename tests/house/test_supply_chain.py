"""What comes with the wallet is known: its licences, and what is known against it, or that nobody could say."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.house.sources import CHECKOUT
from tests.running import clean_environment
from wallet_project.local import check
from wallet_project.local.supply_chain import FILES, NOBODY_TO_ASK, advisories, is_allowed, licence_of, licences, pins


class Source:
    """Stands for OSV: answers each question with what it knows of a package."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.asked: list[dict[str, Any]] = []
        self.instead = b""
        source = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                source.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
                names = [query["package"]["name"] for query in source.asked]
                results = [{"vulns": [{"id": it} for it in source.known[name]]} if name in source.known else {}
                           for name in names]  # fmt: skip
                body = source.instead or json.dumps({"results": results}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: Any) -> None:
                """Silence: pytest shows what the test asserts."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/querybatch"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


@pytest.fixture
def source() -> Iterator[Source]:
    it = Source()
    yield it
    it.server.shutdown()
    it.server.server_close()


def test_every_pin_is_asked_about_and_an_advisory_fails_the_check_by_name(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    source.known = {"django": ["GHSA-aaaa-bbbb-cccc", "PYSEC-2026-1"]}
    assert advisories(source.url) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("django 5.2")
    assert line.endswith(": GHSA-aaaa-bbbb-cccc, PYSEC-2026-1")
    assert [(it["package"]["name"], it["version"]) for it in source.asked] == [
        (pin.name, pin.version) for pin in pins(*FILES)
    ]


def test_nothing_known_is_clean(source: Source) -> None:
    assert advisories(source.url) == 0
    assert len(source.asked) > 100


def test_a_source_that_does_not_answer_is_never_reported_as_clean(capsys: pytest.CaptureFixture[str]) -> None:
    environment = clean_environment(ADVISORIES_URL="http://127.0.0.1:9/v1/querybatch")
    assert subprocess.run([sys.executable, "-m", "wallet_project.local.supply_chain", "advisories"], cwd=CHECKOUT,
                          env=environment, capture_output=True, check=False).returncode == NOBODY_TO_ASK  # fmt: skip

    (asks,) = [each for each in check.CHECKS if each.name == "advisories"]
    assert check.verdict_of(asks, environment) == "UNKNOWN"
    said = capsys.readouterr().out
    assert "UNKNOWN" in said
    assert "nothing is known" in said


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"results": []}', b'{"results": "all"}'])
def test_an_answer_that_is_none_is_not_clean_either(source: Source, answer: bytes) -> None:
    source.instead = answer
    assert advisories(source.url) == NOBODY_TO_ASK


def test_every_pinned_package_has_a_licence_that_somebody_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert licences() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("GPL-3.0-or-later OR MIT", True),
        ("MIT AND GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("Proprietary", False),
        ("none", False),
    ],
)
def test_a_licence_is_allowed_as_a_whole_or_not(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed


def test_older_packages_say_their_licence_in_classifiers_or_words() -> None:
    about = Message()
    assert licence_of(about) == "none"
    about["License"] = "MIT"
    assert licence_of(about) == "MIT"
    about["Classifier"] = "License :: OSI Approved :: Apache Software License"
    assert licence_of(about) == "Apache-2.0"
    about["License-Expression"] = "BSD-3-Clause"
    assert licence_of(about) == "BSD-3-Clause"
