"""What about a dispute is for people to look at, in the words of the support queue."""

from datetime import datetime

from payments.cases import open_case
from payments.models import Case, Dispute
from wallet_project.kernel.money import Money


def tell_of_amount(*, dispute: Dispute, there_minor: int, now: datetime) -> None:
    """It is about another amount than it was when it began."""
    open_case(
        kind=Case.Kind.AMOUNT,
        gateway=dispute.gateway,
        subject=dispute.dispute_id,
        reason="The gateway speaks of another amount than it did when the dispute began.",
        amount_here_minor=dispute.amount_minor,
        amount_there_minor=there_minor,
        currency=dispute.currency,
        now=now,
    )


def tell_of_excess(*, dispute: Dispute, room_minor: int, there_minor: int, now: datetime) -> None:
    """
    It is about more than there is to lose.

    :param room_minor: what of the payment has not gone back, in minor units as the others.
    """
    open_case(
        kind=Case.Kind.AMOUNT,
        gateway=dispute.gateway,
        subject=dispute.dispute_id,
        reason="More is disputed than the payment brought and has not gone back; the excess is not taken.",
        amount_here_minor=room_minor,
        amount_there_minor=there_minor,
        currency=dispute.currency,
        suggestion="Ask the gateway what the rest is for; post it as an ADJUSTMENT if it stands.",
        now=now,
    )


def tell_of_shortfall(
    *, dispute: Dispute, whole_minor: int, shortfall_minor: int, what: str, transaction: int, now: datetime
) -> None:
    """
    Part of it could not be held, or taken.

    :param whole_minor: what is disputed, as far as the payment brought it.
    :param what: `is disputed` or `was lost`.
    :param transaction: primary key of what the case is about.
    """
    whole = Money.from_minor(whole_minor, dispute.currency)
    missing = Money.from_minor(shortfall_minor, dispute.currency)
    open_case(
        kind=Case.Kind.CHARGEBACK_SHORTFALL,
        gateway=dispute.gateway,
        subject=dispute.dispute_id,
        reason=f"{whole.spelled} {what}, and {missing.spelled} of it was not in the wallet any more.",
        amount_here_minor=whole_minor - shortfall_minor,
        amount_there_minor=whole_minor,
        currency=dispute.currency,
        transaction=transaction,
        suggestion="Answer the dispute in time. Once it is lost, the person owes us what `chargebacks` lacks.",
        now=now,
    )
