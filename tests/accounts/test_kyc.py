"""Who people are: what they submit, who decides, what it changes, and what is left of it."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import IntegrityError, connections
from django.test import override_settings
from django.utils import timezone

from accounts import kyc, kyc_images, kyc_providers, kyc_records
from accounts.kyc import decide, decide_as_provider, submit, take_back
from accounts.kyc_records import REFUSED_LIFETIME, open_submission
from accounts.models import KycSubmission, SecurityEvent, User
from accounts.purging import purge
from accounts.roles import AUDITOR, SUPPORT
from payments import closing
from tests.accounts.at_once import in_thread, wait_until_somebody_waits
from tests.accounts.papers import kept_files, papers, passport, picture, send, sent
from tests.accounts.people import PASSWORD, deliver, messages_to
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, holder
from tests.payments.staff import page_of, press, staff
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")
# The day itself in India is not yet the day in London.
EVENING = datetime.fromisoformat("2026-03-31T20:00:00+00:00")


@pytest.fixture(scope="module")
def dev(database: object) -> User:
    browser = staff(SUPPORT)
    return User.objects.get(pk=browser.session["_auth_user_id"])


@pytest.fixture(scope="module")
def ravi(database: object) -> Holder:
    return holder("Ravi Iyer")


def say(submission: KycSubmission, by: User, *, approve: bool = True, reason: str = "Seen") -> None:
    decide(submission=submission, by=by, approve=approve, reason=reason, now=timezone.now())


def level_of(person: Holder) -> str:
    return str(person.get("/me").json()["kyc_level"])


def may_send(person: Holder, rupees: str) -> str:
    """The refusal that they would get, or nothing."""
    ravi = holder("Ravi Iyer").wallet.public_id
    answer = person.post("/wallet/transfer?dry_run=true", {"to": ravi, "amount": rupees})
    return str(answer.json().get("code", ""))


def test_support_decides_on_the_page_and_the_level_changes_the_limits_at_once_and_back() -> None:
    asha, browser = holder(rupees=300_000), staff(SUPPORT)
    page = Browser(asha.user)
    form = page.open("/kyc").form
    filled = {name: value for name, value in papers().items() if name != "image"}
    with open_file() as image:
        answer = page.client.post("/kyc", {**form.fields, **filled, "image": image})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/kyc")
    assert "We are looking at your document" in page.open("/kyc").text
    submission = KycSubmission.objects.get(user=asha.user)
    assert (send(asha).status_code, send(asha).json()["code"]) == (409, "kyc_pending")
    assert may_send(asha, "250000") == "limit_exceeded"

    said = press(browser, submission, "decide", decision="approve", reason="A clear copy")
    assert said == f"{submission.public_id} is approved."
    assert (level_of(asha), may_send(asha, "250000")) == ("FULL", "")
    assert asha.get("/limits").json()["holding"]["most"]["amount"] == "10000000.00"
    assert "Your identity is confirmed" in page.open("/kyc").text
    assert (send(asha).status_code, send(asha).json()["code"]) == (409, "kyc_complete")
    deliver()
    assert "Decision: approved. Reason: A clear copy." in messages_to(asha.email)[0].text

    said = press(browser, submission, "take-back", reason="The photograph was of somebody else")
    assert said == f"The approval of {submission.public_id} is taken back."
    assert (level_of(asha), may_send(asha, "250000")) == ("MINIMUM", "limit_exceeded")
    assert "could not accept your passport" in page.open("/kyc").text
    again = sent(asha)
    assert again.pk != submission.pk
    acts = SecurityEvent.objects.filter(object=submission.public_id).exclude(kind="kyc.looked_at").order_by("pk")
    assert [(each.kind, each.result, each.reason) for each in acts] == [
        ("kyc.submitted", "DONE", ""),
        ("kyc.approved", "DONE", "A clear copy"),
        ("kyc.taken_back", "DONE", "The photograph was of somebody else"),
    ]


def open_file() -> Any:
    file = BytesIO(picture())
    file.name = "../../etc/cron.d/card.php"
    return file


def test_a_refused_document_may_be_sent_again_and_its_person_reads_why(dev: User) -> None:
    asha = holder()
    first = sent(asha)
    say(first, dev, approve=False, reason="It cannot be read")
    told = asha.get("/me/kyc").json()
    assert (told["kyc_level"], told["may_submit"]) == ("MINIMUM", True)
    assert (told["submission"]["status"], told["submission"]["reason"]) == ("REFUSED", "It cannot be read")
    # Of the number no more than its end, and no page at all of the rest.
    assert told["submission"]["number"] == f"••••{first.last_four}"
    assert set(told["submission"]) == {
        *("id", "status", "full_name", "document", "number", "submitted_at", "decided_at", "reason")
    }
    second = sent(asha)
    for late in (True, False):
        with pytest.raises(Refusal, match="kyc_over"):
            say(first, dev, approve=late)
    with pytest.raises(Refusal, match="kyc_over"):
        take_back(submission=second, by=dev, reason="Not approved yet", now=timezone.now())
    assert level_of(asha) == "MINIMUM"


def test_nobody_decides_about_themselves_or_without_the_right_or_without_a_reason(dev: User) -> None:
    asha = holder()
    submission = sent(asha)
    anil = User.objects.get(pk=staff(AUDITOR, "Anil Gupta").session["_auth_user_id"])
    hers = SecurityEvent.objects.filter(object=submission.public_id, result="REFUSED")
    for by in (anil, asha.user, holder("Zoya Khan").user):
        for act in (say, lambda it, who: take_back(submission=it, by=who, reason="Mine", now=timezone.now())):
            with pytest.raises(Refusal, match="permission_denied"):
                act(submission, by)
        assert set(hers.filter(actor=by).values_list("kind", flat=True)) == {"kyc.decided", "kyc.taken_back"}
        with pytest.raises(Refusal, match="permission_denied"):
            open_submission(submission=submission, by=by, now=timezone.now())
        with pytest.raises(Refusal, match="permission_denied"):
            kyc_records.open_image(submission=submission, by=by, now=timezone.now())
    for reason in ("", "  ", "x" * 501, "4111 1111 1111 1111"):
        with pytest.raises(Refusal, match="invalid"):
            say(submission, dev, reason=reason)
    # Dev has a wallet too.
    browser = staff(SUPPORT)
    me = User.objects.get(pk=browser.session["_auth_user_id"])
    own = submit(user=me, now=timezone.now(), **{**papers(), "born": date(1990, 1, 1)})
    answer = browser.post(page_of(own, "decide"), {"decision": "approve", "reason": "It is me"})
    assert (answer.status_code, "not allowed" in answer.content.decode().lower()) == (200, True)
    own.refresh_from_db()
    assert (own.status, User.objects.get(pk=me.pk).kyc_level) == ("PENDING", "MINIMUM")


def test_of_many_who_decide_at_once_one_does(dev: User) -> None:
    asha = holder()
    submission = sent(asha)

    def one(number: int) -> str:
        try:
            say(submission, dev, approve=bool(number % 2))
        except Refusal as refusal:
            return refusal.code
        finally:
            connections.close_all()
        return "decided"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(one, range(4)))
    assert outcomes == ["decided", "kyc_over", "kyc_over", "kyc_over"]
    submission.refresh_from_db()
    assert (level_of(asha) == "FULL") == (submission.status == "APPROVED")


def test_one_document_serves_one_person(dev: User) -> None:
    number = passport()
    asha, zoya = holder(), holder("Zoya Khan")
    hers = sent(asha, number=number)
    # It is not told that the document is known: that would say who is a customer.
    theirs = sent(zoya, number=f" {number[:4].lower()}-{number[4:]} ")
    assert bytes(hers.number_index) == bytes(theirs.number_index)
    say(hers, dev)
    opened = open_submission(submission=theirs, by=dev, now=timezone.now())
    assert opened is not None
    assert (opened.number, opened.is_of_another) == (number, True)
    with pytest.raises(Refusal) as refused:
        say(theirs, dev)
    assert refused.value.errors[0]["field"] == "decision"
    assert SecurityEvent.objects.get(object=theirs.public_id, kind="kyc.approved").reason == "document_of_another"
    assert (level_of(asha), level_of(zoya)) == ("FULL", "MINIMUM")
    # And the database.
    with pytest.raises(IntegrityError, match="kyc_document_of_one_person"):
        KycSubmission.objects.filter(pk=theirs.pk).update(status="APPROVED", decided_at=timezone.now())
    # The same digits on another kind of document are another number.
    assert kyc.index_of(document="PAN", number=number) != bytes(hers.number_index)
    # Whoever loses it leaves it to its owner.
    take_back(submission=hers, by=dev, reason="It is Zoya's", now=timezone.now())
    say(theirs, dev)
    assert (level_of(asha), level_of(zoya)) == ("MINIMUM", "FULL")


def test_what_names_or_places_a_person_is_nowhere_in_the_database_in_the_open(superuser_url: str) -> None:
    number, asha = passport(), holder()
    sent(asha, number=number, address="77, Quiet Orchard Lane, Mysuru", born="1987-06-05")
    with psycopg.connect(superuser_url) as server:
        tables = [name for (name,) in server.execute("SELECT relname FROM pg_stat_user_tables").fetchall()]
        for secret in (number, number[1:], "Quiet Orchard", "1987-06-05"):
            for table in tables:
                found = server.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', [f"%{secret}%"])
                assert found.fetchone() == (0,), (table, secret)
                hidden = f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s'
                assert server.execute(hidden, [f"%{secret.encode().hex()}%"]).fetchone() == (0,), (table, secret)


def test_what_a_body_slips_in_changes_nothing() -> None:
    asha, zoya = holder(), holder("Zoya Khan")
    answer = send(
        zoya, user=asha.user.pk, user_id=asha.user.pk, status="APPROVED", kyc_level="FULL", level="FULL",
        provider="nobody", decided_at="2026-01-01T00:00:00Z", decided_by=zoya.user.pk, image_name="x.sealed",
        reason="Of course",
    )  # fmt: skip
    assert answer.status_code == 201
    written = KycSubmission.objects.get(user=zoya.user)
    assert (written.status, written.provider, written.decided_at, written.reason) == ("PENDING", "support", None, "")
    assert (level_of(zoya), KycSubmission.objects.filter(user=asha.user).exists()) == ("MINIMUM", False)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"born": "2008-04-02"}, "born"),
        ({"born": "2030-01-01"}, "born"),
        ({"born": "1899-01-01"}, "born"),
        ({"born": "yesterday"}, "born"),
        ({"full_name": " "}, "full_name"),
        ({"full_name": "x" * 101}, "full_name"),
        ({"address": "Here"}, "address"),
        ({"address": "x" * 301}, "address"),
        ({"address": "12, Lake Road,\u202e Bengaluru\x07"}, "address"),
        ({"document": "AADHAAR", "number": "234123412346"}, "document"),
        ({"document": "PAN", "number": "ABCCE1234F"}, "number"),
        ({"document": "DRIVING_LICENCE", "number": "MH12 18990012345"}, "number"),
        ({"document": "VOTER_ID", "number": "QRS456789"}, "number"),
        ({"number": "M12345678"}, "number"),
        ({"number": "M123456\u0665"}, "number"),
        ({"number": "M" * 900}, "number"),
    ],
)
def test_what_cannot_be_is_refused_and_no_refusal_repeats_it(
    ravi: Holder, changed: dict[str, str], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.kyc_api.timezone.now", lambda: EVENING)
    before = kept_files()
    answer = send(ravi, **changed)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field), answer.content
    assert changed.get("number", "no number") not in answer.content.decode()
    assert kept_files() == before


def test_whoever_is_eighteen_today_where_they_live_may_submit() -> None:
    asha = holder()
    filled = {**papers(), "born": date(2008, 4, 1)}
    with pytest.raises(Refusal, match="invalid"):
        submit(user=asha.user, now=EVENING - timedelta(hours=2), **filled)
    assert submit(user=asha.user, now=EVENING, **filled).status == "PENDING"


def test_a_submission_that_comes_while_the_account_closes_is_refused(
    superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha, before = holder(), kept_files()
    answers: list[Any] = []
    told, threads = closing.notify, []

    def while_closing(**named: Any) -> Any:
        """Nothing is written yet: now the document comes."""
        threads.append(in_thread(answers, lambda: send(asha)))
        wait_until_somebody_waits(superuser_url)
        return told(**named)

    monkeypatch.setattr(closing, "notify", while_closing)
    assert asha.post("/me/close", {"password": PASSWORD}).status_code == 204
    threads[0].join(20)
    assert (answers[0].status_code, answers[0].json()["code"]) == (403, "blocked")
    assert not KycSubmission.objects.filter(user=asha.user).exists()
    assert kept_files() == before


def test_an_account_that_closes_while_a_submission_comes_leaves_nothing_of_it(
    superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha = holder()
    answers: list[Any] = []
    threads: list[threading.Thread] = []
    index_of = kyc.index_of

    def while_submitting(**named: Any) -> bytes:
        """Under the person's lock, and nothing is written yet: now they close."""
        threads.append(in_thread(answers, lambda: asha.post("/me/close", {"password": PASSWORD})))
        wait_until_somebody_waits(superuser_url)
        return index_of(**named)

    monkeypatch.setattr(kyc, "index_of", while_submitting)
    submitted = submit(user=asha.user, now=timezone.now(), **{**papers(), "born": date(1990, 1, 1)})
    threads[0].join(20)
    assert answers[0].status_code == 204
    submitted.refresh_from_db()
    assert (submitted.status, submitted.full_name, submitted.image_name) == ("REFUSED", "", "")
    assert (bytes(submitted.number_sealed), bytes(submitted.born_sealed)) == (b"", b"")
    assert User.objects.get(pk=asha.user.pk).status == "CLOSED"


