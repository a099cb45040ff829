"""Zoya forges tokens, mixes them up and keeps old ones; and nothing that is remembered of a signature helps her."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import sessions, tokens
from accounts.addresses import any_address
from accounts.blocking import block
from accounts.factor_changes import take_all_away
from accounts.models import Session, User
from accounts.password_change import change_password
from accounts.password_reset import reset_password
from tests.accounts.factors import enrolled
from tests.accounts.people import PASSWORD, call, code_sent_to, person, superuser, tokens_of
from tests.payments.cast import holder

pytestmark = pytest.mark.usefixtures("database")
ANOTHER_PASSWORD = "seven-brown-otters"


def me(access: str) -> int:
    return int(call("GET", "/me", access=access).status_code)


def key_of(kid: str = "test") -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(settings.TOKEN_SIGNING_KEYS[kid])


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """No library that refuses to make what an attacker makes."""
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{base64url(sign(signed.encode()))}"


@pytest.fixture(scope="module")
def claims(database: object) -> dict[str, Any]:
    """What a good token of Asha's says."""
    return dict(jwt.decode(tokens_of(person())["access"], options={"verify_signature": False}))


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_what_verifies_our_tokens_signs_none_as_a_shared_secret(claims: dict[str, Any], alg: str) -> None:
    public = key_of().public_key()
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    point = base64url(public.public_bytes_raw())
    for secret in (
        public.public_bytes_raw(),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        point.encode(),
        json.dumps({"kty": "OKP", "crv": "Ed25519", "x": point}).encode(),
        b"",
    ):
        token = by_hand({"alg": alg, "kid": "test"}, claims, lambda text: hmac.new(secret, text, digest).digest())  # noqa: B023
        assert me(token) == 401


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None])
def test_a_token_that_nobody_signed_is_no_token(claims: dict[str, Any], alg: str | None) -> None:
    signature = key_of().sign
    assert me(by_hand({"alg": alg, "kid": "test"}, claims, lambda _: b"")) == 401
    # Ours, under a name that says there is none to check.
    assert me(by_hand({"alg": alg, "kid": "test"}, claims, signature)) == 401
    assert me(by_hand({"alg": "EdDSA", "kid": "test"}, claims, signature)) == 200


def test_a_token_brings_no_key_along(claims: dict[str, Any]) -> None:
    zoyas = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64url(zoyas.public_key().public_bytes_raw())}
    for extra in (
        {"jwk": jwk},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/key"},
        {"kid": "../../../dev/null"},
        {"kid": "' UNION SELECT 'x"},
        {"kid": ["test"]},
        {"kid": 1},
        {"kid": None},
        {"crit": ["exp"]},
    ):
        assert me(by_hand({"alg": "EdDSA", "kid": "test", **extra}, claims, zoyas.sign)) == 401


def test_of_two_keys_each_verifies_its_own_and_the_one_that_was_taken_away_nothing(settings: Any) -> None:
    """By turns in time: another key is put before it, then the old one is taken away, then put back."""
    asha = person()
    old = tokens_of(asha)
    assert me(old["access"]) == 200
    both = {"newer": b"n" * 32, **settings.TOKEN_SIGNING_KEYS}
    settings.TOKEN_SIGNING_KEYS = both
    new = tokens_of(asha)
    assert jwt.get_unverified_header(new["access"])["kid"] == "newer"
    assert (me(old["access"]), me(new["access"])) == (200, 200)
    said = dict(jwt.decode(old["access"], options={"verify_signature": False}))
    # What one key signed is not the other's.
    assert me(by_hand({"alg": "EdDSA", "kid": "test"}, said, key_of("newer").sign)) == 401
    settings.TOKEN_SIGNING_KEYS = {"newer": both["newer"]}
    # Though its signature was found good a moment ago, and is remembered.
    assert (me(old["access"]), me(new["access"])) == (401, 200)
    assert call("POST", "/auth/token/refresh", {"refresh": old["refresh"]}).status_code == 401
    assert call("POST", "/auth/token/refresh", {"refresh": new["refresh"]}).status_code == 200


def reset(user: User) -> None:
    call("POST", "/auth/password/reset", {"email": user.email})
    code = code_sent_to(str(user.email))
    reset_password(address=any_address(str(user.email)), code=code, new_password=ANOTHER_PASSWORD, now=timezone.now())


def lose_factors(user: User) -> None:
    with transaction.atomic():
        take_all_away(user=user, by=superuser(), now=timezone.now())


ACTS: dict[str, Callable[[User], object]] = {
    "blocked": lambda user: block(user=user, by=superuser(), reason="Reported", now=timezone.now()),
    "password changed": lambda user: change_password(
        user=user, old_password=PASSWORD, new_password=ANOTHER_PASSWORD, now=timezone.now()
    ),
    "password reset": reset,
    "factor added": enrolled,
    "factors taken away": lose_factors,
    "signed out elsewhere": lambda user: sessions.end(
        user=user, session=Session.objects.get(user=user, revoked_at=None).public_id, now=timezone.now()
    ),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
def test_it_acts_on_the_next_call_though_the_signature_is_remembered(act: Callable[[User], object]) -> None:
    asha = person()
    pair = tokens_of(asha)
    assert me(pair["access"]) == 200
    act(asha)
    assert me(pair["access"]) in (401, 403)
    assert call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]}).status_code in (401, 403)
    # Nor does anything that is undone bring them back to life.
    User.objects.filter(pk=asha.pk).update(status=User.Status.ACTIVE)
    assert me(pair["access"]) == 401


def test_no_more_signatures_are_remembered_than_may_and_none_that_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = tokens._verified
    assert remembered.cache_info().maxsize == tokens.MOST_REMEMBERED_SIGNATURES <= 4096
    access = tokens_of(person())["access"]
    before = remembered.cache_info().currsize
    assert me(access) == 200
    assert remembered.cache_info().currsize == min(before + 1, tokens.MOST_REMEMBERED_SIGNATURES)
    for number in range(20):
        assert me(f"{access[:-8]}{number:08d}") == 401
    assert remembered.cache_info().currsize == min(before + 1, tokens.MOST_REMEMBERED_SIGNATURES)
    # What is remembered is the very token, to its last letter.
    checked = []
    verify = jwt.decode
    monkeypatch.setattr(jwt, "decode", lambda *args, **named: checked.append(args) or verify(*args, **named))
    assert me(access) == 200
    assert checked == []
    assert me(f"{access}=") == 401


def test_who_asks_is_one_query_of_a_transfer_and_nothing_else_asks_the_database_for_it() -> None:
    """Session, person, their actor, their version and their block: all of it is one statement."""
    asha, ravi = holder("Asha Rao", rupees=100), holder("Ravi Iyer")
    for _ in range(2):
        with (
            CaptureQueriesContext(connections["default"]) as asked,
            CaptureQueriesContext(connections["posting"]) as moved,
        ):
            assert asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1"}).status_code == 201
        # The posting's own statements are counted in tests/ledger; they are pipelined past Django's log.
        assert [query["sql"] for query in moved] == ["BEGIN", "COMMIT"]
        (only,) = [query["sql"] for query in asked]
        assert "FROM accounts_session s JOIN accounts_user u" in only
