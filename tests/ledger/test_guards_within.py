"""Guards and companions run inside the posting: on its connection, in its transaction, under its locks."""

import threading
from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest
from django.db import IntegrityError, connections, transaction

from accounts.models import Actor, InboxMessage
from ledger.models import IdempotencyKey, Transaction
from ledger.movements import Group, GuardView, Outcome
from ledger.posting import post, preview, tally
from tests.environment import Database
from tests.ledger.factories import Member, UserFactory, asha, group, key, meera, ravi, transfer
from tests.ledger.proofs import assert_books_hold
from wallet_project.kernel.database import is_posting
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module", autouse=True)
def books_hold_at_the_end(database: Database) -> Iterator[None]:
    yield
    assert_books_hold(database.superuser_url)


def session_of(alias: str) -> tuple[int, str]:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_setting('transaction_isolation')")
        return tuple(cursor.fetchone())


def write_to(whom: Member) -> InboxMessage:
    return InboxMessage.objects.create(
        channel="email", to=whom.user.email or "", text="paid", sent_at="2026-01-01T00:00:00Z"
    )


def written_to(whom: Member) -> int:
    return InboxMessage.objects.filter(to=whom.user.email).count()


# What `within` sees and writes


def test_a_companion_is_read_and_written_on_the_posting_connection_in_its_transaction() -> None:
    sender, recipient = asha(balance="10"), ravi()
    seen: list[object] = []

    def within(outcomes: Sequence[Outcome]) -> None:
        assert is_posting()
        wallet = Wallet.objects.get(pk=sender.wallet.pk)
        message = write_to(sender)
        seen.extend([wallet._state.db, message._state.db, wallet.balance])
        seen.append(Transaction.objects.get(pk=outcomes[0].transactions[0]).status)
        seen.append(connections["posting"].in_atomic_block)
        seen.append(session_of("posting")[1])
        # Another session knows nothing yet: the default connection's.
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT balance FROM wallets_wallet WHERE id = %s", [sender.wallet.pk])
            seen.append(cursor.fetchone()[0])

    post([group(sender, transfer(sender, recipient, "4"))], within=within)
    assert seen == ["posting", "posting", Decimal(6), "SUCCESS", True, "repeatable read", Decimal(10)]
    assert not is_posting()
    assert (written_to(sender), InboxMessage.objects.filter(to=sender.user.email).get()._state.db) == (1, "default")


def test_related_rows_and_saves_go_to_the_posting_connection_too() -> None:
    sender, recipient = asha(balance="10"), ravi()
    loaded_before = InboxMessage.objects.get(pk=write_to(sender).pk)
    seen = []

    def within(outcomes: Sequence[Outcome]) -> None:
        loaded_before.text = "saved inside"
        loaded_before.save()
        actor = Actor.objects.select_for_update(no_key=True).get(pk=sender.actor.pk)
        assert actor.user is not None
        seen.extend([loaded_before._state.db, actor._state.db, actor.user._state.db])
        raise LookupError("never mind")

    with pytest.raises(LookupError, match="never mind"):
        post([group(sender, transfer(sender, recipient, "4"))], within=within)
    assert seen == ["posting"] * 3
    assert InboxMessage.objects.get(pk=loaded_before.pk).text == "paid"


def test_other_threads_keep_to_their_own_connection_meanwhile() -> None:
    sender, recipient = asha(balance="10"), ravi()
    seen: list[object] = []

    def elsewhere() -> None:
        seen.extend([is_posting(), Wallet.objects.get(pk=sender.wallet.pk)._state.db])
        connections["default"].close()

    def within(outcomes: Sequence[Outcome]) -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(10)

    post([group(sender, transfer(sender, recipient, "4"))], within=within)
    assert seen == [False, "default"]


def test_a_companion_that_refuses_takes_the_money_and_the_key_back_with_it() -> None:
    sender, recipient = asha(balance="10"), ravi()
    asked = [group(sender, transfer(sender, recipient, "4"), key=key("k"))]

    def within(outcomes: Sequence[Outcome]) -> None:
        write_to(sender)
        raise LookupError("no such order")

    with pytest.raises(LookupError, match="no such order"):
        post(asked, within=within)
    assert (sender.balance, written_to(sender)) == (10, 0)
    assert not IdempotencyKey.objects.filter(initiator=sender.actor).exists()
    (outcome,) = post(asked, within=lambda _: write_to(sender) and None)
    assert (outcome.kind, sender.balance, written_to(sender)) == ("posted", 6, 1)


