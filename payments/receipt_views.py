"""The receipt of a transaction: what became of it, as it stands now."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.signed_in import SignedInRequest, signed_in
from ledger.models import Transaction
from ledger.queries import SeenTransaction, find_transaction
from payments.forms import MoneyForm, new_key
from payments.models import GatewayOrder
from payments.money_back import can_ask
from payments.money_back_queries import latest_about
from payments.person_blocks import counterparty_of, keeps_away
from payments.provenance import provenance_of
from payments.receipt_wording import is_settling, receipt_with, sentence_of_dispute
from payments.refreshing import look_again
from payments.refunds import refundable_of
from payments.standing import ask_again, standing_of
from wallet_project.kernel.redirects import see_other


@signed_in
@require_safe
def receipt(request: SignedInRequest, transaction: str) -> HttpResponse:
    """Whichever way it went, or may still go. The checkout's return leads here; so does a reload, at any time."""
    now, user = timezone.now(), request.user
    seen = find_transaction(user=user, transaction=transaction)
    behind = provenance_of(user=user, seen=seen)
    is_topup = seen.type == Transaction.Type.ADD
    settling = is_settling(seen=seen, behind=behind)
    waits = is_topup and seen.status == Transaction.Status.PENDING
    shown = {
        "receipt": receipt_with(seen=seen, behind=behind, now=now),
        "standing": standing_of(user=user, transaction=transaction, now=now) if waits else None,
        "never_opened": waits and behind.order is not None and behind.order.state == GatewayOrder.State.NEW,
        # A payment may still come after its time, and is added then.
        "can_ask": waits or (is_topup and seen.failure_code == "order_expired" and not behind.relatives),
        "dispute": sentence_of_dispute(behind.dispute) if is_topup else "",
        "refundable": refundable_of(user=user, transaction=transaction) if is_topup else None,
        "waits": settling,
        **_of_transfer(user, seen, now),
        "look_again": look_again(request.GET.dict()) if settling else "",
    }
    return render(request, "payments/receipt.html", shown)


def _of_transfer(user: User, seen: SeenTransaction, now: datetime) -> dict[str, Any]:
    """What two people may still say to one another about money that one sent the other."""
    if seen.type != Transaction.Type.TRANSFER or seen.counterparty_wallet is None:
        return {}
    other = counterparty_of(user=user, transaction=seen.public_id)
    money_back = latest_about(user=user, transaction=seen.pk)
    may_answer = money_back is not None and money_back.is_open and money_back.role == "asked"
    return {
        "money_back": money_back,
        "give_form": MoneyForm(initial={"key": new_key()}) if may_answer else None,
        "can_ask_back": seen.direction == "out" and can_ask(user=user, transaction=seen.public_id, now=now),
        "can_block": other is not None,
        "is_blocked": other is not None
        and other.owner_id is not None
        and keeps_away(blocker=user.pk, blocked=other.owner_id),
    }


@signed_in
@require_POST
def check(request: SignedInRequest, transaction: str) -> HttpResponse:
    """Ask the gateway now, then show the receipt."""
    before = find_transaction(user=request.user, transaction=transaction)
    asked = ask_again(user=request.user, transaction=transaction, now=timezone.now())
    after = find_transaction(user=request.user, transaction=transaction)
    if not asked:
        messages.warning(
            request,
            "Our payment partner cannot be reached just now. Nothing is lost: if you have paid, the money is added as "
            "soon as they answer, even if you close this page.",
        )
    elif (before.status, after.status) == (Transaction.Status.PENDING, Transaction.Status.PENDING):
        messages.info(request, "We have just asked: no payment has arrived yet.")
    return see_other("receipt", transaction)
