"""Leads of support read what consumers could not take in, and have it taken in again; each press is on record."""

from collections.abc import Iterator

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import SecurityEvent
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD
from payments import replaying
from tests.accounts.people import person
from tests.payments.consuming import Stream, cured, event, new_subject, take_effect
from tests.payments.staff import list_of, page_of, press, shown, staff
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.events.dead_letters import Place, bury, waiting
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.events.recording import register
from wallet_project.kernel.models import ConsumedEvent, DeadLetter

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def stream(superuser_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    stream = Stream(servers="", superuser_url=superuser_url)
    stream.create_table()
    monkeypatch.setattr(replaying, "GROUPS", {stream.group: take_effect})
    yield stream
    cured.clear()


@pytest.fixture
def poison(stream: Stream) -> Event:
    return event(new_subject(), poison="<b>me</b>")


@pytest.fixture
def letter(stream: Stream, poison: Event) -> DeadLetter:
    with transaction.atomic():
        bury(
            group_id=register(group=stream.group, now=timezone.now()),
            event_id=poison.id,
            place=Place(partition=3, offset=14, value=poison.as_bytes()),
            error=ValueError("<b>boom</b>"),
            tries=5,
            now=timezone.now(),
        )
    return DeadLetter.objects.get(event_id=poison.id)


def recorded(letter: DeadLetter) -> list[tuple[str, str, str]]:
    rows = SecurityEvent.objects.filter(kind="dead_letter.replayed", object=str(letter.event_id)).order_by("pk")
    return [(row.result, row.reason, row.details.get("outcome", "")) for row in rows]


def test_a_lead_reads_why_and_has_it_taken_in_once(stream: Stream, poison: Event, letter: DeadLetter) -> None:
    lead = staff(SUPPORT_LEAD)
    listed = shown(lead.get(list_of(DeadLetter), {"q": str(poison.id), "state": "waiting"}))
    assert str(poison.id) in listed
    assert str(poison.id) not in shown(lead.get(list_of(DeadLetter), {"state": "replayed"}))
    assert "0 dead letters" in shown(lead.get(list_of(DeadLetter), {"q": "no id"}))
    page = shown(lead.get(page_of(letter)))
    assert "&lt;b&gt;boom" in page
    assert "<b>" not in page
    assert poison.subject in page
    assert "Try again" in page

    assert press(lead, letter, "replay").startswith("It still fails: Poison at ")
    assert not stream.effects([poison])
    cured.add(poison.id)
    assert press(lead, letter, "replay") == f"{stream.group} has taken it in."
    assert press(lead, letter, "replay").startswith("Nothing to do")

    assert stream.effects([poison]) == {poison.id: 1}
    assert "Try again" not in shown(lead.get(page_of(letter)))
    assert recorded(letter) == [("DONE", "", "failed"), ("DONE", "", "done")]


@pytest.mark.parametrize("group", [SUPPORT, AUDITOR])
def test_nobody_else_reads_or_presses(stream: Stream, poison: Event, letter: DeadLetter, group: str) -> None:
    browser = staff(group)
    cured.add(poison.id)

    assert browser.get(list_of(DeadLetter)).status_code == 403
    assert browser.get(page_of(letter)).status_code == 403
    assert browser.post(page_of(letter, "replay")).status_code == 403
    assert not stream.effects([poison])


def test_the_deed_itself_asks_for_the_right_and_for_a_group_that_there_is(
    letter: DeadLetter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refusal, match="permission_denied"):
        replaying.replay_letter(letter=letter, by=person(), now=timezone.now())
    assert [row[:2] for row in recorded(letter)] == [("REFUSED", "permission_denied")]

    monkeypatch.setattr(replaying, "GROUPS", {})
    lead = staff(SUPPORT_LEAD)
    assert press(lead, letter, "replay") == f"There is no group {letter.group.name} any more."


def discards(letter: DeadLetter) -> list[tuple[str, str]]:
    rows = SecurityEvent.objects.filter(kind="dead_letter.discarded", object=str(letter.event_id)).order_by("pk")
    return [(row.result, row.reason) for row in rows]


def test_a_lead_discards_what_can_never_be_taken_in_and_says_why(
    stream: Stream, poison: Event, letter: DeadLetter
) -> None:
    lead = staff(SUPPORT_LEAD)
    assert "Write why." in shown(lead.post(page_of(letter, "discard"), {"reason": " "}))
    assert len(waiting(group=stream.group)) == 1

    assert press(lead, letter, "discard", reason="A forgery") == "It is discarded."

    page = shown(lead.get(page_of(letter)))
    assert "A forgery" in page
    assert "Try again" not in page
    assert "Discard it" not in page
    assert str(poison.id) in shown(lead.get(list_of(DeadLetter), {"state": "discarded"}))
    assert str(poison.id) not in shown(lead.get(list_of(DeadLetter), {"state": "waiting"}))
    assert waiting(group=stream.group) == []
    # Neither again, nor taken in after all; and its event is as done with as it was.
    cured.add(poison.id)
    assert "It waits no more" in shown(lead.post(page_of(letter, "discard"), {"reason": "Again"}))
    assert press(lead, letter, "replay").startswith("Nothing to do")
    assert not stream.effects([poison])
    assert ConsumedEvent.objects.get(group=letter.group, event_id=poison.id).is_dead
    assert discards(letter) == [("DONE", "A forgery")]


@pytest.mark.parametrize("group", [SUPPORT, AUDITOR])
def test_who_may_not_replay_may_not_discard(stream: Stream, letter: DeadLetter, group: str) -> None:
    assert staff(group).post(page_of(letter, "discard"), {"reason": "Mine"}).status_code == 403
    with pytest.raises(Refusal, match="permission_denied"):
        replaying.discard_letter(letter=letter, by=person(), reason="Mine", now=timezone.now())
    assert discards(letter) == [("REFUSED", "permission_denied")]
    assert len(waiting(group=stream.group)) == 1


def test_a_discard_has_a_reason_of_some_length(letter: DeadLetter) -> None:
    for reason in ("", "  ", "x" * 201):
        with pytest.raises(Refusal, match="invalid"):
            replaying.discard_as_operator(letter=letter, reason=reason, now=timezone.now())
    letter.refresh_from_db()
    assert letter.discarded_at is None
