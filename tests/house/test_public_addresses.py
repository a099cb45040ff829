"""Where people have us send requests to: the public internet and nothing else, whatever a name means at the moment."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wallet_project.kernel import public_addresses, public_http
from wallet_project.kernel.public_addresses import NotPublic, is_public, judge_url, look_up, require_public
from wallet_project.kernel.public_http import MOST_READ, NoAnswer, PublicSession, post

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@contextmanager
def listening(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on this machine that does `act` with each connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=attend, args=(connection,), daemon=True).start()

        def attend(connection: socket.socket) -> None:
            with connection:
                try:
                    act(connection)
                except OSError:
                    """Whoever asked has gone."""

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def answering(answer: bytes, heard: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    def act(connection: socket.socket) -> None:
        text = b""
        # All of it: whoever closes with something unread breaks off what they answered.
        while not text.endswith(b"{}") and (piece := connection.recv(65536)):
            text += piece
        if heard is not None:
            heard.append(text)
        connection.sendall(answer)

    return act


def trickling(piece: bytes, before: bytes = b"") -> Callable[[socket.socket], None]:
    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(before)
        while True:
            connection.sendall(piece)
            time.sleep(0.02)

    return act


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names mean this, each time the next; and which were asked for."""
    asked: list[str] = []
    left = list(answers)

    def answer(host: str, _port: int) -> list[str]:
        asked.append(host)
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(public_addresses, "look_up", answer)
    return asked


def send(port: int, path: str = "/") -> public_http.Answer:
    return post(f"http://127.0.0.1:{port}{path}", body=b"{}", headers={"User-Agent": "Wallet"}, loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hook",
        "https://shop.example:8443/hook?for=orders&x=%20",
        "https://xn--bcher-kva.example/",
        "https://a-b.shop.example",
        "HTTPS://SHOP.EXAMPLE/hook",
    ],
)  # fmt: skip
def test_an_https_address_of_a_named_host_is_sound(url: str) -> None:
    assert judge_url(url).host.endswith(".example")
    assert judge_url(url).port in (443, 8443)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "malformed"),
        ("shop.example", "not_https"),
        ("//shop.example/", "not_https"),
        ("http://shop.example/", "not_https"),
        ("ftp://shop.example/", "not_https"),
        ("file:///etc/passwd", "not_https"),
        ("gopher://shop.example/", "not_https"),
        ("https://shop.example:0/", "port_refused"),
        ("https://shop.example:22/", "port_refused"),
        ("https://shop.example:6379/", "port_refused"),
        ("https://shop.example:99999/", "malformed"),
        ("https://name:secret@shop.example/", "malformed"),
        ("https://shop.example@10.0.0.1/", "malformed"),
        ("https://@shop.example/", "malformed"),
        ("https://shop.example/#part", "malformed"),
        ("https://shop.example/#", "malformed"),
        ("https://shop.example\\@10.0.0.1/", "malformed"),
        ("https://shop.example/a b", "malformed"),
        ("https://shop.example/\r\nHost: inside", "malformed"),
        ("https://shop.example/\n", "malformed"),
        ("https://shop.example\t/", "malformed"),
        ("https://bücher.example/", "malformed"),
        ("https://①②⑦.⓪.⓪.①/", "malformed"),
        ("https://[broken/", "malformed"),
        ("https:///hook", "malformed"),
        ("https://localhost/", "malformed"),
        ("https://shop/", "malformed"),
        ("https://shop.example./", "malformed"),
        ("https://127.0.0.1/", "malformed"),
        ("https://8.8.8.8/", "malformed"),
        ("https://127.1/", "malformed"),
        ("https://2130706433/", "malformed"),
        ("https://0x7f000001/", "malformed"),
        ("https://0x7f.0.0.0x1/", "malformed"),
        ("https://0177.0.0.1/", "malformed"),
        ("https://127.0.0.1.0x1/", "malformed"),
        ("https://[::1]/", "malformed"),
        ("https://[::ffff:127.0.0.1]/", "malformed"),
        ("https://[fe80::1%25eth0]/", "malformed"),
        ("https://%31%32%37.0.0.1/", "malformed"),
        ("https://shop..example/", "malformed"),
        ("https://-shop.example/", "malformed"),
        ("https://" + "a" * 64 + ".example/", "malformed"),
        ("https://shop.example/" + "a" * 500, "malformed"),
    ],
)
def test_anything_else_is_none_by_its_text(url: str, code: str) -> None:
    with pytest.raises(NotPublic) as told:
        judge_url(url)
    assert told.value.code == code


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/", "http://localhost:1/", "http://[::1]:5/", "https://localhost/"]
)
def test_this_machine_may_be_named_only_where_that_is_allowed(url: str) -> None:
    assert judge_url(url, loopback=True).is_this_machine
    with pytest.raises(NotPublic):
        judge_url(url)


