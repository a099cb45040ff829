"""Paying merchants."""

from datetime import datetime

from accounts.actors import actor_of
from accounts.models import User
from ledger.models import Transaction
from ledger.movements import Group, Key, Movement
from payments.authorising import post_asked_for
from payments.idempotency import Answer, look_up
from payments.payees import Parties, find_parties, read_merchant
from payments.spending import Payee
from payments.texts import check_note, check_order_reference
from payments.transfers import Quote, quote
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.money import Money


def pay_merchant(
    *,
    payer: User,
    merchant: str,
    amount: Money,
    key: str,
    order_reference: str = "",
    note: str = "",
    wallet: str | None = None,
    step_up: str | None = None,
    now: datetime,
) -> Answer:
    """
    Pay a merchant from a person's wallet, once for each key.

    :param merchant: its `mer_` id or handle, as typed.
    :param order_reference: the merchant's own name for what is paid; both sides see it.
    :param wallet: another wallet of the payer's than the USER one (a `wal_` id).
    :param step_up: `<challenge>:<code>`, where an earlier answer asked for it.
    :returns: done, or refused with a code that is kept, as in `send_money`.
    :raises Refusal: as `send_money`.
    """
    address, note, order_reference = read_merchant(merchant), check_note(note), check_order_reference(order_reference)
    actor = actor_of(payer)
    request = Key(
        key=key,
        fingerprint=fingerprint(
            "wallet/pay",
            merchant=merchant,
            amount=amount.text,
            currency=amount.currency,
            order_reference=order_reference,
            note=note,
            wallet=wallet,
        ),
    )
    found = look_up(lambda: find_parties(payer=payer, wanted=wallet, address=address), initiator=actor, key=request)
    if isinstance(found, Answer):
        return found
    movement = _movement(found, amount, note, order_reference)
    return post_asked_for(
        user=payer,
        group=Group(initiator=actor.pk, movements=(movement,), key=request),
        payee=Payee(wallet=found.payee),
        payee_name=found.payee_name,
        step_up=step_up,
        now=now,
    )


def preview_payment(
    *,
    payer: User,
    merchant: str,
    amount: Money,
    order_reference: str = "",
    note: str = "",
    wallet: str | None = None,
) -> Quote:
    """
    What `pay_merchant` would do now. Moves nothing, keeps nothing.

    :raises Refusal: any of `pay_merchant`'s, kept ones too.
    """
    address, note, order_reference = read_merchant(merchant), check_note(note), check_order_reference(order_reference)
    parties = find_parties(payer=payer, wanted=wallet, address=address)
    movement = _movement(parties, amount, note, order_reference)
    return quote(group=Group(initiator=actor_of(payer).pk, movements=(movement,)), parties=parties, amount=amount)


def _movement(parties: Parties, amount: Money, note: str, order_reference: str) -> Movement:
    return Movement(
        type=Transaction.Type.PAY,
        amount=amount.amount,
        currency=amount.currency,
        from_wallet=parties.payer,
        to_wallet=parties.payee,
        note=note,
        refuse=parties.refuse,
        metadata={"order_reference": order_reference} if order_reference else {},
    )
