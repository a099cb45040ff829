"""Signing in, refreshing, signing out; and that no other token opens the door."""

import base64
import json
import statistics
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tokens
from accounts.authentication import AccessTokenAuthentication
from accounts.blocking import block, unblock
from accounts.models import Session, User
from accounts.sign_in import LONGEST_SESSION, refresh
from tests.accounts.people import (
    PASSWORD,
    call,
    code_sent_to,
    new_email,
    new_phone,
    person,
    register_by_api,
    superuser,
    tokens_of,
    verify_with,
)
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")


def sign_in(**body: Any) -> Any:
    return call("POST", "/auth/token", {"password": PASSWORD, **body})


def me(access: str) -> Any:
    return call("GET", "/me", access=access)


def told(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def forged(payload: dict[str, Any], *, key: Any, algorithm: str, kid: str | None = "test") -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def public_key_text() -> bytes:
    """What an attacker knows: the bytes that verify."""
    return Ed25519PrivateKey.from_private_bytes(settings.TOKEN_SIGNING_KEYS["test"]).public_key().public_bytes_raw()


def test_me_says_who_is_signed_in() -> None:
    asha = person("Asha Rao", email=new_email(), phone=new_phone())
    pair = tokens_of(asha)
    assert pair["expires_in_seconds"] == 600
    answer = me(pair["access"])
    assert answer.status_code == 200
    assert answer.json() == {
        "id": asha.public_id,
        "full_name": "Asha Rao",
        "email": asha.email,
        "phone": asha.phone,
        "status": "ACTIVE",
        "second_factor": False,
        "kyc_level": "MINIMUM",
    }


def test_a_person_signs_in_by_phone_and_by_their_email_in_any_case() -> None:
    asha = person(email=new_email(), phone=new_phone())
    assert asha.email is not None
    assert sign_in(phone=asha.phone).status_code == 200
    assert sign_in(email=asha.email.upper()).status_code == 200


def test_tokens_are_eddsa_with_a_kid_and_tell_user_session_and_version() -> None:
    asha = person()
    pair = tokens_of(asha)
    session = Session.objects.get(user=asha)
    for type_, lifetime in (("access", 600), ("refresh", 30 * 86400)):
        header, claims = jwt.get_unverified_header(pair[type_]), claims_of(pair[type_])
        assert header == {"alg": "EdDSA", "typ": "JWT", "kid": "test"}
        assert claims["sub"] == asha.public_id
        assert claims["sid"] == session.public_id
        assert claims["ver"] == asha.token_version
        assert claims["typ"] == type_
        assert claims["exp"] - claims["iat"] == lifetime
        assert claims.keys() == {"sub", "sid", "ver", "typ", "jti", "iat", "exp", "iss", "aud"}


def test_a_wrong_password_and_an_unknown_address_are_told_alike() -> None:
    asha = person()
    for body in (
        {"email": asha.email, "password": "not-her-password"},
        {"email": new_email("nobody")},
        {"phone": new_phone()},
        {"email": asha.email, "password": "x" * 999},
    ):
        assert told(sign_in(**body)) == (401, "credentials_invalid")


@pytest.mark.usefixtures("real_hashes")
def test_an_unknown_address_takes_as_long_as_a_wrong_password() -> None:
    """In the processor's time, which does not grow with whatever else the machine is doing."""
    asha = person()

    def seconds(**body: Any) -> float:
        took = []
        for _ in range(5):
            started = time.process_time()
            sign_in(**body)
            took.append(time.process_time() - started)
        return statistics.median(took)

    started = time.process_time()
    make_password(PASSWORD)
    one_hash = time.process_time() - started
    known = seconds(email=asha.email, password="not-her-password")
    unknown = seconds(email=new_email("nobody"))
    assert abs(known - unknown) < one_hash * 0.6


def test_an_unverified_person_is_told_so_only_with_the_right_password() -> None:
    email = new_email()
    register_by_api(email=email)
    assert told(sign_in(email=email)) == (403, "not_verified")
    assert told(sign_in(email=email, password="not-the-password")) == (401, "credentials_invalid")


def test_an_unverified_second_address_signs_nobody_in() -> None:
    email, phone = new_email(), new_phone()
    register_by_api(email=email, phone=phone)
    verify_with(email, code_sent_to(email))
    assert sign_in(email=email).status_code == 200
    assert told(sign_in(phone=phone)) == (403, "not_verified")


def test_a_blocked_person_is_told_so_only_with_the_right_password() -> None:
    asha = person()
    block(user=asha, by=superuser(), reason="Asked by the police", now=timezone.now())
    assert told(sign_in(email=asha.email)) == (403, "blocked")
    assert told(sign_in(email=asha.email, password="not-the-password")) == (401, "credentials_invalid")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "asha@example.com", "phone": "+919876543210"},
        {"email": "asha@example.com", "password": None},
        {"email": "asha@example.com", "password": 12345},
        {"email": "asha@example.com", "password": ""},
        {"email": ["asha@example.com"]},
        {"email": "asha"},
        {"phone": "0000"},
        {"email": "asha@example.com", "otp": 123456},
        {"email": "asha@example.com", "password": "x" * 1001},
    ],
)
def test_a_malformed_sign_in_is_invalid(body: dict[str, Any]) -> None:
    assert told(sign_in(**body)) == (400, "invalid")