@pytest.mark.parametrize("url", ["http://127.0.0.2/", "http://10.0.0.1/", "http://169.254.169.254/", "http://0/"])
def test_no_other_inside_may_be_named_even_then(url: str) -> None:
    with pytest.raises(NotPublic):
        judge_url(url, loopback=True)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104  (a value, not a place to listen at)
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.0.9",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2620:4f:8000::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2130706433",
        "0x7f000001",
        "127.1",
        "0177.0.0.1",
        "localhost",
        "",
    ],
)
def test_an_address_that_is_not_global_unicast_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_public(address)
    if address:
        # Neither alone nor beside a sound one.
        resolving(monkeypatch, [address], ["93.184.216.34", address])
        for _ in range(2):
            with pytest.raises(NotPublic) as told:
                require_public("https://shop.example/")
            assert told.value.code == "no_public_address"


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]
)
def test_global_unicast_is_public(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_public(address)
    resolving(monkeypatch, [address])
    assert require_public("https://shop.example/").host == "shop.example"


def test_a_host_that_is_unknown_and_one_that_lies_inside_are_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    said = set()
    for addresses in ([], ["10.0.0.7"]):
        resolving(monkeypatch, addresses)
        with pytest.raises(NotPublic) as told:
            require_public("https://ledger-db.internal.example/")
        said.add((told.value.code, str(told.value)))
    assert len(said) == 1


def test_a_name_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = threading.Event()
    monkeypatch.setattr(public_addresses, "LONGEST_LOOKUP_SECONDS", 0.1)
    monkeypatch.setattr(public_addresses.socket, "getaddrinfo", lambda *_, **__: silent.wait(5) and [])
    began = time.monotonic()
    assert look_up("shop.example", 443) == []
    assert time.monotonic() - began < 2
    silent.set()


def test_a_name_that_means_another_address_when_it_is_sent_to_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    monkeypatch.setattr(public_addresses, "PORTS", range(65536))
    with listening(answering(OK, heard)) as port:
        asked = resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
        require_public(f"https://shop.example:{port}/")
        with pytest.raises(NotPublic):
            post(f"https://shop.example:{port}/", body=b"{}", headers={})
        # Asked once for a connection: it goes where it was judged, and nothing asks for the name again.
        assert asked == ["shop.example", "shop.example"]
    assert heard == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of shop.example, signed by itself; with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    now = datetime.datetime.now(datetime.UTC)
    until = now + datetime.timedelta(days=1)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "shop.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.mark.parametrize("host", ["shop.example", "other.example"])
def test_the_name_and_not_the_address_is_what_tls_asks_for_and_proves(
    host: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if loopback were public: connected to the address, with the name in TLS's greeting and in the Host header."""
    context, heard, greeted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), [], []
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: greeted.append(name)

    def act(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            answering(OK, heard)(wrapped)

    monkeypatch.setattr(public_addresses, "PORTS", range(65536))
    monkeypatch.setattr(public_addresses, "is_public", lambda address: ipaddress.ip_address(address).is_loopback)
    asked = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.77"])
    with listening(act) as port, PublicSession() as session:
        session.verify = str(certificate)
        if host == "shop.example":
            assert session.post(f"https://{host}:{port}/hook", data=b"{}").text == "ok"
            assert f"Host: {host}:{port}".encode() in heard[0]
        else:
            with pytest.raises(public_http.requests.exceptions.SSLError):
                session.post(f"https://{host}:{port}/hook", data=b"{}")
            assert heard == []
    assert greeted == [host]
    assert asked == [host]


def test_a_certificate_that_nobody_vouches_for_is_none(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    # Neither does the environment vouch for it.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    def act(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True).close()

    monkeypatch.setattr(public_addresses, "PORTS", range(65536))
    monkeypatch.setattr(public_addresses, "is_public", lambda address: ipaddress.ip_address(address).is_loopback)
    resolving(monkeypatch, ["127.0.0.1"])
    with listening(act) as port, pytest.raises(NoAnswer) as told:
        post(f"https://shop.example:{port}/", body=b"{}", headers={})
    assert told.value.code == "tls_failed"


def test_an_answer_is_its_status_headers_and_beginning() -> None:
    with listening(answering(OK)) as port:
        answer = send(port)
    assert (answer.status, answer.body, answer.is_whole) == (200, b"ok", True)
    assert answer.headers["content-length"] == "2"


def test_what_somebody_sends_us_on_to_is_not_asked() -> None:
    heard: list[bytes] = []
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /inside\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 9000
    with listening(answering(moved, heard)) as port:
        answer = send(port)
    assert (answer.status, answer.is_whole) == (307, False)
    assert len(heard) == 1


def test_a_proxy_or_a_login_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login name password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    heard: list[bytes] = []
    through: list[bytes] = []
    with listening(answering(OK, heard)) as port, listening(answering(OK, through)) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        send(port)
    assert through == []
    assert b"Authorization" not in heard[0]


def test_a_long_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_http, "WHOLE_SECONDS", 2.0)
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 20_000
    with listening(answering(long)) as port:
        answer = send(port)
    assert (len(answer.body), answer.is_whole) == (MOST_READ, False)


def test_what_is_compressed_is_asked_for_plain_and_never_unpacked_beyond_its_beginning() -> None:
    heard: list[bytes] = []
    with listening(answering(OK, heard)) as port:
        send(port)
    assert b"Accept-Encoding: identity" in heard[0]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(trickling(b"X-A: b\r\n", b"HTTP/1.1 200 OK\r\n"), id="headers without end"),
        pytest.param(trickling(b"x"), id="a status line without end"),
        pytest.param(trickling(b"HTTP/1.1 100 Continue\r\n\r\n"), id="going on without end"),
        pytest.param(trickling(b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"), id="a body without end"),
        pytest.param(lambda connection: connection.recv(65536) and time.sleep(2), id="silence"),
        pytest.param(lambda _: time.sleep(2), id="no reading"),
    ],
)  # fmt: skip
def test_whoever_trickles_or_says_nothing_keeps_us_only_so_long(
    act: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_http, "WHOLE_SECONDS", 0.4)
    monkeypatch.setattr(public_http, "READ_SECONDS", 0.5)
    began = time.monotonic()
    with listening(act) as port, pytest.raises(NoAnswer):
        send(port)
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"", "broken_off"), (b"SSH-2.0-OpenSSH_9.6\r\n", "broken_off"), (b"\x00\x01", "broken_off")],
)
def test_what_is_no_http_is_no_answer(answer: bytes, code: str) -> None:
    with listening(answering(answer)) as port, pytest.raises(NoAnswer) as told:
        send(port)
    assert told.value.code == code


def test_nobody_listening_is_told_from_a_broken_answer() -> None:
    with listening(answering(OK)) as port:
        """Its port is free afterwards."""
    with pytest.raises(NoAnswer) as told:
        send(port)
    assert told.value.code == "not_connected"
