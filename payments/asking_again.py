"""
Support asks the gateway again: about an order, a payout, a refund, a dispute, an event or whatever a case is about.

What the sweeps do when something is due, at once, for somebody who has a person on the telephone. Nothing is decided
that the gateway does not say, and asking twice, or two at once, changes nothing more than asking once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from django.utils.timezone import localdate

from accounts.models import User
from payments import payouts, refunds
from payments.disputes import follow_dispute
from payments.expiry import check_order
from payments.gateways import UnknownGateway
from payments.models import (
    Case,
    Dispute,
    GatewayOrder,
    GatewayRefund,
    PaymentAttempt,
    Payout,
    SettledItem,
    WebhookEvent,
)
from payments.settlements import collect_settlements
from payments.support_queue import Subject, subjects_of
from payments.webhooks import process_event
from wallet_project.kernel.errors import GatewayError, Refusal

log = structlog.get_logger("payments.asking_again")

PERMISSION: Final = "payments.ask_gateway"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a thing stood before the gateway was asked, and how it stands now."""

    before: str
    after: str

    @property
    def is_news(self) -> bool:
        return self.before != self.after


def ask_again(*, about: Subject, by: User, now: datetime) -> Answer:
    """
    Ask the gateway for the truth about something, and post what it says.

    :raises GatewayError: it would not say; nothing is lost, ask again.
    :raises Refusal: `permission_denied`; `gateway_unavailable`: nobody has set this gateway up here; `busy`.
    """
    if not by.has_perm(PERMISSION):
        raise Refusal("permission_denied")
    told = {"by": by.public_id, "about": type(about).__name__, "pk": about.pk}
    before = _standing(about)
    try:
        _DEEDS[type(about)](about, now)
    except UnknownGateway as error:
        log.error("support.asked_in_vain", **told, reason=type(error).__name__)
        raise Refusal("gateway_unavailable", f"{about.gateway} is not set up here.") from error
    except (GatewayError, Refusal) as error:
        log.warning("support.asked_in_vain", **told, reason=type(error).__name__)
        raise
    about.refresh_from_db()
    answer = Answer(before, _standing(about))
    log.info("support.asked_again", **told, before=answer.before, after=answer.after)
    return answer


def ask_about_case(*, case: Case, by: User, now: datetime) -> tuple[Subject, Answer]:
    """
    The same about what a case is about. Where that explains the case, it is resolved.

    :raises Refusal: `not_found`, if no row of ours is what it is about; and as `ask_again`.
    :raises GatewayError: as `ask_again`.
    """
    about = subjects_of([case]).get(case.pk)
    if about is None:
        raise Refusal("not_found", "This case is about nothing that the gateway can be asked about from here.")
    answer = ask_again(about=about, by=by, now=now)
    case.refresh_from_db()
    return about, answer


def _standing(about: Subject) -> str:
    """In a word: the row's own state."""
    match about:
        case PaymentAttempt():
            return about.status
        case SettledItem():
            return "not explained" if about.transaction_id is None else "posted"
        case WebhookEvent():
            return about.outcome or "not processed"
    return about.state


def _ask_about_order(order: GatewayOrder, now: datetime) -> None:
    check_order(order=order, now=now)


def _ask_about_payment(attempt: PaymentAttempt, now: datetime) -> None:
    check_order(order=attempt.order, now=now)


def _ask_about_payout(payout: Payout, now: datetime) -> None:
    payouts.ask_at_once(payout=payout, now=now)


def _ask_about_refund(refund: GatewayRefund, now: datetime) -> None:
    refunds.ask_at_once(refund=refund, now=now)


def _ask_about_dispute(dispute: Dispute, now: datetime) -> None:
    follow_dispute(gateway=dispute.gateway, dispute_id=dispute.dispute_id, now=now)


def _ask_about_settled_item(item: SettledItem, now: datetime) -> None:
    """Its whole day, for the gateway tells no single item."""
    collect_settlements(gateway=item.gateway, date=localdate(item.settled_at), now=now)


def _ask_about_event(event: WebhookEvent, now: datetime) -> None:
    """
    As if it had just come, however often it was tried before.

    :raises Refusal: `busy`: it could not be followed now, and waits for the sweep.
    """
    WebhookEvent.objects.filter(pk=event.pk).update(processed_at=None, due_at=now, tries=0)
    process_event(event_id=event.pk, now=now)
    event.refresh_from_db(fields=["processed_at", "outcome"])
    if event.processed_at is None:
        raise Refusal(
            "busy", f"It could not be followed now ({event.outcome or 'no answer'}); it is tried again later."
        )


_DEEDS: Final[Mapping[type[Subject], Callable[[Any, datetime], None]]] = {
    GatewayOrder: _ask_about_order,
    PaymentAttempt: _ask_about_payment,
    Payout: _ask_about_payout,
    GatewayRefund: _ask_about_refund,
    Dispute: _ask_about_dispute,
    SettledItem: _ask_about_settled_item,
    WebhookEvent: _ask_about_event,
}
