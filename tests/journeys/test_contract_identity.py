"""The API's contract, "Identity": who somebody is, from outside."""

import pytest
import requests

from tests.journeys.contract import (
    NAMES,
    PASSWORD,
    USER_FIELDS,
    Api,
    Person,
    code_in,
    fresh_email,
    fresh_phone,
    moment,
    problem,
)

pytestmark = pytest.mark.runner


def shape(answer: requests.Response) -> dict[str, set[str]]:
    return {name: set(part) for name, part in answer.json().items()}


def pair(answer: requests.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    # Beside what the contract asks for, what the device shows at its next sign-in.
    assert set(body) - {"device"} == {"access", "refresh", "expires_in_seconds"}
    assert body["expires_in_seconds"] == 600
    return body["access"], body["refresh"]


def status_of(api: Api, access: str) -> int:
    return api.get("/me", headers={"Authorization": f"Bearer {access}"}).status_code


def test_registering_answers_the_person_and_when_the_code_expires(api: Api) -> None:
    email = fresh_email()
    answer = api.register(email=email)
    assert answer.status_code == 201
    assert shape(answer) == {"user": USER_FIELDS, "verification": {"channel", "expires_at"}}
    user = answer.json()["user"]
    assert user["id"].startswith("usr_")
    assert (user["full_name"], user["email"], user["phone"]) == (NAMES[0], email, None)
    assert moment(answer.json()["verification"]["expires_at"])


def test_a_phone_registers_verifies_and_signs_in_as_an_address_does(api: Api) -> None:
    phone = fresh_phone()
    assert api.register(phone=phone).status_code == 201
    message = api.message(phone)
    assert message["channel"] == "sms"
    verified = api.post("/auth/verify", {"phone": phone, "code": code_in(message)})
    assert verified.status_code == 200
    assert shape(verified) == {"user": USER_FIELDS}
    access, _ = pair(api.sign_in(phone=phone))
    me = api.get("/me", headers={"Authorization": f"Bearer {access}"})
    assert set(me.json()) == USER_FIELDS
    assert (me.json()["phone"], me.json()["email"], me.json()["status"]) == (phone, None, "ACTIVE")
    assert me.json()["second_factor"] is False


def test_a_registration_without_a_way_to_be_reached_or_with_a_common_password_is_malformed(api: Api) -> None:
    good = {"full_name": NAMES[0], "email": fresh_email(), "password": PASSWORD}
    for change in (
        {"email": None},
        {"email": "asha"},
        {"email": "a@b@example.com"},
        {"email": None, "phone": "9876543210"},
        {"email": None, "phone": "+0123"},
        {"email": None, "phone": "+९१९८७६५४३२१०"},
        {"password": "password123"},
        {"password": "short"},
        {"password": ""},
        {"full_name": ""},
        {"full_name": "  "},
        {"full_name": "A" * 5000},
        {"full_name": ["Asha"]},
        {"email": {"a": 1}},
    ):
        body = {name: value for name, value in {**good, **change}.items() if value is not None}
        errors = problem(api.post("/auth/register", body), 400, "invalid")["errors"]
        assert errors, change


def test_a_taken_address_is_answered_alike_and_its_owner_is_told(api: Api, asha: Person) -> None:
    untouched = api.register("Zoya Khan", email=fresh_email("zoya"))
    taken = api.register("Zoya Khan", email=asha.address)
    assert taken.status_code == untouched.status_code == 201
    assert shape(taken) == shape(untouched)
    assert {name for name in taken.headers if name != "Content-Length"} == {
        name for name in untouched.headers if name != "Content-Length"
    }
    invented, real = taken.json()["user"], asha.get("/me").json()
    assert invented["id"].startswith("usr_")
    assert invented["id"] != real["id"]
    assert (invented["full_name"], invented["email"]) == ("Zoya Khan", asha.address)
    assert {name: invented[name] for name in ("status", "second_factor", "kyc_level")} == {
        name: untouched.json()["user"][name] for name in ("status", "second_factor", "kyc_level")
    }
    told = api.message(asha.address, number=2)
    assert not any(len(word) == 6 and word.isdigit() for word in told["text"].split())
    assert pair(api.sign_in(email=asha.address))


def test_a_code_activates_only_its_own_registration_and_drops_the_others(api: Api) -> None:
    email = fresh_email()
    registered = [api.post("/auth/register", {"full_name": name, "email": email, "password": f"{name} was here"})
                  for name in ("Zoya Khan", "Asha Rao")]  # fmt: skip
    api.message(email, number=2)
    # The newest comes first; a message does not say whose it is, so both orders must end alike.
    first, second = (code_in(message) for message in api.messages(email))
    verified = api.post("/auth/verify", {"email": email, "code": first})
    assert verified.status_code == 200
    mine = verified.json()["user"]
    assert mine["id"] in [answer.json()["user"]["id"] for answer in registered]
    problem(api.post("/auth/verify", {"email": email, "code": second}), 400, "code_invalid")
    other = next(name for name in ("Zoya Khan", "Asha Rao") if name != mine["full_name"])
    assert pair(api.sign_in(f"{mine['full_name']} was here", email=email))
    problem(api.sign_in(f"{other} was here", email=email), 401, "credentials_invalid")


def test_a_code_is_good_once_and_a_wrong_one_never(api: Api) -> None:
    email = fresh_email()
    api.register(email=email)
    code = api.code(email)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    problem(api.post("/auth/verify", {"email": email, "code": wrong}), 400, "code_invalid")
    for malformed in ("", "12345", "१२३४५६", None, int(code), [code]):
        answer = api.post("/auth/verify", {"email": email, "code": malformed})
        assert answer.status_code == 400, malformed
        problem(answer, 400, answer.json()["code"])
    problem(api.post("/auth/verify", {"email": fresh_email(), "code": code}), 400, "code_invalid")
    assert api.post("/auth/verify", {"email": email, "code": code}).status_code == 200
    problem(api.post("/auth/verify", {"email": email, "code": code}), 400, "code_invalid")


def test_too_many_tries_are_answered_429_even_with_the_right_code(api: Api) -> None:
    email = fresh_email()
    api.register(email=email)
    code = api.code(email)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    for _ in range(40):
        answer = api.post("/auth/verify", {"email": email, "code": wrong})
        if answer.status_code == 429:
            break
        problem(answer, 400, "code_invalid")
    assert answer.status_code == 429
    problem(answer, 429, answer.json()["code"])
    assert int(answer.headers["Retry-After"]) > 0
    assert api.post("/auth/verify", {"email": email, "code": code}).status_code in {400, 429}
    problem(api.sign_in(email=email), 403, "not_verified")


def test_asking_for_another_code_is_accepted_whoever_asks(api: Api, asha: Person) -> None:
    waiting = fresh_email()
    api.register(email=waiting)
    api.message(waiting)
    answers = [api.post("/auth/verify/resend", {"email": email}) for email in (waiting, asha.address, fresh_email())]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len({answer.text for answer in answers}) == 1
    assert api.post("/auth/verify/resend", {"phone": fresh_phone()}).status_code == 202
    code = api.code(waiting, number=2)
    assert api.post("/auth/verify", {"email": waiting, "code": code}).status_code == 200


def test_signing_in_tells_a_stranger_nothing(api: Api, asha: Person) -> None:
    wrong = problem(api.sign_in("not her password", email=asha.address), 401, "credentials_invalid")
    nobody = problem(api.sign_in(email=fresh_email()), 401, "credentials_invalid")
    assert {**wrong, "request_id": ""} == {**nobody, "request_id": ""}
    unverified = fresh_email()
    api.register(email=unverified)
    problem(api.sign_in("not her password", email=unverified), 401, "credentials_invalid")
    problem(api.sign_in(email=unverified), 403, "not_verified")
    for body in ({}, {"email": asha.address}, {"password": PASSWORD}, {"email": [], "password": PASSWORD}):
        problem(api.post("/auth/token", body), 400, "invalid")


def test_a_refresh_token_works_once_and_its_reuse_ends_the_whole_session(api: Api, asha: Person) -> None:
    other_device, _ = pair(api.sign_in(email=asha.address))
    access, refresh = pair(api.post("/auth/token/refresh", {"refresh": asha.refresh}))
    assert [status_of(api, token) for token in (asha.access, access)] == [200, 200]
    problem(api.post("/auth/token/refresh", {"refresh": asha.refresh}), 401, "token_invalid")
    problem(api.post("/auth/token/refresh", {"refresh": refresh}), 401, "token_invalid")
    assert [status_of(api, token) for token in (asha.access, access)] == [401, 401]
    assert status_of(api, other_device) == 200


def test_a_token_is_good_only_for_what_it_was_made_for(api: Api, asha: Person) -> None:
    for token in (asha.refresh, asha.access[:-4] + "AAAA", asha.access + "x", "x", "x y", ""):
        told = problem(
            api.get("/me", headers={"Authorization": f"Bearer {token}".encode("latin-1")}), 401, "token_invalid"
        )
        assert "ErrorDetail" not in told["detail"]
    problem(api.get("/me", headers={"Authorization": "Basic YTpi"}), 401, "not_authenticated")
    for refresh in (asha.access, "x"):
        problem(api.post("/auth/token/refresh", {"refresh": refresh}), 401, "token_invalid")
    problem(api.get("/me"), 401, "not_authenticated")
    assert api.get("/me").headers["WWW-Authenticate"].startswith("Bearer")


def test_logging_out_ends_the_session_and_no_other(api: Api, asha: Person) -> None:
    other, _ = pair(api.sign_in(email=asha.address))
    answer = asha.post("/auth/logout", {"refresh": asha.refresh}, key=None)
    assert (answer.status_code, answer.content) == (204, b"")
    problem(api.post("/auth/token/refresh", {"refresh": asha.refresh}), 401, "token_invalid")
    assert status_of(api, other) == 200
