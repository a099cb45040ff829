"""Sending money from one person to another."""

from dataclasses import dataclass
from datetime import datetime

from accounts.actors import actor_of
from accounts.models import User
from ledger.models import Transaction
from ledger.movements import Group, Key, Movement
from ledger.posting import preview
from payments.authorising import Foreseen, post_asked_for
from payments.idempotency import Answer, look_up
from payments.payees import Parties, find_parties, read_payee
from payments.spending import Payee
from payments.texts import check_note
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a payment would cost and leave behind, if it were made now. Promises nothing."""

    amount: Money
    fee: Money
    balance_after: Money
    payee_name: str
    step_up_required: bool = False


def send_money(
    *,
    sender: User,
    to: str,
    amount: Money,
    key: str,
    note: str = "",
    wallet: str | None = None,
    step_up: str | None = None,
    now: datetime,
) -> Answer:
    """
    Move money from a person's wallet to another's, once for each key.

    :param to: an e-mail address, a phone number or a wallet id, as typed.
    :param wallet: another wallet of the sender's than the USER one (a `wal_` id).
    :param step_up: `<challenge>:<code>`, where an earlier answer asked for it.
    :returns: done, or refused with a code that is kept: `insufficient_funds`, `limit_exceeded`, `wallet_frozen`,
        `recipient_unavailable`, `same_wallet`, `currency_mismatch`.
    :raises Refusal: `invalid`, `not_found`, `payee_not_found`, `idempotency_key_reused`, `step_up_required`,
        `step_up_invalid`, `too_many_tries`, `busy`: nothing is kept.
    """
    address, note = read_payee(to), check_note(note)
    actor = actor_of(sender)
    request = Key(
        key=key,
        fingerprint=fingerprint(
            "wallet/transfer", to=to, amount=amount.text, currency=amount.currency, note=note, wallet=wallet
        ),
    )
    found = look_up(lambda: find_parties(payer=sender, wanted=wallet, address=address), initiator=actor, key=request)
    if isinstance(found, Answer):
        return found
    return post_asked_for(
        user=sender,
        group=Group(initiator=actor.pk, movements=(_movement(found, amount, note),), key=request),
        payee=Payee(wallet=found.payee),
        payee_name=found.payee_name,
        step_up=step_up,
        now=now,
    )


def preview_transfer(*, sender: User, to: str, amount: Money, note: str = "", wallet: str | None = None) -> Quote:
    """
    What `send_money` would do now. Moves nothing, keeps nothing.

    :raises Refusal: any of `send_money`'s, kept ones too.
    """
    address, note = read_payee(to), check_note(note)
    parties = find_parties(payer=sender, wanted=wallet, address=address)
    movement = _movement(parties, amount, note)
    return quote(group=Group(initiator=actor_of(sender).pk, movements=(movement,)), parties=parties, amount=amount)


def quote(*, group: Group, parties: Parties, amount: Money, payee: Payee | None = None) -> Quote:
    """
    The kernel's own judgement of a payment not made.

    :param payee: as spending is counted, where that is not the wallet which gets the money.
    :raises Refusal: what it would be refused for.
    """
    foreseen = Foreseen(payee or Payee(wallet=parties.payee))
    judged = preview([foreseen.guarded(group)])[0]
    if judged.code:
        raise Refusal(judged.code)
    return Quote(
        amount=amount,
        fee=Money.from_minor(0, amount.currency),
        balance_after=Money(judged.balances[parties.payer], parties.currency),
        payee_name=parties.payee_name,
        step_up_required=foreseen.asks,
    )


def _movement(parties: Parties, amount: Money, note: str) -> Movement:
    return Movement(
        type=Transaction.Type.TRANSFER,
        amount=amount.amount,
        currency=amount.currency,
        from_wallet=parties.payer,
        to_wallet=parties.payee,
        note=note,
        refuse=parties.refuse,
        # The one refusal that names no wallet keeps what its history shows of the payee.
        metadata={"payee_name": parties.payee_name} if parties.payee is None else {},
    )
