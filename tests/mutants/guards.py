"""
The guards of the money, one by one, each with the edit that drops it and the tests that must then turn red.

An edit that no longer finds its text fails the run: a guard that moved must be named here again.
"""

from dataclasses import dataclass
from typing import Final

OUTCOMES: Final = "tests/ledger/test_posting_outcomes.py"
FAILURES: Final = "tests/ledger/test_posting_failures.py"
WITHIN: Final = "tests/ledger/test_guards_within.py"
DATABASE: Final = "tests/ledger/test_posting_database_rules.py"
IMMUTABLE: Final = "tests/ledger/test_immutability.py"
LOCKS: Final = "tests/races/test_locks.py"
RACES: Final = "tests/races/test_postings_at_once.py"
TOPUPS: Final = "tests/payments/test_topups.py"
WEBHOOKS: Final = "tests/payments/test_webhooks.py"
PAYOUTS: Final = "tests/payments/test_payouts.py"
DOUBTS: Final = "tests/payments/test_payout_doubts.py"

HOLDS: Final = "tests/ledger/test_holds.py"
HOLD_RACES: Final = "tests/races/test_holds_at_once.py"

STEP_UPS: Final = "tests/payments/test_step_ups.py"
LIMITS: Final = "tests/payments/test_limits.py"
LATE: Final = "tests/payments/test_late_captures.py"
SPENDING_RACES: Final = "tests/races/test_spending_at_once.py"

RULES: Final = "ledger/migrations/0002_rules.py"
HOLD_RULES: Final = "ledger/migrations/0005_hold_rules.py"


@dataclass(frozen=True)
class Edit:
    """`old` stands exactly once in `path`, and becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A guard that is dropped. At least one of `tests` must fail."""

    guard: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def _without_trigger(table: str, *names: str) -> tuple[Edit, ...]:
    """The trigger is made and then dropped, at the end of the migration that makes it."""
    dropped = "".join(f"DROP TRIGGER {name} ON {table};\n" for name in names)
    return (Edit(RULES, 'RIGHTS = f"""\n', f'RIGHTS = f"""\n{dropped}'),)


_LOOK_UP: Final = Edit(
    "ledger/walk.py",
    "            known = self.keys.get((group.initiator, group.key.key))\n",
    "            known = None\n",
)
_PRIMARY_KEY: Final = Edit(
    RULES,
    'KEYS = """\n',
    'KEYS = """\nALTER TABLE ledger_idempotencykey DROP CONSTRAINT ledger_idempotencykey_pkey;\n',
)

