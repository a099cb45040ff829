"""Where we send requests to: never where somebody who uses the wallet says (server-side request forgery)."""

import ast
import http.server
import threading
from collections.abc import Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.forms import URLField
from rest_framework.serializers import URLField as ApiUrlField

from payments.gateways.base import GatewayUnavailable
from payments.gateways.http import HttpClient, Told
from tests.house.input_fields import input_fields
from tests.house.sources import chain_of, imports_of, production_modules, tree_of
from wallet_project.kernel.outgoing import is_sound

# By what a field of an address would be called, whatever its class.
_ADDRESS_WORDS = ("url", "uri", "callback", "webhook", "endpoint", "host", "domain", "website", "link")
# Who speaks HTTP of its own accord, each to an address of the settings: the gateways, and the SMS provider.
_SPEAKERS = {"payments/gateways/http.py", "accounts/senders.py"}
# Who speaks where somebody who uses the wallet said: the public internet alone (tests/house/test_public_addresses.py).
_TO_THE_PUBLIC = {"wallet_project/kernel/public_addresses.py", "wallet_project/kernel/public_http.py"}
_LIBRARIES = ("requests", "urllib.request", "http.client", "httpx", "aiohttp", "urllib3", "socket", "ftplib", "pycurl")


def client(api_url: str) -> HttpClient:
    return HttpClient(
        gateway="razorpay", api_url=api_url, credentials=("name", "secret"), connect_seconds=2, read_seconds=2,
        read_error=lambda _: Told(),
    )  # fmt: skip


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A gateway that sends whoever asks on to another place of this machine; and what was asked there."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302 if self.path.startswith("/v1") else 200)
            self.send_header("Location", "/latest/meta-data")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_nobody_names_an_address_that_we_would_ask() -> None:
    """A new field of that kind needs a guard (resolved, pinned, private networks refused) and a line here."""
    found = {
        name
        for name, field in input_fields().items()
        if isinstance(field, URLField | ApiUrlField)
        or any(word in name.rpartition(".")[2].split("_") for word in _ADDRESS_WORDS)
    }
    assert found == {
        # Only at push services that are listed, and at public addresses of theirs (`accounts.push`).
        "accounts.push_forms.PushForm.endpoint",
        # Judged when it is saved and whenever it is sent to (payments/test_merchant_webhooks*.py).
        "payments.merchant_webhooks.forms.EndpointForm.url",
        "payments.merchant_webhooks.serializers.EndpointRequest.url",
    }


def test_nobody_else_is_spoken_to_than_the_settings_say_and_what_is_public() -> None:
    speakers = {path for path in production_modules() for name in imports_of(path) if name.startswith(_LIBRARIES)}
    # Names of errors, and nothing that speaks.
    assert speakers == _SPEAKERS | _TO_THE_PUBLIC


@pytest.mark.parametrize("path", sorted(_SPEAKERS))
def test_whoever_speaks_follows_no_redirect_and_waits_only_so_long(path: str) -> None:
    calls = [
        node
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and chain_of(node)[-1] in ("request", "get", "post", "put", "delete")
        and {"timeout", "auth"} & {keyword.arg for keyword in node.keywords}
    ]  # fmt: skip
    assert calls
    for call in calls:
        said = {keyword.arg: keyword.value for keyword in call.keywords}
        assert isinstance(said["allow_redirects"], ast.Constant)
        assert said["allow_redirects"].value is False
        assert "timeout" in said


def test_a_gateway_that_sends_us_elsewhere_is_not_followed(elsewhere: tuple[str, list[str]]) -> None:
    url, asked = elsewhere
    with pytest.raises(GatewayUnavailable) as told:
        client(f"{url}/v1").get("/payments/pay_1")
    assert told.value.http_status == 302
    assert set(asked) == {"/v1/payments/pay_1"}
    # It would have been there.
    assert client(url).get("/latest/meta-data") == {}


@pytest.mark.parametrize(
    "address",
    [
        "http://api.razorpay.com/v1",
        "http://169.254.169.254/latest",
        "http://10.0.0.7/v1",
        "http://127.0.0.1.evil.example/v1",
        "http://localhost.evil.example/v1",
        "https://name:secret@api.razorpay.com/v1",
        "https:///v1",
        "https://api.razorpay.com/v1?x=",
        "ftp://api.razorpay.com/v1",
        "file:///etc/passwd",
        "//api.razorpay.com",
        "https://[broken/v1",
        "",
    ],
)
def test_an_address_without_tls_is_none_except_on_this_machine(address: str) -> None:
    assert not is_sound(address)
    with pytest.raises(ImproperlyConfigured):
        client(address)


@pytest.mark.parametrize(
    "address", ["https://api.razorpay.com/v1", "http://127.0.0.1:8001/v1", "http://[::1]:8001", "http://localhost:1"]
)
def test_tls_or_this_machine_is_sound(address: str) -> None:
    assert is_sound(address)
