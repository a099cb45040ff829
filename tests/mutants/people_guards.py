"""The guards between people: money that is asked back, whom somebody keeps away, and "this wasn't me"."""

from typing import Final

from tests.mutants.guards import Edit, Mutant

BLOCKS: Final = "tests/payments/test_person_blocks.py"
MONEY_BACK: Final = "tests/payments/test_money_back.py"
NOT_ME: Final = "tests/payments/test_not_me.py"
TAMPERING: Final = "tests/ledger/test_tampering.py"

_GATE: Final = Edit(
    "payments/money_back_answers.py",
    """        if status not in (Status.ASKED, Status.HELD):
            raise Refusal("money_back_over")
        if held""",
    "        if held",
)
_AS_IT_WAS_SEEN: Final = Edit(
    "payments/money_back.py",
    "MoneyBack.objects.filter(pk=row.pk, status=row.status, hold=row.hold_id)",
    "MoneyBack.objects.filter(pk=row.pk)",
)
_ENDS_ONCE: Final = Edit(
    "payments/migrations/0015_money_back.py",
    "ALTER TABLE payments_moneyback ENABLE ALWAYS TRIGGER moneyback_ends_once;",
    "DROP TRIGGER moneyback_ends_once ON payments_moneyback;",
)

MUTANTS: Final = (
    Mutant(
        "that a block is judged under the posting",
        (
            Edit(
                "payments/authorising.py",
                """        if is_unwelcome(movement=self.movement, standing=self.standing):
            return "recipient_unavailable"
""",
                "",
            ),
        ),
        (f"{BLOCKS}::test_it_is_judged_under_the_posting_too",),
    ),
    Mutant(
        "that whoever is kept away looks no name up",
        (
            Edit(
                "payments/payees.py",
                "is_unwelcome = payee.keeps_away and _is_a_person(payee)",
                "is_unwelcome = False",
            ),
        ),
        (f"{BLOCKS}::test_nor_look_the_name_up",),
    ),
    Mutant(
        "that an answered request for money back gives none",
        (_GATE, _AS_IT_WAS_SEEN, _ENDS_ONCE),
        (f"{MONEY_BACK}::test_declined_between_looking_and_giving_nothing_moves",),
    ),
    Mutant(
        "that what was set aside is what is given back",
        (
            Edit(
                "payments/money_back_answers.py",
                """        if held != self.row.hold_id:
            raise Changed
""",
                "",
            ),
        ),
        (f"{MONEY_BACK}::test_set_aside_between_looking_and_giving_it_is_taken_from_there",),
    ),
    Mutant(
        "that a request for money back ends once (database)",
        (_ENDS_ONCE,),
        (f"{MONEY_BACK}::test_the_database_holds_what_has_ended",),
    ),
    Mutant(
        "the step-up of giving much back",
        (
            Edit(
                "payments/step_ups.py",
                "return amount >= settings.STEP_UP_FROM or standing.day_total + amount > settings.STEP_UP_PAST_A_DAY",
                "return False",
            ),
        ),
        (f"{MONEY_BACK}::test_giving_much_back_asks_who_it_is_and_little_does_not",),
    ),
    Mutant(
        "that what is given back counts where support is asked",
        (
            Edit(
                "payments/spending.py",
                '_LEAVING: Final = ["TRANSFER", "PAY", "WITHDRAW", "REFUND"]',
                '_LEAVING: Final = ["TRANSFER", "PAY", "WITHDRAW"]',
            ),
        ),
        (f"{MONEY_BACK}::test_after_a_change_of_address_it_counts_among_what_support_is_asked_for",),
    ),
    Mutant(
        "that a transfer is refunded the way it came (proofs)",
        (
            Edit(
                "ledger/verifying/reversals.py",
                """"type = 'REFUND' AND original_type = 'TRANSFER\'""",
                """"type = 'REFUND' AND original_type = 'NOTHING\'""",
            ),
        ),
        (f"{TAMPERING}::test_a_transfer_that_is_refunded_to_somebody_else_is_found",),
    ),
    Mutant(
        "that only we make the link of a message",
        (
            Edit(
                "accounts/not_me_links.py",
                "return notification if hmac.compare_digest(token_of(notification), token) else None",
                "return notification",
            ),
        ),
        (f"{NOT_ME}::test_the_link_holds_nothing_that_looks_like_a_code_and_nobody_makes_one",),
    ),
    Mutant(
        "that looking at such a link does nothing",
        (
            Edit(
                "payments/not_me_views.py",
                '    if request.method == "POST":\n        wake_sender(stop(notification=notification, keep=None',
                "    if True:\n        wake_sender(stop(notification=notification, keep=None",
            ),
        ),
        (f"{NOT_ME}::test_looking_at_the_link_does_nothing_however_often_a_mail_server_does",),
    ),
)
