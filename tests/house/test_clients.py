"""From where a request comes: what the other end says of itself is believed only as far as our proxies wrote it."""

from typing import Any

import pytest
from django.test import RequestFactory

from wallet_project.kernel.clients import LONGEST_AGENT, client_of, network_of

ZOYA, PROXY = "203.0.113.66", "10.0.0.1"
SPOOFED = "198.51.100.7"


def address(forwarded: str | None, *, seen: str = PROXY, **headers: str) -> str:
    if forwarded is not None:
        headers["X-Forwarded-For"] = forwarded
    return client_of(RequestFactory().get("/", REMOTE_ADDR=seen, headers=headers)).address


@pytest.mark.parametrize("forwarded", [None, SPOOFED, f"{SPOOFED}, {SPOOFED}", "nonsense", ""])
def test_without_proxies_nothing_that_is_said_changes_the_address(forwarded: str | None) -> None:
    assert address(forwarded, seen=ZOYA) == ZOYA
    others = dict.fromkeys(("Forwarded", "X-Real-IP", "Client-IP", "True-Client-IP", "X-Client-IP"), SPOOFED)
    assert address(forwarded, seen=ZOYA, **others) == ZOYA


@pytest.mark.parametrize("hops", [1, 2])
def test_behind_proxies_whatever_the_client_wrote_before_theirs_changes_nothing(settings: Any, hops: int) -> None:
    settings.TRUSTED_PROXIES = hops
    theirs = ", ".join([ZOYA, *["10.0.0.2"] * (hops - 1)])
    for written in ("", f"{SPOOFED}, ", f"{SPOOFED}, {SPOOFED}, 127.0.0.1, ", "nonsense, ", ",,, "):
        assert address(f"{written}{theirs}") == ZOYA


def test_what_did_not_come_through_all_proxies_is_whoever_is_seen(settings: Any) -> None:
    settings.TRUSTED_PROXIES = 2
    assert address(SPOOFED, seen=ZOYA) == ZOYA
    assert address(None, seen=ZOYA) == ZOYA


def test_one_address_is_spelt_in_one_way_and_nonsense_is_none(settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    assert address("::ffff:203.0.113.66") == ZOYA
    assert address("2001:DB8:0:0::1") == "2001:db8::1"
    for nonsense in ("nobody", "203.0.113.66:80", "1.2.3.4.5", "x" * 5000):
        assert address(nonsense) == ""
    # PostgreSQL's `inet` knows no scope ids.
    assert address("fe80::1%eth0") == "fe80::1"


def test_all_addresses_of_one_ipv6_network_are_counted_as_one_and_odd_ones_as_nobodys() -> None:
    theirs = {network_of(f"2001:db8:1:2:{part:x}::{part:x}%eth{part}") for part in range(1, 99)}
    assert theirs == {network_of("2001:db8:1:2::")} == {"2001:db8:1:2::/64"}
    assert network_of("2001:db8:1:3::1") == "2001:db8:1:3::/64"
    assert (network_of(ZOYA), network_of(f"::ffff:{ZOYA}")) == (ZOYA, ZOYA)
    assert {network_of(odd) for odd in ("", "%", "nobody", "1.2.3", "::%", f"{ZOYA}%eth0", "x" * 5000)} == {"unknown"}


def test_what_a_program_calls_itself_is_printable_and_short() -> None:
    request = RequestFactory().get("/", headers={"User-Agent": "Zoya\r\n\x1b[2J" + "x" * 999})
    agent = client_of(request).agent
    assert agent.startswith("Zoya[2Jx")
    assert len(agent) == LONGEST_AGENT
