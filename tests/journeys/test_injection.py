"""What Zoya writes into every field that takes words is shown as she wrote it, and does nothing anywhere."""

import csv
import io
import json
import logging
from typing import Final

import pytest
from django.contrib.admin import site as admin_site
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.utils import timezone
from django.utils.html import escape

from accounts import audit, lost_factors
from accounts.blocking import block, unblock
from accounts.envelopes import Envelope
from accounts.messages import code_message, notice_message, reset_message, step_up_message
from accounts.models import OutgoingMessage, Passkey, Session
from accounts.profile import rename
from accounts.senders import MailSender, Message
from ledger.exports import entries_as_csv
from tests.accounts.papers import kept_files, papers, picture
from tests.accounts.people import call, new_email, register_by_api, superuser
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, holder, merchant
from tests.payments.staff import browser_of, list_of, page_of
from wallet_project.kernel import logs

pytestmark = pytest.mark.usefixtures("database")

MARKUP: Final = "<script>alert('zoya')</script>"
BREAKOUT: Final = "\"'><img src=x onerror=alert(1)>"
# What each engine would make of it: 1234568, or the secret key.
TEMPLATE: Final = "{{ 1234567|add:1 }}${1234567+1}{% debug %}"
FORMULA: Final = '=HYPERLINK("https://zoya.example","Refund")'
WORDS: Final = f"{MARKUP} {BREAKOUT} {TEMPLATE}"
NAME: Final = f"{MARKUP[:30]} {BREAKOUT} {TEMPLATE[:20]}"
# A page that holds one of these has run into what she wrote.
ALIVE: Final = ("<script>alert", "<img src=x", "1234568", "SECRET_KEY")


class World:
    """Zoya and what she has written everywhere; Asha, whom she paid; and who of staff reads it all."""

    def __init__(self) -> None:
        self.root = superuser()
        self.zoya, self.asha = holder("Zoya Khan", rupees=900), holder(rupees=100)
        self.meera, self.shop = merchant(display_name=NAME)
        now = timezone.now()
        rename(user=self.zoya.user, full_name=NAME, now=now)
        sent = self.zoya.post("/wallet/transfer", {"to": self.asha.email, "amount": "5", "note": WORDS})
        assert sent.status_code == 201, sent.content
        self.receipt = str(sent.json()["id"])
        paid = {"merchant": self.shop.handle, "amount": "7", "note": FORMULA, "order_reference": WORDS[:64]}
        assert self.zoya.post("/wallet/pay", paid).status_code == 201
        assert (
            self.zoya.post("/wallet/transfer", {"to": self.asha.email, "amount": "1", "note": FORMULA}).status_code
            == 201
        )
        Passkey.objects.create(
            user=self.zoya.user, credential_id=b"z", public_key=b"k", name=WORDS[:60], created_at=now
        )
        Session.objects.filter(user=self.zoya.user).update(label=WORDS[:100])
        audit.record(
            "sign_in",
            now=now,
            actor=self.zoya.user,
            subject=self.zoya.user,
            reason=WORDS,
            object=WORDS[:60],
            said=WORDS,
        )
        for deed in (block, unblock):
            deed(user=self.asha.user, by=self.root, reason=WORDS, now=now)
        self.asha.user.refresh_from_db()
        lost_factors.ask(user=self.zoya.user, statement=WORDS, now=now)


@pytest.fixture(scope="module")
def world(database: object) -> World:
    return World()


def dead(page: str) -> None:
    assert [each for each in ALIVE if each in page] == []


@pytest.mark.parametrize("whose", ["zoya", "asha"])
def test_every_page_shows_it_as_words(world: World, whose: str) -> None:
    reader: Holder = getattr(world, whose)
    browser, seen = Browser(reader.user), ""
    paths = (
        *("/", "/history", "/add", "/send", "/pay", "/bank-accounts", "/limits", "/kyc"),
        *("/account", "/account/close", "/account/data", "/security", "/security/sessions"),
        *(f"/receipts/{world.receipt}", f"/history?q={FORMULA}"),
    )
    for path in paths:
        page = browser.open(path)
        assert page.status == 200, (path, page.status)
        assert page.inline == [], path
        dead(page.response.content.decode())
        seen += page.response.content.decode()
    # They did show it.
    assert escape(WORDS) in seen
    assert whose == "asha" or escape(NAME) in seen


def test_a_review_and_a_refusal_repeat_it_as_words(world: World) -> None:
    browser = Browser(world.asha.user)
    for path, filled in (
        ("/send", {"to": world.zoya.email, "amount": "1", "note": WORDS}),
        ("/pay", {"merchant": world.shop.handle, "amount": "1", "order_reference": WORDS[:64]}),
        ("/send", {"to": WORDS, "amount": BREAKOUT, "note": WORDS}),
        ("/bank-accounts/add", {"holder_name": WORDS[:90], "ifsc": BREAKOUT, "account_number": BREAKOUT}),
    ):
        page = browser.review(path, **filled)
        assert page.inline == []
        dead(page.response.content.decode())
        assert escape(BREAKOUT[:20]) in page.response.content.decode(), path
    for page in (
        browser.open(f"/history?q={WORDS}"),
        browser.open(f"/{WORDS}"),
        browser.open(f"/sign-in?next={WORDS}"),
    ):
        assert page.inline == []
        dead(page.response.content.decode())