MUTANTS: Final = (
    Mutant(
        "the row lock",
        (
            Edit(
                "ledger/store.py",
                "wallets = wallets.select_for_update(no_key=True)",
                "wallets = wallets.all()",
            ),
        ),
        (f"{LOCKS}::test_what_was_judged_stays_as_it_was_until_commit_even_when_nothing_moves",),
    ),
    Mutant(
        "the row lock before the judgement",
        (
            Edit(
                "ledger/store.py",
                "wallets = wallets.select_for_update(no_key=True)",
                "wallets = wallets.all()",
            ),
        ),
        (f"{LOCKS}::test_nothing_is_judged_before_the_wallet_is_locked",),
    ),
    Mutant(
        "the order of the locks (another one each time)",
        (Edit("ledger/store.py", '.filter(pk__any_of=[0]).order_by("pk")', '.filter(pk__any_of=[0]).order_by("?")'),),
        (f"{LOCKS}::test_locks_are_taken_from_the_lowest_wallet_up_however_they_are_asked_for_and_found",),
    ),
    Mutant(
        "the order of the locks (left to the planner)",
        (Edit("ledger/store.py", '.filter(pk__any_of=[0]).order_by("pk")', ".filter(pk__any_of=[0])"),),
        (f"{LOCKS}::test_locks_are_taken_from_the_lowest_wallet_up_however_they_are_asked_for_and_found",),
    ),
    Mutant(
        "the turnstile",
        (
            Edit(
                "ledger/store.py",
                "    cursor.execute(_TURNSTILE_ALONE if alone else _TURNSTILE_TOGETHER)\n",
                "    del cursor, alone\n",
            ),
        ),
        (f"{LOCKS}::test_a_list_waits_at_the_turnstile_before_it_has_locked_anything",),
    ),
    Mutant(
        "the turnstile, as re-runs show",
        (
            Edit(
                "ledger/store.py",
                "    cursor.execute(_TURNSTILE_ALONE if alone else _TURNSTILE_TOGETHER)\n",
                "    del cursor, alone\n",
            ),
        ),
        (f"{RACES}::test_lists_of_two_hundred_hot_wallets_from_two_processes_do_not_run_in_vain",),
    ),
    Mutant(
        "the key's look-up",
        (_LOOK_UP,),
        (f"{OUTCOMES}::test_the_same_key_and_request_replay_what_happened_the_first_time",),
    ),
    Mutant(
        "the key's uniqueness",
        (_PRIMARY_KEY,),
        (f"{RACES}::test_one_key_in_two_postings_that_share_no_wallet_waits_for_the_first_and_is_then_known",),
    ),
    Mutant(
        "the key's look-up and uniqueness",
        (_LOOK_UP, _PRIMARY_KEY),
        (f"{RACES}::test_one_key_sent_fifty_times_at_once_has_one_effect_and_forty_nine_replays",),
    ),
    Mutant(
        "the balance trigger",
        _without_trigger("ledger_ledgerentry", "entries_balance"),
        (f"{DATABASE}::test_entries_that_do_not_balance_between_their_two_wallets_are_refused",),
    ),
    Mutant(
        "the trigger on legs at birth",
        _without_trigger("ledger_transaction", "transactions_have_their_legs_at_birth"),
        (f"{DATABASE}::test_a_transaction_has_the_entries_of_its_status_or_is_refused",),
    ),
    Mutant(
        "the trigger on legs at completion",
        _without_trigger("ledger_transaction", "transactions_have_their_legs_at_completion"),
        (f"{DATABASE}::test_a_promise_cannot_become_a_success_without_its_entries",),
    ),
    Mutant(
        "the trigger on refunds",
        _without_trigger("ledger_transaction", "refunds_stay_within"),
        (f"{DATABASE}::test_refunds_stay_within_what_they_refund",),
    ),
    Mutant(
        "the immutability of entries",
        _without_trigger("ledger_ledgerentry", "entry_is_immutable"),
        (f"{IMMUTABLE}::test_nothing_of_the_ledger_is_changed_by_the_owner",),
    ),
    Mutant(
        "the immutability of entries while replica is played",
        (Edit(RULES, "ALTER TABLE ledger_ledgerentry ENABLE ALWAYS TRIGGER entry_is_immutable;", ""),),
        (f"{IMMUTABLE}::test_not_even_by_a_superuser_who_only_plays_replica",),
    ),
    Mutant(
        "the immutability of transactions",
        _without_trigger("ledger_transaction", "transaction_is_kept", "transaction_completes_once"),
        (
            f"{IMMUTABLE}::test_nothing_of_the_ledger_is_changed_by_the_owner",
            f"{IMMUTABLE}::test_a_completed_transaction_is_fixed",
        ),
    ),
    Mutant(
        "the permanence of keys",
        _without_trigger("ledger_idempotencykey", "key_is_kept", "key_is_fixed"),
        (
            f"{IMMUTABLE}::test_a_key_stands_for_one_request",
            f"{IMMUTABLE}::test_nothing_of_the_ledger_is_changed_by_the_owner",
        ),
    ),
    Mutant(
        "the trigger on whom keys name",
        _without_trigger("ledger_idempotencykey", "keys_name_their_own"),
        (f"{DATABASE}::test_a_key_names_a_transaction_of_its_own_initiator",),
    ),
    Mutant(
        "the least balance",
        (
            Edit(
                RULES,
                'RIGHTS = f"""\n',
                'RIGHTS = f"""\nALTER TABLE wallets_wallet DROP CONSTRAINT wallet_never_below_minimum;\n',
            ),
        ),
        (f"{DATABASE}::test_nobody_but_the_system_owes_without_a_credit_line",),
    ),
    Mutant(
        "that what is overwritten is what was read",
        (Edit("ledger/store.py", " AND w.balance = n.was * 0.0001", ""),),
        (f"{LOCKS}::test_a_balance_written_by_anybody_else_stops_the_posting",),
    ),
    Mutant(
        "the look before COMMIT for a hidden error",
        (Edit("ledger/posting.py", "                store.require_unbroken(connection)\n", ""),),
        (f"{FAILURES}::test_a_companion_that_hides_a_database_error_does_not_get_a_posting_that_never_happened",),
    ),
    Mutant(
        "the look after a COMMIT without an answer",
        (
            Edit(
                "ledger/posting.py", "        if not self.doubtful:\n            return None\n", "        return None\n"
            ),
        ),
        (f"{FAILURES}::test_a_cut_at_commit_has_one_effect_and_the_first_answer",),
    ),
    Mutant(
        "the router to the posting connection",
        (
            Edit(
                "wallet_project/kernel/database.py",
                '        return POSTING if is_posting() else "default"\n',
                '        return "default"\n',
            ),
        ),
        (f"{WITHIN}::test_a_companion_that_refuses_takes_the_money_and_the_key_back_with_it",),
    ),
    Mutant(
        "the refusal to post inside a transaction",
        (Edit("ledger/posting.py", "    require_no_transaction()\n", ""),),
        (f"{WITHIN}::test_posting_refuses_to_start_inside_an_atomic_block_of_any_alias",),
    ),
    Mutant(
        "the webhook's signature",
        (
            Edit(
                "payments/webhooks.py",
                "    if not speaker.is_genuine_webhook(body=body, headers=headers):\n",
                "    if False:\n",
            ),
        ),
        (f"{WEBHOOKS}::test_a_webhook_with_a_wrong_signature_is_not_kept_and_an_older_secret_is_accepted",),
    ),
    Mutant(
        "the signature of the payer's return",
        (
            Edit(
                "payments/gateways/razorpay.py",
                '        return _is_signature(self._key_secret, f"{order_id}|{payment_id}".encode(), signature)\n',
                "        return True\n",
            ),
        ),
        (f"{TOPUPS}::test_nothing_is_credited_for_a_wrong_signature_or_somebody_elses_order",),
    ),
    Mutant(
        "what is held when money is spent",
        (
            Edit(
                "ledger/judging.py",
                "return state.spare + self.balances[pk] - self.helds[pk]",
                "return state.spare + state.held + self.balances[pk]",
            ),
        ),
        (f"{HOLDS}::test_what_is_held_cannot_be_spent_and_the_rest_can",),
    ),
    Mutant(
        "that a hold ends once",
        (Edit("ledger/walk.py", 'if hold.status != "OPEN" or early:', "if early:"),),
        (f"{HOLDS}::test_a_capture_moves_its_part_and_frees_the_rest",),
    ),
    Mutant(
        "the time of a hold",
        (Edit("ledger/judging.py", "if hold.is_over(now) and not movement.fact:", "if False:"),),
        (f"{HOLDS}::test_a_hold_that_is_over_is_not_captured_and_only_then_expires",),
    ),
    Mutant(
        "what is left to be refunded",
        (
            Edit(
                "ledger/judging.py",
                "    if refunds is not None and movement.units >",
                "    if False and movement.units >",
            ),
        ),
        (f"{HOLDS}::test_refunds_past_what_is_left_are_refused_beside_their_neighbours",),
    ),
    Mutant(
        "the triggers on what is held",
        (
            Edit(
                HOLD_RULES,
                '"""\n\nREFUNDS = """\n',
                "DROP TRIGGER holds_are_held ON ledger_hold;\nDROP TRIGGER holds_are_held ON wallets_wallet;\n"
                '"""\n\nREFUNDS = """\n',
            ),
        ),
        (f"{HOLDS}::test_the_database_itself_refuses_a_hold_that_does_not_add_up",),
    ),
    Mutant(
        "the trigger on a hold's end",
        (
            Edit(
                HOLD_RULES,
                '"""\n\nREFUNDS = """\n',
                'DROP TRIGGER hold_ends_once ON ledger_hold;\n"""\n\nREFUNDS = """\n',
            ),
        ),
        (f"{IMMUTABLE}::test_nothing_of_the_ledger_is_changed_by_the_owner",),
    ),
    Mutant(
        "the one key of a payout",
        (Edit("payments/payouts.py", "key=payout.key,\n", 'key=f"{payout.key}-{payout.sends}",\n'),),
        (f"{PAYOUTS}::test_a_payout_whose_answers_were_lost_is_made_once_and_found_again",),
    ),
    Mutant(
        "looking for a payout before its money comes back",
        (
            Edit(
                "payments/payouts.py",
                "            remote = gateway.find_payout(reference=payout.key)\n",
                "            remote = None\n",
            ),
        ),
        (f"{DOUBTS}::test_a_no_after_an_answer_that_was_lost_is_not_believed_where_the_payout_is_there",),
    ),
    Mutant(
        "the wait for a payout's other tries",
        (
            Edit(
                "payments/payouts.py",
                "if remote is None and payout.sent_at is not None and now <",
                "if False and now <",
            ),
        ),
        (f"{DOUBTS}::test_a_no_while_an_earlier_try_may_still_be_on_its_way_is_asked_for_again",),
    ),
    Mutant(
        "the comparison of a payout with what was asked for",
        (Edit("payments/payouts.py", "    if same_money and same_payout:\n", "    if True:\n"),),
        (f"{DOUBTS}::test_a_payout_that_is_not_as_we_asked_for_it_is_a_case_and_decides_nothing",),
    ),
    Mutant(
        "the gate of the step-up",
        (Edit("payments/authorising.py", "            raise step_ups.Needed\n", "            return\n"),),
        (f"{STEP_UPS}::test_large_payments_ask_and_smaller_ones_to_people_paid_before_do_not",),
    ),
    Mutant(
        "the step-up's binding to its request",
        (Edit("payments/step_ups.py", "(uuid=uuid, user=user, binding=binding)", "(uuid=uuid, user=user)"),),
        (f"{STEP_UPS}::test_a_challenge_is_good_for_one_person_payee_amount_and_key_alone",),
    ),
    Mutant(
        "the step-up's binding to its person",
        (Edit("payments/step_ups.py", "(uuid=uuid, user=user, binding=binding)", "(uuid=uuid, binding=binding)"),),
        (f"{STEP_UPS}::test_a_challenge_is_good_for_one_person_payee_amount_and_key_alone",),
    ),
    Mutant(
        "that a step-up is spent once",
        (Edit("payments/step_ups.py", "(pk=challenge, spent_at=None, proven", "(pk=challenge, proven"),),
        (f"{STEP_UPS}::test_a_code_works_once_and_its_request_is_answered_alike_for_ever",),
    ),
    Mutant(
        "the count of a step-up's wrong codes",
        (Edit("payments/step_ups.py", 'update(failures=F("failures") + 1)', 'update(failures=F("failures"))'),),
        (f"{STEP_UPS}::test_after_five_wrong_codes_the_right_one_is_wrong_and_another_challenge_is_asked_for",),
    ),
    Mutant(
        "that nobody's rollback gives a step-up's tries back",
        (Edit("payments/step_ups.py", "transaction.atomic(durable=True)", "transaction.atomic()"),),
        (f"{STEP_UPS}::test_tries_are_not_given_back_by_anybodys_rollback",),
    ),
    Mutant(
        "the end of a step-up's time",
        (Edit("payments/step_ups.py", "is_over = row.expires_at <= now or ", "is_over = "),),
        (f"{STEP_UPS}::test_a_challenge_is_over_after_ten_minutes_though_its_code_came_late",),
    ),
    Mutant(
        "the sum of what goes to one payee without a code",
        (Edit("payments/step_ups.py", "standing.payee_lately + amount > settings.STEP_UP_PAST_A_DAY", "False"),),
        (f"{STEP_UPS}::test_exactly_five_thousand_to_one_payee_in_a_day_passes_and_one_paisa_more_asks",),
    ),
    Mutant(
        "that a person's wallets are counted together",
        (Edit("payments/spending.py", "    WHERE mine.owner_id = w.owner_id\n", "    WHERE mine.id = w.id\n"),),
        (f"{STEP_UPS}::test_two_wallets_of_the_payer_or_of_the_payee_are_no_dodge",),
    ),
    Mutant(
        "the lock of a person's other wallets",
        (
            Edit(
                "payments/authorising.py",
                "            hold_other_wallets(wallet=self.wallet, standing=self.standing)\n",
                "            assert hold_other_wallets\n",
            ),
        ),
        (f"{SPENDING_RACES}::test_a_payment_from_another_wallet_comes_after_the_one_under_way_and_counts_it",),
    ),
    Mutant(
        "the guard of the limits",
        (Edit("payments/authorising.py", "guards=(*self.group.guards, self.guard)", "guards=self.group.guards"),),
        (f"{LIMITS}::test_a_payment_past_the_limit_of_one_is_refused_and_kept",),
    ),
    Mutant(
        "what a wallet may hold",
        (
            Edit(
                "payments/limits.py",
                "_held_in(view, movement.to_wallet) + standing.being_added +",
                "standing.being_added +",
            ),
        ),
        (f"{LIMITS}::test_nobody_is_sent_more_than_they_may_hold_and_their_payer_learns_no_more",),
    ),
    Mutant(
        "that nobody's room is told to whom it costs nothing to ask",
        (
            Edit(
                "payments/limits.py",
                "    return is_preview or payer.balance_units - payer.held_units - payer.minimum_units <",
                "    return False and 0 <",
            ),
        ),
        (f"{LIMITS}::test_nobody_learns_from_refusals_what_another_wallet_holds",),
    ),
    Mutant(
        "the limits of what is paid after its order was given up",
        (Edit("payments/late_captures.py", "            raise PastLimit\n", "            return\n"),),
        (f"{LATE}::test_paying_late_is_no_way_past_the_limits_and_what_passes_them_goes_back",),
    ),
    Mutant(
        "that what is paid late counts",
        (Edit("payments/captures.py", "            late.note(outcomes[0])\n", ""),),
        (f"{LATE}::test_paying_late_is_no_way_past_the_limits_and_what_passes_them_goes_back",),
    ),
    Mutant(
        "that what came back counts no more",
        (
            Edit(
                "payments/payout_outcomes.py",
                "            give_spending_back(transaction=payout.transaction_id, now=now)\n",
                "",
            ),
        ),
        (f"{LIMITS}::test_what_is_undone_is_given_back_once_on_its_day_and_in_its_month",),
    ),
)