def test_a_companion_hears_of_every_group_of_its_list_refusals_and_replays_too() -> None:
    sender, recipient = asha(balance="10"), ravi()
    heard: list[list[str]] = []
    asked = [
        group(sender, transfer(sender, recipient, "4"), key=key("k")),
        group(sender, transfer(sender, recipient, "400"), key=key("much")),
    ]
    for _ in range(2):
        answered = post(asked, within=lambda outcomes: heard.append([outcome.kind for outcome in outcomes]))
        assert [outcome.kind for outcome in answered] == heard[-1]
    assert heard == [["posted", "refused"], ["replayed", "replayed"]]


def test_a_companion_may_fail_inside_a_savepoint_and_go_on() -> None:
    sender, recipient = asha(balance="10"), ravi()

    def within(outcomes: Sequence[Outcome]) -> None:
        with pytest.raises(IntegrityError), transaction.atomic(using="posting"):
            Actor.objects.create(kind="PERSON", user=sender.user)
        write_to(sender)

    (outcome,) = post([group(sender, transfer(sender, recipient, "4"))], within=within)
    assert (outcome.kind, sender.balance, written_to(sender)) == ("posted", 6, 1)


def test_a_companion_is_written_once_although_the_posting_ran_twice() -> None:
    sender, recipient = asha(balance="10"), ravi()
    runs = []

    def within(outcomes: Sequence[Outcome]) -> None:
        runs.append(outcomes)
        write_to(sender)
        if len(runs) == 1:
            with connections["posting"].cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE 'came between' USING ERRCODE = 'serialization_failure'; END $$")

    before = tally.reruns
    (outcome,) = post([group(sender, transfer(sender, recipient, "4"))], within=within)
    assert (outcome.kind, len(runs), tally.reruns - before) == ("posted", 2, 1)
    assert (written_to(sender), sender.balance) == (1, 6)


# Where `post` refuses to start


@pytest.mark.parametrize("alias", ["default", "posting", "owner", "auditor"])
def test_posting_refuses_to_start_inside_an_atomic_block_of_any_alias(alias: str) -> None:
    sender, recipient = asha(balance="10"), ravi()
    with transaction.atomic(using=alias), pytest.raises(RuntimeError, match=alias):
        post([group(sender, transfer(sender, recipient, "4"))])
    assert sender.balance == 10
    assert post([group(sender, transfer(sender, recipient, "4"))])[0].kind == "posted"


def test_posting_refuses_to_start_inside_another_posting() -> None:
    sender, recipient = asha(balance="10"), ravi()

    def nested(outcomes: Sequence[Outcome]) -> None:
        post([group(recipient, transfer(recipient, sender, "1"))])

    with pytest.raises(RuntimeError, match="posting"):
        post([group(sender, transfer(sender, recipient, "4"))], within=nested)
    assert (sender.balance, recipient.balance) == (10, 0)