def test_staff_read_it_as_words_on_every_page_of_the_admin(world: World) -> None:
    """Every model that the admin shows: its list, and whatever rows of it there are here."""
    browser, seen = browser_of(world.root), ""
    for model in admin_site._registry:
        rows = list(model._default_manager.order_by("-pk")[:3])
        for path in (list_of(model), *(page_of(row) for row in rows)):
            answer = browser.get(path)
            assert answer.status_code == 200, path
            page = answer.content.decode()
            dead(page)
            seen += page
    for path in (page_of(world.asha.user, "status"), page_of(world.zoya.wallet, "status"), "/audit/", "/admin/"):
        dead(browser.get(path).content.decode())
    for words in (WORDS, NAME):
        assert escape(words) in seen


def test_answers_of_the_api_are_no_pages(world: World) -> None:
    """Where a browser is led to one, it neither shows it as a page nor guesses that it is one."""
    headers = {"Authorization": f"Bearer {world.zoya.access}", "Accept": "text/html"}
    for path in (f"/transactions/{world.receipt}", "/transactions", "/me", "/me/data", f"/transactions/{MARKUP}"):
        answer = Client(raise_request_exception=False).get(f"/api/v1{path}", headers=headers)
        assert answer.headers["Content-Type"].startswith(("application/json", "application/problem+json")), path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@override_settings(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend")
def test_no_mail_has_her_headers_her_links_or_her_markup() -> None:
    mail.outbox = []
    names = (NAME, "Zoya www.zoya.example", "https://zoya.example", "Code 123456", "Zoya\r\nBcc: asha@example.com")
    for name in names:
        details = {"device": name, "address": name, "change": name, "reason": name, "payee": name, "amount": name}
        for message in (
            code_message(full_name=name, code="918273"),
            reset_message(full_name=name, code="918273", link="(our link)"),
            step_up_message(details=details, code="918273"),
            notice_message(details={"kind": "new_device", **details}),
        ):
            MailSender().send(envelope=envelope_to("asha@example.com"), message=message)
    assert len(mail.outbox) == 4 * len(names)
    for sent in mail.outbox:
        raw = sent.message().as_string()
        assert sent.recipients() == ["asha@example.com"]
        assert {"Bcc", "Cc"}.isdisjoint(sent.message().keys())
        assert sent.message().get_content_type() == "multipart/alternative"
        ((html, kind),) = sent.alternatives
        assert kind == "text/html"
        assert [each for each in ("://", "zoya.example", "123456", "<script", "<img") if each in str(html)] == []
        text = sent.body
        assert [each for each in ("<", "://", "zoya.example", "\n", "123456") if each in text] == [], raw
    with pytest.raises(ValueError, match="newline"):
        MailSender().send(
            envelope=envelope_to("asha@example.com\nBcc: ravi@example.com"), message=Message("Code", "text")
        )


def envelope_to(address: str) -> Envelope:
    return Envelope(by=OutgoingMessage.By.EMAIL, to=address, requested_at=timezone.now())


def test_a_name_that_would_be_a_header_is_no_name() -> None:
    for name in ("Zoya\r\nBcc: asha@example.com", "Zoya\nX: y", "Zoya\x00", "Zoya\u2028Khan", "Zoya\u202enahK"):
        answer = register_by_api(full_name=name, email=new_email("zoya"))
        assert (answer.status_code, answer.json()["code"]) in ((400, "invalid"), (400, "parse_error")), name


def test_no_cell_of_an_export_is_a_formula(world: World) -> None:
    rows = list(csv.reader(io.StringIO("".join(entries_as_csv()))))
    cells = [cell for row in rows for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))] == []
    assert f"'{FORMULA}" in cells
    # A quote or a line's end of hers makes no row of her own.
    assert {len(row) for row in rows} == {len(rows[0])}


def test_a_files_name_names_nothing_here(world: World) -> None:
    before = kept_files()
    for name in ("../../../etc/cron.d/zoya", f"{MARKUP}.jpg", "card.php\x00.jpg", "C:\\zoya.jpg", "card\r\nX: y.jpg"):
        file = SimpleUploadedFile("card.jpg", picture(), "image/jpeg")
        file._name = name  # type: ignore[attr-defined]  (Django would clean it before it is sent)
        someone = holder("Zoya Khan")
        headers = {"Authorization": f"Bearer {someone.access}"}
        answer = Client(raise_request_exception=False).post("/api/v1/me/kyc", papers(image=file), headers=headers)
        assert answer.status_code in (201, 400), answer.content
        assert "zoya" not in answer.content.decode().lower().replace("zoya khan", "")
    made = kept_files() - before
    assert made
    assert all(len(name) == len(next(iter(made))) and name.endswith(".sealed") for name in made)


def test_nobody_writes_a_line_of_the_log(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    root, stream = logging.getLogger(), io.StringIO()
    monkeypatch.setattr(root, "handlers", [])
    logs.configure(level=logging.INFO, stream=stream)
    forged = 'x\r\n{"event": "forged", "level": "info"}\u2028{"event": "forged"}'
    headers = {"User-Agent": forged, "X-Request-ID": forged, "X-Forwarded-For": forged}
    register_by_api(full_name=forged, email=new_email("zoya"))
    call("POST", "/auth/token", {"email": f"zoya@example.com{forged}", "password": forged}, **headers)
    call("GET", "/transactions/x%0D%0A%7B%22event%22%3A%20%22forged%22%7D", access=world.zoya.access, **headers)
    world.zoya.post("/wallet/transfer", {"to": world.asha.email, "amount": "1", "note": f"a\n{forged[3:]}"}, **headers)
    for deed in (block, unblock):
        deed(user=world.meera.user, by=world.root, reason=f"x\n{forged[3:40]}", now=timezone.now())
    lines = stream.getvalue().splitlines()
    assert len(lines) >= 6
    assert all(json.loads(line)["event"] != "forged" for line in lines)