def test_authentication_asks_one_query_and_brings_the_actor() -> None:
    asha = person()
    access = tokens_of(asha)["access"]
    door = AccessTokenAuthentication()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        user = door.get_user(door.get_validated_token(access.encode()))
        assert user.actor.user_id == asha.pk
    assert len(queries) == 1


def test_a_refresh_gives_a_new_pair_and_keeps_the_session() -> None:
    pair = tokens_of(person())
    answer = call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]})
    assert answer.status_code == 200
    fresh = answer.json()
    assert fresh.keys() == {"access", "refresh", "expires_in_seconds"}
    assert fresh["refresh"] != pair["refresh"]
    assert claims_of(fresh["access"])["sid"] == claims_of(pair["access"])["sid"]
    assert me(fresh["access"]).status_code == me(pair["access"]).status_code == 200


def test_a_refresh_token_used_twice_ends_the_session_and_its_access_tokens() -> None:
    pair = tokens_of(person())
    fresh = call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]}).json()
    assert told(call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]})) == (401, "token_invalid")
    assert told(call("POST", "/auth/token/refresh", {"refresh": fresh["refresh"]})) == (401, "token_invalid")
    assert told(me(fresh["access"])) == (401, "token_invalid")
    assert told(me(pair["access"])) == (401, "token_invalid")


def test_one_device_signed_out_by_reuse_leaves_the_others_alone() -> None:
    asha = person()
    phone, laptop = tokens_of(asha), tokens_of(asha)
    for _ in range(2):
        call("POST", "/auth/token/refresh", {"refresh": phone["refresh"]})
    assert me(phone["access"]).status_code == 401
    assert me(laptop["access"]).status_code == 200


def test_logout_ends_the_session_and_twice_is_as_good_as_once() -> None:
    pair = tokens_of(person())
    for _ in range(2):
        answer = call("POST", "/auth/logout", {"refresh": pair["refresh"]})
        assert (answer.status_code, answer.content) == (204, b"")
    assert told(me(pair["access"])) == (401, "token_invalid")
    assert told(call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]})) == (401, "token_invalid")


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/token/refresh"])
def test_garbage_is_no_refresh_token(path: str) -> None:
    pair = tokens_of(person())
    for token in ("garbage", "a.b.c", pair["access"], pair["refresh"][:-4] + "AAAA", "x" * 3000):
        assert told(call("POST", path, {"refresh": token})) == (401, "token_invalid")
    for token in (None, 5, ["x"], "", "x" * 5000):
        assert told(call("POST", path, {"refresh": token})) == (400, "invalid")
    assert me(pair["access"]).status_code == 200


def test_a_refresh_token_is_no_access_token() -> None:
    assert told(me(tokens_of(person())["refresh"])) == (401, "token_invalid")


def test_no_token_and_another_scheme_are_unauthenticated() -> None:
    assert told(call("GET", "/me")) == (401, "not_authenticated")
    assert told(call("GET", "/me", Authorization="Basic YTpi")) == (401, "not_authenticated")
    assert call("GET", "/me")["WWW-Authenticate"] == 'Bearer realm="api"'
    for header in ("Bearer", "Bearer a b", "Bearer \u00e9", "Bearer " + "x" * 3000):
        assert call("GET", "/me", Authorization=header).status_code == 401


