"""Registering, signing in and out in a browser; and the inbox of the demo."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.blocking import block, unblock
from accounts.models import InboxMessage, User
from tests.accounts.people import (
    PASSWORD,
    call,
    code_sent_to,
    deliver,
    messages_to,
    new_email,
    new_phone,
    person,
    register_by_api,
    superuser,
)

pytestmark = pytest.mark.usefixtures("database")


def browser() -> Client:
    return Client(raise_request_exception=False)


def signed_in(user: User) -> Client:
    client = browser()
    answer = client.post("/sign-in", {"address": user.email, "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (303, "/")
    return client


def is_signed_in(client: Client) -> bool:
    return client.get("/sign-in").status_code == 302


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_person_registers_verifies_signs_in_and_signs_out() -> None:
    client, email = browser(), new_email()
    assert client.get("/register").status_code == 200
    body = {"full_name": "Asha Rao", "address": email, "password": PASSWORD, "accepts": "on"}
    answer = client.post("/register", body)
    assert (answer.status_code, answer["Location"]) == (303, "/verify")
    assert email in text_of(client.get("/verify"))
    answer = client.post("/verify", {"address": email, "code": code_sent_to(email)})
    assert (answer.status_code, answer["Location"]) == (303, "/sign-in")
    answer = client.post("/sign-in", {"address": email.upper(), "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (303, "/")
    assert is_signed_in(client)
    assert client.get("/sign-out").status_code == 405
    assert is_signed_in(client)
    for _ in range(2):
        assert client.post("/sign-out")["Location"] == "/sign-in"
    assert not is_signed_in(client)


def test_a_phone_typed_with_spaces_registers() -> None:
    client, phone = browser(), new_phone()
    spaced = f"{phone[:3]} {phone[3:8]}-{phone[8:]}"
    body = {"full_name": "Ravi", "address": spaced, "password": PASSWORD, "accepts": "on"}
    assert client.post("/register", body).status_code == 303
    assert User.objects.get(phone=phone).full_name == "Ravi"


def test_a_taken_address_leads_to_the_same_page() -> None:
    asha, client = person(), browser()
    body = {"full_name": "Zoya", "address": asha.email, "password": PASSWORD, "accepts": "on"}
    answer = client.post("/register", body)
    assert (answer.status_code, answer["Location"]) == (303, "/verify")
    assert User.objects.filter(email=asha.email).count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"full_name": ""}, "full_name"),
        ({"full_name": "a\u202eb"}, "full_name"),
        ({"address": ""}, "address"),
        ({"address": "nobody"}, "address"),
        ({"address": "a\0@example.com"}, "address"),
        ({"password": "password123"}, "password"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 300}, "password"),
        ({"accepts": ""}, "accepts"),
    ],
)
def test_a_bad_registration_says_so_beside_its_field_and_never_shows_the_password(
    body: dict[str, str], field: str
) -> None:
    answer = browser().post(
        "/register",
        {"full_name": "Asha Rao", "address": new_email(), "password": PASSWORD, "accepts": "on", **body},
    )
    assert answer.status_code == 400
    assert answer.context["form"].errors.keys() == {field}
    assert PASSWORD not in text_of(answer)


def test_another_code_is_sent_or_not_with_the_same_words() -> None:
    email, client = new_email(), browser()
    register_by_api(email=email)
    said = []
    for address in (email, new_email("nobody")):
        answer = client.post("/verify/resend", {"address": address}, follow=True)
        said.append([str(message) for message in answer.context["messages"]])
    assert said[0] == said[1]
    deliver()
    assert len(messages_to(email)) == 2
    assert client.post("/verify/resend", {"address": "nonsense"})["Location"] == "/verify"


def test_signing_in_before_verifying_leads_to_the_code() -> None:
    email, client = new_email(), browser()
    register_by_api(email=email)
    answer = client.post("/sign-in", {"address": email, "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (303, "/verify")
    answer = client.post("/sign-in", {"address": email, "password": "not-the-password"})
    assert answer.status_code == 401


def test_a_wrong_password_an_unknown_address_and_a_blocked_person_stay_outside() -> None:
    asha, client = person(), browser()
    wrong = client.post("/sign-in", {"address": asha.email, "password": "not-her-password"})
    unknown = client.post("/sign-in", {"address": new_email("nobody"), "password": PASSWORD})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.context["form"].non_field_errors() == unknown.context["form"].non_field_errors()
    block(user=asha, by=superuser(), reason="Reported", now=timezone.now())
    assert client.post("/sign-in", {"address": asha.email, "password": PASSWORD}).status_code == 403
    assert not is_signed_in(client)


def test_the_session_id_changes_at_sign_in() -> None:
    asha, client = person(), browser()
    client.post("/register", {"full_name": "Asha", "address": new_email(), "password": PASSWORD, "accepts": "on"})
    before = client.cookies["session"].value
    client.post("/sign-in", {"address": asha.email, "password": PASSWORD})
    assert client.cookies["session"].value != before


def test_forms_need_their_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    for path in ("/register", "/sign-in", "/sign-out", "/verify/resend", "/verify"):
        assert client.post(path, {"address": new_email()}).status_code == 403
    page = text_of(client.get("/sign-in"))
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    body = {"address": person().email, "password": PASSWORD, "csrfmiddlewaretoken": token}
    assert client.post("/sign-in", body).status_code == 303


@pytest.mark.parametrize(
    ("wanted", "went"),
    [
        ("/history", "/history"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\\evil.example", "/"),
        ("", "/"),
    ],
)
def test_after_signing_in_a_person_goes_where_they_wanted_but_to_no_other_site(wanted: str, went: str) -> None:
    body = {"address": person().email, "password": PASSWORD, "next": wanted}
    assert browser().post("/sign-in", body)["Location"] == went


def test_the_sign_in_page_carries_where_to_go() -> None:
    assert 'name="next" value="/history"' in text_of(browser().get("/sign-in?next=/history"))


def test_a_blocked_persons_open_page_is_signed_out_and_stays_so() -> None:
    asha, root = person(), superuser()
    client = signed_in(asha)
    block(user=asha, by=root, reason="Reported", now=timezone.now())
    assert client.get("/history")["Location"].startswith("/sign-in")
    unblock(user=asha, by=root, reason="Cleared", now=timezone.now())
    assert client.get("/history")["Location"].startswith("/sign-in")


def test_pages_of_an_account_are_not_stored() -> None:
    for path in ("/register", "/sign-in"):
        assert "no-store" in browser().get(path)["Cache-Control"]


def test_the_inbox_lists_what_was_sent_newest_first() -> None:
    email, phone = new_email(), new_phone()
    register_by_api(email=email)
    deliver()
    register_by_api(phone=phone)
    deliver()
    answer = browser().get("/dev/inbox", headers={"Accept": "application/json"})
    assert answer["Content-Type"] == "application/json"
    sms, mail = json.loads(answer.content)[:2]
    assert (sms["channel"], sms["to"], sms["subject"]) == ("sms", phone, "")
    assert (mail["channel"], mail["to"]) == ("email", email)
    assert mail.keys() == {"channel", "to", "subject", "text", "sent_at"}
    assert mail["sent_at"].endswith("Z")
    assert datetime.fromisoformat(mail["sent_at"]) <= datetime.fromisoformat(sms["sent_at"])


def test_the_inbox_shows_people_a_page_that_escapes_what_it_shows() -> None:
    InboxMessage.objects.create(
        channel="email", to="x@example.com", subject="<b>", text="<script>alert(1)</script>", sent_at=timezone.now()
    )
    page = text_of(browser().get("/dev/inbox", headers={"Accept": "text/html,*/*;q=0.8"}))
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


def test_the_inbox_is_bounded() -> None:
    now = timezone.now() - timedelta(hours=1)
    InboxMessage.objects.bulk_create(InboxMessage(channel="sms", to=str(i), text="x", sent_at=now) for i in range(210))
    assert len(json.loads(browser().get("/dev/inbox", headers={"Accept": "application/json"}).content)) == 200


def test_there_is_no_inbox_outside_the_demo(settings: Any) -> None:
    settings.WALLET_DEMO = False
    assert browser().get("/dev/inbox").status_code == 404


def test_the_api_takes_no_page_session() -> None:
    client = signed_in(person())
    assert client.get("/api/v1/me").status_code == 401
    assert call("GET", "/me").status_code == 401
