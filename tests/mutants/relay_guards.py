"""Guards of the outbox and its relays: every event is told, in its wallet's order, and kept until all have it."""

from typing import Final

from tests.mutants.guards import Edit, Mutant

_EVENTS: Final = "wallet_project/kernel/events"
_RELAY: Final = "tests/ledger/test_relay.py"
_LANES: Final = "tests/ledger/test_relay_lanes.py"
_SWEEPS: Final = "tests/ledger/test_relay_sweeps.py"
_TOLD: Final = "tests/ledger/test_events.py"

MUTANTS: Final = (
    Mutant(
        "events are numbered under the wallets' locks, not in the blocks of a process",
        (Edit("ledger/store.py", "SELECT nextval('outbox_numbers'), n.event_id", "SELECT n.transaction, n.event_id"),),
        (f"{_TOLD}::test_a_wallets_events_are_numbered_in_their_order_whichever_process_posted_them",),
    ),
    Mutant(
        "an event of what is pending says nothing of how it ended",
        (
            Edit(
                "ledger/events.py", "_time(completed_at) if has_ended else None", "completed_at and _time(completed_at)"
            ),
        ),
        (f"{_TOLD}::test_an_event_tells_what_was_true_when_it_was_written",),
    ),
    Mutant(
        "a relay that cannot be woken fails no posting",
        (Edit("ledger/waking.py", "except psycopg.Error as error:", "except ZeroDivisionError as error:"),),
        (f"{_RELAY}::test_a_wake_up_that_fails_fails_no_posting",),
    ),
    Mutant(
        "a lane has one owner",
        (
            Edit(
                f"{_EVENTS}/lanes.py",
                '"SELECT pg_try_advisory_lock(%s, %s)", _LANE_LOCKS',
                '"SELECT %s::int <> %s::int", _LANE_LOCKS',
            ),
        ),
        (f"{_LANES}::test_a_lane_with_something_in_flight_is_handed_over_only_once_that_has_arrived",),
    ),
    Mutant(
        "a lane is given up only once nothing of it is in flight",
        (Edit(f"{_EVENTS}/lanes.py", "for lane in self._leaving - busy:", "for lane in set(self._leaving):"),),
        (f"{_LANES}::test_a_lane_with_something_in_flight_is_handed_over_only_once_that_has_arrived",),
    ),
    Mutant(
        "nothing more of a lane is sent while something of it is in flight",
        (Edit(f"{_EVENTS}/relaying.py", "idle = lanes.owned - self._flight.busy - {", "idle = lanes.owned - {"),),
        (f"{_RELAY}::test_a_delivery_that_fails_holds_back_all_that_comes_after_it",),
    ),
    Mutant(
        "nothing of a wallet counts as delivered before which something is not",
        (Edit(f"{_EVENTS}/outbox.py", "if token < flying.get(row.wallet_id, self._launched + 1)", "if token"),),
        (f"{_RELAY}::test_of_a_wallet_nothing_counts_as_delivered_before_which_something_is_not",),
    ),
    Mutant(
        "what a group has not recorded is not settled",
        (Edit(f"{_EVENTS}/republishing.py", "WHERE NOT l.is_owed AND o.pub", "WHERE o.pub"),),
        (f"{_SWEEPS}::test_what_every_group_has_recorded_is_settled_and_what_one_has_not_is_published_again",),
    ),
    Mutant(
        "a group is owed nothing from before it registered",
        (Edit(f"{_EVENTS}/republishing.py", "WHERE g.registered_at <= o.created_at AND NOT", "WHERE NOT"),),
        (f"{_SWEEPS}::test_a_group_is_owed_nothing_from_before_it_registered",),
    ),
    Mutant(
        "a sweep goes on where it ended",
        (Edit(f"{_EVENTS}/republishing.py", 'after = found.last if found.is_full else "-infinity"', "pass"),),
        (f"{_SWEEPS}::test_a_sweep_goes_on_where_it_ended_and_begins_anew_at_the_end",),
    ),
    Mutant(
        "only what is settled is forgotten",
        (Edit(f"{_EVENTS}/pruning.py", "WHERE o.settled_at <= now()", "WHERE o.published_at <= now()"),),
        (f"{_SWEEPS}::test_what_is_settled_long_enough_is_forgotten_with_who_had_it_and_nothing_else",),
    ),
)