def test_forged_tokens_are_refused() -> None:
    claims = claims_of(tokens_of(person())["access"])
    ours = Ed25519PrivateKey.from_private_bytes(settings.TOKEN_SIGNING_KEYS["test"])
    theirs = Ed25519PrivateKey.generate()
    assert me(forged(claims, key=ours, algorithm="EdDSA")).status_code == 200
    none = ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (json.dumps({"alg": "none", "kid": "test"}).encode(), json.dumps(claims).encode(), b"")
    )
    for token in (
        none,
        forged(claims, key=theirs, algorithm="EdDSA"),
        forged(claims, key=ours, algorithm="EdDSA", kid="unknown"),
        forged(claims, key=ours, algorithm="EdDSA", kid=None),
        forged(claims, key=public_key_text(), algorithm="HS256"),
        forged({**claims, "aud": "another"}, key=ours, algorithm="EdDSA"),
        forged({**claims, "iss": "another"}, key=ours, algorithm="EdDSA"),
        forged({**claims, "exp": claims["iat"] - 1}, key=ours, algorithm="EdDSA"),
        forged({**claims, "sub": person().public_id}, key=ours, algorithm="EdDSA"),
        forged({**claims, "sid": "ses_nonsense"}, key=ours, algorithm="EdDSA"),
        forged({**claims, "jti": "not hex"}, key=ours, algorithm="EdDSA"),
        forged({**claims, "ver": "x"}, key=ours, algorithm="EdDSA"),
        forged({name: claims[name] for name in claims if name != "exp"}, key=ours, algorithm="EdDSA"),
        forged({name: claims[name] for name in claims if name != "ver"}, key=ours, algorithm="EdDSA"),
    ):
        assert told(me(token)) == (401, "token_invalid")


def test_an_access_token_dies_after_ten_minutes_though_its_signature_is_remembered() -> None:
    access, now = tokens_of(person())["access"], timezone.now()
    tokens.decode(access, type=tokens.ACCESS, now=now)
    with pytest.raises(tokens.TokenRefused):
        tokens.decode(access, type=tokens.ACCESS, now=now + tokens.ACCESS_LIFETIME)


def test_a_second_key_verifies_what_it_signed_and_the_first_one_signs(settings: Any) -> None:
    pair = tokens_of(person())
    settings.TOKEN_SIGNING_KEYS = {"newer": b"n" * 32, **settings.TOKEN_SIGNING_KEYS}
    fresh = call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]}).json()
    assert jwt.get_unverified_header(fresh["access"])["kid"] == "newer"
    assert me(fresh["access"]).status_code == me(pair["access"]).status_code == 200


def test_a_blocked_person_is_refused_at_the_next_call_and_stays_signed_out_afterwards() -> None:
    asha, root = person(), superuser()
    pair = tokens_of(asha)
    block(user=asha, by=root, reason="Reported", now=timezone.now())
    assert told(me(pair["access"])) == (403, "blocked")
    assert told(call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]})) == (403, "blocked")
    unblock(user=asha, by=root, reason="A mistake", now=timezone.now())
    assert told(me(pair["access"])) == (401, "token_invalid")
    assert told(call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]})) == (401, "token_invalid")
    assert me(tokens_of(asha)["access"]).status_code == 200


def test_a_newer_token_version_kills_older_tokens() -> None:
    asha = person()
    pair = tokens_of(asha)
    User.objects.filter(pk=asha.pk).update(token_version=1)
    assert told(me(pair["access"])) == (401, "token_invalid")
    assert told(call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]})) == (401, "token_invalid")


def test_a_session_ends_after_180_days_however_often_it_is_renewed() -> None:
    pair, now = tokens_of(person()), timezone.now()
    while now < timezone.now() + LONGEST_SESSION - timedelta(days=25):
        now += timedelta(days=25)
        pair["refresh"] = refresh(refresh=pair["refresh"], now=now).refresh
    with pytest.raises(Refusal, match="token_invalid"):
        refresh(refresh=pair["refresh"], now=timezone.now() + LONGEST_SESSION + timedelta(hours=1))
