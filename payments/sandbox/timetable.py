"""What can be put off, by the names under which it stands in the state file."""

import sqlite3

from payments.sandbox.events import Letterhead
from payments.sandbox.later import TimedDeed
from payments.sandbox.payments import recover_payment
from payments.sandbox.payouts import move_payout
from payments.sandbox.refunds import fail_refund, process_refund
from payments.sandbox.validations import complete_validation


def _recover(db: sqlite3.Connection, *, subject: str, letterhead: Letterhead, now: int) -> None:
    recover_payment(db, payment_id=subject, letterhead=letterhead, now=now)


def _process_refund(db: sqlite3.Connection, *, subject: str, letterhead: Letterhead, now: int) -> None:
    process_refund(db, refund_id=subject, letterhead=letterhead, now=now)


def _fail_refund(db: sqlite3.Connection, *, subject: str, letterhead: Letterhead, now: int) -> None:
    fail_refund(db, refund_id=subject, letterhead=letterhead, now=now)


def _complete_validation(db: sqlite3.Connection, *, subject: str, letterhead: Letterhead, now: int) -> None:  # noqa: ARG001
    complete_validation(db, validation_id=subject)


def _payout_to(status: str) -> TimedDeed:
    def move(db: sqlite3.Connection, *, subject: str, letterhead: Letterhead, now: int) -> None:
        move_payout(db, payout_id=subject, to=status, letterhead=letterhead, now=now)

    return move


# Append, never rename: an older state file may still have one due.
TIMETABLE: dict[str, TimedDeed] = {
    "payment.recover": _recover,
    "refund.process": _process_refund,
    "refund.fail": _fail_refund,
    "validation.complete": _complete_validation,
    "payout.processed": _payout_to("processed"),
    "payout.failed": _payout_to("failed"),
    "payout.reversed": _payout_to("reversed"),
}
