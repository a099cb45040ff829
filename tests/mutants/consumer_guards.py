"""Guards of those who take events in: one effect each, and nothing of it for whoever has no right to it."""

from typing import Final

from tests.mutants.guards import Edit, Mutant

_RECORDING: Final = "wallet_project/kernel/events/recording.py"
_DEAD: Final = "wallet_project/kernel/events/dead_letters.py"
_TESTS: Final = "tests/payments/test_consumers.py"
_DEAD_TESTS: Final = "tests/payments/test_consumers_dead_letters.py"

MUTANTS: Final = (
    Mutant(
        "an event that has its mark is not handed over again",
        (Edit(_RECORDING, "owed = [event for event_id, event in known.items() if event_id in new]", "owed = events"),),
        (
            f"{_TESTS}::test_who_marks_second_waits_for_the_first_and_has_nothing_left_to_do",
            f"{_TESTS}::test_each_group_takes_in_what_another_has",
        ),
    ),
    Mutant(
        "an event whose mark was pruned is passed over",
        (Edit(_RECORDING, "        known.pop(old, None)\n", "        pass\n"),),
        (f"{_TESTS}::test_what_every_group_recorded_so_long_ago_that_the_marks_are_gone_is_passed_over",),
    ),
    Mutant(
        "what happened before a group first ran is passed over",
        (Edit(_RECORDING, " | _of_before(group_id, events, now=now)", ""),),
        (f"{_TESTS}::test_what_happened_before_the_group_registered_is_none_of_its_business",),
    ),
    Mutant(
        "consumers believe the ledger and not the broker",
        (Edit("payments/consumers.py", "handler(as_told(events))", "handler(events)"),),
        (
            "tests/payments/test_believing.py::test_nobody_is_told_that_somebody_paid_who_did_not",
            "tests/payments/test_believing.py::test_what_was_changed_on_the_way_is_told_as_it_was",
        ),
    ),
    Mutant(
        "a forged message settles nothing of the event whose id it bears",
        (
            Edit(
                "wallet_project/kernel/events/received.py",
                "if isinstance(error, NotGenuine):",
                "if False:",
            ),
        ),
        (
            "tests/payments/test_believing.py"
            "::test_a_forged_message_with_the_id_of_an_event_does_not_keep_the_event_away",
        ),
    ),
    Mutant(
        "a message of a type that nobody knows settles nothing of the event whose id it bears",
        (Edit(_RECORDING, "if event.type in TYPES:", "if event.type:"),),
        (
            "tests/payments/test_believing.py"
            "::test_a_forged_message_with_the_id_of_an_event_does_not_keep_the_event_away",
            "tests/payments/test_believing.py::test_every_type_of_the_ledgers_is_known_to_who_records",
        ),
    ),
    Mutant(
        "an old event that is still owed is not passed over",
        (Edit(_RECORDING, "return old - {event_id for (event_id,) in cursor.fetchall()}", "return old"),),
        (f"{_TESTS}::test_what_every_group_recorded_so_long_ago_that_the_marks_are_gone_is_passed_over",),
    ),
    Mutant(
        "marks are made in the effect's transaction",
        (Edit(_RECORDING, '    require_transaction("default")\n    known', "    known"),),
        (f"{_TESTS}::test_marks_are_only_made_in_the_transaction_of_the_effect",),
    ),
    Mutant(
        "a statement that takes too long is the event's fault",
        (Edit(_RECORDING, "return away and not state.startswith(_OF_THE_STATEMENT)", "return away"),),
        ("tests/payments/test_consumers_away.py::test_what_is_the_databases_fault_and_what_is_the_events",),
    ),
    Mutant(
        "one dead letter is replayed by one at a time",
        (Edit(_DEAD, "select_for_update(skip_locked=True, no_key=True).filter(", "filter("),),
        (f"{_DEAD_TESTS}::test_two_who_replay_at_once_do_it_once",),
    ),
    Mutant(
        "a dead letter that was replayed is not replayed again",
        (Edit(_DEAD, "return rows.filter(WAITING).first()", "return rows.first()"),),
        (f"{_DEAD_TESTS}::test_two_who_replay_at_once_do_it_once",),
    ),
    Mutant(
        "a cause shows no row that a database refused",
        (Edit(_DEAD, "logs.scrub(lines[0]", 'logs.scrub(" ".join(lines)'),),
        (f"{_DEAD_TESTS}::test_a_cause_shows_no_row_and_no_address_and_any_text_can_be_kept",),
    ),
    Mutant(
        "only who may has a dead letter replayed",
        (Edit("payments/replaying.py", "    _require(by, KIND, letter, now)\n", ""),),
        (
            "tests/payments/test_dead_letter_admin.py"
            "::test_the_deed_itself_asks_for_the_right_and_for_a_group_that_there_is",
        ),
    ),
    Mutant(
        "only who may discards a dead letter",
        (Edit("payments/replaying.py", "    _require(by, DISCARDED, letter, now)\n", ""),),
        ("tests/payments/test_dead_letter_admin.py::test_who_may_not_replay_may_not_discard",),
    ),
    Mutant(
        "metrics are for whoever has the token",
        (Edit("wallet_project/metrics.py", 'if scheme != "Bearer" or not hmac', 'if scheme != "Bearer" and not hmac'),),
        ("tests/house/test_metrics.py::test_without_the_token_nothing_is_said",),
    ),
)