def test_two_submissions_at_once_are_one(superuser_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asha, before = holder(), kept_files()
    answers: list[Any] = []
    threads: list[threading.Thread] = []
    index_of = kyc.index_of

    def meanwhile(**named: Any) -> bytes:
        monkeypatch.setattr(kyc, "index_of", index_of)
        threads.append(in_thread(answers, lambda: send(asha)))
        wait_until_somebody_waits(superuser_url)
        return index_of(**named)

    monkeypatch.setattr(kyc, "index_of", meanwhile)
    submit(user=asha.user, now=timezone.now(), **{**papers(), "born": date(1990, 1, 1)})
    threads[0].join(20)
    assert (answers[0].status_code, answers[0].json()["code"]) == (409, "kyc_pending")
    assert KycSubmission.objects.filter(user=asha.user).count() == 1
    assert len(kept_files() - before) == 1


def test_refused_documents_and_nameless_images_are_swept_and_others_stay(dev: User) -> None:
    asha, ravi = holder(), holder("Ravi Iyer")
    refused, waiting = sent(asha), sent(ravi)
    say(refused, dev, approve=False)
    orphan = kyc_images.keep(drawn=b"drawn")
    now = timezone.now()
    purge(now=now + REFUSED_LIFETIME - timedelta(hours=1))
    assert KycSubmission.objects.get(pk=refused.pk).image_name == refused.image_name
    assert orphan not in kept_files()
    assert {refused.image_name, waiting.image_name} <= kept_files()
    purge(now=now + REFUSED_LIFETIME + timedelta(hours=1))
    gone = KycSubmission.objects.get(pk=refused.pk)
    assert (bytes(gone.number_sealed), bytes(gone.address_sealed), gone.full_name, gone.last_four) == (b"", b"", "", "")
    assert refused.image_name not in kept_files()
    assert waiting.image_name in kept_files()
    assert open_submission(submission=gone, by=dev, now=now) is None


def test_documents_and_images_are_sealed_anew_and_the_old_key_may_go(dev: User) -> None:
    number, asha = passport(), holder()
    submission = sent(asha, number=number)
    old, new = settings.DATA_KEYS[0], secrets.token_bytes(32)
    with override_settings(DATA_KEYS=[new, old]):
        call_command("reseal", stdout=StringIO())
    submission.refresh_from_db()
    with override_settings(DATA_KEYS=[new]):
        opened = open_submission(submission=submission, by=dev, now=timezone.now())
        assert opened is not None
        assert (opened.number, opened.born, opened.is_of_another) == (number, "1990-01-01", False)
        assert kyc_records.open_image(submission=submission, by=dev, now=timezone.now()).startswith(b"\xff\xd8")
    with override_settings(DATA_KEYS=[old, new]):
        call_command("reseal", stdout=StringIO())
    assert not list(Path(settings.DOCUMENTS_DIR).glob("*.draft"))


def test_a_provider_decides_by_its_own_reference_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        def hand_over(self, *, submission: KycSubmission) -> str:
            return f"their-{submission.public_id}"

    monkeypatch.setitem(kyc_providers.PROVIDERS, "elsewhere", Elsewhere())  # type: ignore[arg-type]
    monkeypatch.setattr(kyc_providers, "CHOSEN", "elsewhere")
    asha = holder()
    submission = sent(asha)

    def answers(**changed: Any) -> None:
        named = {"provider": "elsewhere", "reference": f"their-{submission.public_id}", **changed}
        decide_as_provider(approve=True, reason="Matched", now=timezone.now(), **named)

    for changed in ({"reference": ""}, {"reference": "their-other"}, {"provider": "support"}):
        with pytest.raises(Refusal, match="not_found"):
            answers(**changed)
    answers()
    assert level_of(asha) == "FULL"
    with pytest.raises(Refusal, match="kyc_over"):
        answers()
    event = SecurityEvent.objects.get(object=submission.public_id, kind="kyc.approved")
    assert (event.actor, event.details) == (None, {"provider": "elsewhere"})


def test_the_page_keeps_what_was_typed_and_says_what_is_wrong_with_it() -> None:
    asha = holder()
    page = Browser(asha.user)
    form = page.open("/kyc").form
    empty = page.send(form)
    assert (empty.status, "Choose a photograph or scan." in empty.text) == (400, True)
    with open_file() as image:
        filled = {**papers(born="2020-01-01"), "image": image}
        answer = page.client.post("/kyc", {**form.fields, **filled})
    assert (answer.status_code, "You must be 18 or older." in answer.content.decode()) == (400, True)
    assert "12, Lake Road" in answer.content.decode()
    assert not KycSubmission.objects.filter(user=asha.user).exists()