def test_a_companions_fault_leaves_the_thread_as_it_was() -> None:
    sender, recipient = asha(balance="10"), ravi()

    def within(outcomes: Sequence[Outcome]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        post([group(sender, transfer(sender, recipient, "4"))], within=within)
    assert not is_posting()
    assert Wallet.objects.get(pk=sender.wallet.pk)._state.db == "default"
    assert (sender.balance, post([group(sender, transfer(sender, recipient, "4"))])[0].kind) == (10, "posted")


# Guards


def test_a_guard_sees_its_group_and_the_wallets_as_those_before_it_left_them() -> None:
    sender, recipient = asha(balance="10"), ravi()
    views: list[GuardView] = []

    def guard(view: GuardView) -> str | None:
        views.append(view)
        return None

    first = group(sender, transfer(sender, recipient, "4"), guards=(guard,))
    second = group(sender, transfer(sender, recipient, "5"), guards=(guard,))
    assert [outcome.kind for outcome in post([first, second])] == ["posted", "posted"]
    assert [view.group for view in views] == [first, second]
    assert [view.wallets[sender.wallet.pk].balance_units for view in views] == [100_000, 60_000]
    assert [view.wallets[recipient.wallet.pk].balance_units for view in views] == [0, 40_000]
    assert views[0].wallets[sender.wallet.pk].owner_id == sender.user.pk
    assert views[0].now == Transaction.objects.filter(from_wallet=sender.wallet).earliest("id").created_at


def test_a_guard_reads_on_the_posting_connection_and_in_a_preview_on_the_other() -> None:
    sender, recipient = asha(balance="10"), ravi()
    seen: list[tuple[str | None, bool]] = []

    def guard(view: GuardView) -> str | None:
        seen.append((Transaction.objects.filter(from_wallet=sender.wallet).db, is_posting()))
        return None

    asked = [group(sender, transfer(sender, recipient, "4"), guards=(guard,))]
    preview(asked)
    post(asked)
    assert seen == [("default", False), ("posting", True)]


def test_a_guards_refusal_is_recorded_and_replays_without_asking_again() -> None:
    sender, recipient = asha(balance="10"), ravi()
    asked = []

    def daily_limit(view: GuardView) -> str | None:
        asked.append(view)
        return "limit_exceeded"

    groups = [group(sender, transfer(sender, recipient, "4"), key=key("k"), guards=(daily_limit,))]
    (refused,), (replayed,) = post(groups), post(groups)
    assert (refused.kind, refused.code) == ("refused", "limit_exceeded")
    assert (replayed.kind, replayed.code, len(asked)) == ("replayed", "limit_exceeded", 1)
    assert sender.balance == 10


def test_the_first_guard_that_says_no_is_the_one_that_is_heard() -> None:
    sender, recipient = asha(balance="10"), ravi()
    guards = (lambda _: None, lambda _: "", lambda _: "limit_exceeded", lambda _: "wallet_frozen")
    (outcome,) = post([group(sender, transfer(sender, recipient, "4"), guards=guards)])
    assert outcome.code == "limit_exceeded"


def test_a_guard_of_one_group_says_nothing_about_its_neighbours() -> None:
    sender, recipient = asha(balance="10"), ravi()
    outcomes = post(
        [
            group(sender, transfer(sender, recipient, "4"), guards=(lambda _: "limit_exceeded",)),
            group(sender, transfer(sender, recipient, "4")),
        ]
    )
    assert [outcome.code for outcome in outcomes] == ["limit_exceeded", ""]


def test_a_guard_that_breaks_stops_the_list_before_anything_happened() -> None:
    sender, recipient = asha(balance="10"), ravi()

    def broken(view: GuardView) -> str | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        post(
            [
                group(sender, transfer(sender, recipient, "4")),
                group(sender, transfer(sender, recipient, "1"), guards=(broken,)),
            ]
        )
    assert (sender.balance, recipient.balance) == (10, 0)


def test_a_limit_counted_by_a_guard_holds_across_the_groups_of_one_list() -> None:
    """The kind of guard that `payments` hands down: what was spent so far, from rows and from the view."""
    sender, recipient = asha(balance="100"), ravi()

    def limit(view: GuardView) -> str | None:
        wallet = view.wallets[sender.wallet.pk]
        asked = sum(movement.amount for movement in view.group.movements)  # type: ignore[union-attr]
        spent = Decimal(100) - Decimal(wallet.balance_units) / 10_000
        return "limit_exceeded" if spent + asked > 10 else None

    groups: list[Group] = [group(sender, transfer(sender, recipient, "4"), guards=(limit,)) for _ in range(4)]
    assert [outcome.code for outcome in post(groups)] == ["", "", "limit_exceeded", "limit_exceeded"]
    assert sender.balance == 92


def test_people_made_outside_are_seen_inside_and_the_other_way_round() -> None:
    sender, shop = asha(balance="10"), meera()
    made: list[int] = []

    def within(outcomes: Sequence[Outcome]) -> None:
        made.append(UserFactory.create(full_name="Zoya Khan").pk)

    post([group(sender, transfer(sender, shop, "1", type="PAY"))], within=within)
    assert type(sender.user).objects.filter(pk=made[0]).exists()
