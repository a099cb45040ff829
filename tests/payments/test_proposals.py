"""Four eyes: what one of staff proposes another decides, once, and a crash in between loses and doubles nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, connections, transaction
from django.utils import timezone

from accounts.blocking import block
from accounts.models import SecurityEvent, User
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD, appoint
from ledger.models import Transaction
from payments import proposal_kinds, proposals
from payments.models import Proposal
from payments.proposal_handling import Handling
from payments.proposals import decide, finish, finish_agreed, propose
from payments.refund_proposals import HANDLING
from payments.refunds import give_back_as_agreed
from tests.ledger.factories import UserFactory
from tests.payments.adding import topped_up
from tests.payments.cast import Holder, holder
from tests.payments.sandbox_process import Sandbox
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import Money

pytestmark = pytest.mark.usefixtures("database")
WHY, AGREED = "She paid twice", "Seen on the statement"


def staff(group: str = SUPPORT_LEAD) -> User:
    user = UserFactory.create(full_name="Lata Sen")
    with transaction.atomic():
        appoint(user=user, group=group)
    return User.objects.get(pk=user.pk)


def refund(subject: str, by: User, amount: str = "250.00", reason: str = WHY) -> Proposal:
    terms = {"amount": amount, "currency": "INR"}
    return propose(kind="REFUND", subject=subject, terms=terms, by=by, reason=reason, now=timezone.now())


def say(proposal: Proposal, by: User, *, approve: bool = True) -> Proposal:
    return decide(proposal=proposal, by=by, approve=approve, reason=AGREED, now=timezone.now())


def given_back(asha: Holder) -> list[Transaction]:
    return list(Transaction.objects.filter(type="REFUND", from_wallet=asha.wallet))


@pytest.fixture
def asha(sandbox: Sandbox) -> tuple[Holder, str]:
    """With 250 rupees, and the top-up that brought them."""
    person = holder()
    return person, topped_up(sandbox, person)[0]


def crash(*_: object, **__: object) -> Any:
    raise RuntimeError("the process died here")


def test_a_crash_before_or_after_the_money_moved_gives_back_once(
    asha: tuple[Holder, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    person, subject = asha
    first, second, third = staff(), staff(), staff()
    proposal = refund(subject, first)
    with monkeypatch.context() as before:
        before.setitem(proposal_kinds.HANDLINGS, "REFUND", replace(HANDLING, carry_out=crash))  # type: ignore[arg-type]
        with pytest.raises(RuntimeError):
            say(proposal, second)
        assert finish_agreed(now=timezone.now()) == 0
    proposal.refresh_from_db()
    assert (proposal.status, proposal.decided_by, person.balance) == ("PROPOSED", second, 250)
    # A yes is final.
    with pytest.raises(Refusal, match="proposal_over"):
        say(proposal, third, approve=False)
    with monkeypatch.context() as after:
        after.setattr(proposals, "_end", crash)
        with pytest.raises(RuntimeError):
            say(proposal, third)
    proposal.refresh_from_db()
    assert (proposal.status, person.balance) == ("PROPOSED", 0)
    assert finish_agreed(now=timezone.now() + timedelta(days=30)) == 1
    proposal.refresh_from_db()
    (moved,) = given_back(person)
    assert (proposal.status, proposal.outcome, proposal.decided_by) == ("DONE", moved.public_id, second)
    assert finish(proposal=proposal, now=timezone.now()).status == "DONE"
    assert finish_agreed(now=timezone.now()) == 0
    assert len(given_back(person)) == 1
    events = SecurityEvent.objects.filter(object=proposal.public_id).order_by("pk")
    assert list(events.values_list("kind", "result", "actor", "subject", "reason")) == [
        ("proposal.made", "DONE", first.pk, None, WHY),
        ("proposal.done", "DONE", second.pk, first.pk, AGREED),
    ]


def test_a_blocked_or_dismissed_proposer_has_nothing_done(asha: tuple[Holder, str]) -> None:
    person, subject = asha
    first, second, root = staff(), staff(), UserFactory.create(full_name="Root", is_superuser=True, is_staff=True)
    proposal = refund(subject, first)
    block(user=first, by=root, reason="Left", now=timezone.now())
    with pytest.raises(Refusal, match="permission_denied"):
        say(proposal, second)
    proposal.refresh_from_db()
    assert (proposal.status, proposal.decided_by, person.balance) == ("PROPOSED", None, 250)
    assert say(proposal, second, approve=False).status == "REFUSED"
    assert given_back(person) == []


def test_nobody_decides_what_they_proposed_not_even_a_superuser_or_the_application(asha: tuple[Holder, str]) -> None:
    person, subject = asha
    root = UserFactory.create(full_name="Root", is_superuser=True, is_staff=True)
    proposal = refund(subject, root)
    for by in (root, staff(SUPPORT), staff(AUDITOR), person.user):
        for approve in (True, False):
            with pytest.raises(Refusal, match="permission_denied"):
                say(proposal, by, approve=approve)
        tried = SecurityEvent.objects.filter(kind="proposal.decided", object=proposal.public_id, actor=by)
        assert set(tried.values_list("result", "reason")) == {("REFUSED", "permission_denied")}
    # The deed that moves the money asks for itself.
    for decided_by in (None, root):
        proposal.decided_by = decided_by
        with pytest.raises(Refusal, match="permission_denied"):
            give_back_as_agreed(proposal=proposal, amount=Money.parse("250"), now=timezone.now())
    # And the database.
    for alone, name in (
        ({"decided_by": root, "decided_at": timezone.now()}, "proposal_four_eyes"),
        ({"status": "DONE"}, "proposal_done_by_two"),
    ):
        with pytest.raises(IntegrityError, match=name):
            Proposal.objects.filter(pk=proposal.pk).update(**alone)
    for statement in (
        "UPDATE payments_proposal SET proposed_by_id = 1",
        "UPDATE payments_proposal SET terms = '{}'",
        "DELETE FROM payments_proposal",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
            cursor.execute(statement)
    assert (person.balance, Proposal.objects.get(pk=proposal.pk).status) == (250, "PROPOSED")


def test_what_nobody_decides_in_a_week_is_over_and_may_be_proposed_again(asha: tuple[Holder, str]) -> None:
    person, subject = asha
    first, second = staff(), staff()
    proposal = refund(subject, first)
    assert refund(subject, first).pk == proposal.pk
    for other in ({"by": second}, {"by": first, "amount": "1.00"}):
        with pytest.raises(Refusal, match="proposal_exists"):
            refund(subject, **other)  # type: ignore[arg-type]
    late = proposal.proposed_at + timedelta(days=7)
    # What other tests left open may be over a moment before.
    finish_agreed(now=late - timedelta(seconds=1))
    proposal.refresh_from_db()
    assert proposal.status == "PROPOSED"
    with pytest.raises(Refusal, match="proposal_over"):
        decide(proposal=proposal, by=second, approve=True, reason=AGREED, now=late)
    proposal.refresh_from_db()
    assert (proposal.status, proposal.decided_by, person.balance) == ("EXPIRED", None, 250)
    again = refund(subject, second, "100.00")
    assert say(again, first).status == "DONE"
    assert person.balance == 150


def test_what_makes_no_sense_is_not_proposed_and_nothing_is_decided_without_a_reason(asha: tuple[Holder, str]) -> None:
    person, subject = asha
    first, second = staff(), staff()
    for change, code in (
        ({"subject": "txn_00000000000000000000000000"}, "not_found"),
        ({"amount": "250.01"}, "refund_exceeds"),
        ({"reason": " "}, "invalid"),
        ({"reason": "x" * 301}, "invalid"),
        ({"by": staff(SUPPORT)}, "permission_denied"),
        ({"by": person.user}, "permission_denied"),
    ):
        with pytest.raises(Refusal, match=code):
            refund(**{"subject": subject, "by": first, **change})  # type: ignore[arg-type]
    assert not Proposal.objects.filter(subject=subject).exists()
    proposal = refund(subject, first)
    with pytest.raises(Refusal, match="invalid"):
        decide(proposal=proposal, by=second, approve=True, reason=" ", now=timezone.now())
    assert person.balance == 250


def test_an_act_that_moves_no_money_is_done_in_the_transaction_that_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []

    def carry_out(proposal: Proposal, now: object) -> str:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO django_content_type (app_label, model) VALUES ('x', %s)", [proposal.public_id])
        made.append(proposal.public_id)
        if proposal.subject == "bad":
            raise Refusal("invalid", "It makes no sense any more.")
        return "it"

    handling = Handling(
        may_propose="payments.set_limitrule", judge=lambda *_: None, told=lambda _: "x", carry_out=carry_out
    )
    monkeypatch.setitem(proposal_kinds.HANDLINGS, "LIMIT", handling)  # type: ignore[arg-type]
    first, second = staff(), staff()

    def wanted(subject: str) -> Proposal:
        return propose(kind="LIMIT", subject=subject, terms={}, by=first, reason=WHY, now=timezone.now())

    good = wanted("good")
    assert _at_once(lambda: say(good, second).status, 4) <= {"DONE", "proposal_over"}
    assert (made, Proposal.objects.get(pk=good.pk).outcome) == ([good.public_id], "it")
    bad = say(wanted("bad"), second)
    assert (bad.status, bad.decision) == ("REFUSED", f"{AGREED} · Not done: It makes no sense any more.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT model FROM django_content_type WHERE app_label = 'x'")
        assert cursor.fetchall() == [(good.public_id,)]


def _at_once(act: Callable[[], str], times: int) -> set[str]:
    def one(_: int) -> str:
        try:
            return act()
        except Refusal as refusal:
            return refusal.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return set(pool.map(one, range(times)))
