"""What the wallet asks of a payment gateway, in words of its own; and how one fails."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal, Protocol, Self

from wallet_project.kernel.errors import GatewayError


class GatewayUnavailable(GatewayError):
    """No answer, or none that says anything: asked again later it may well work."""


class GatewayRefused(GatewayError):
    """The gateway understood and said no: asked again it says the same."""


class NotOffered(GatewayRefused):
    """This gateway has no such thing at all."""

    def __init__(self, what: str) -> None:
        super().__init__(f"This gateway does not offer {what}.")


# Our credentials, somebody else's turn, or too many at once: none of them says anything of the request itself.
_NOT_ABOUT_THE_REQUEST: Final = (401, 403, 408, 409, 425, 429)


def is_definite(error: GatewayError) -> bool:
    """Whether the gateway understood this very request and said no, now and for ever."""
    return isinstance(error, GatewayRefused) and error.http_status not in _NOT_ABOUT_THE_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOrder:
    """An order as the gateway has it. `amount_minor` in paise."""

    id: str
    amount_minor: int
    currency: str
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePayment:
    """
    One attempt to pay an order, as the gateway has it now. Amounts in paise.

    :ivar status: `created`, `authorized`, `captured`, `refunded` (all of it) or `failed`.
    :ivar reference: the payer's bank's own: RRN, UTR or the like.
    :ivar fee_minor: what the gateway keeps, tax included; None while it is not known.
    """

    id: str
    order_id: str
    amount_minor: int
    currency: str
    status: str
    method: str
    refunded_minor: int
    error_code: str
    error_reason: str
    reference: str = ""
    fee_minor: int | None = None
    tax_minor: int | None = None
    created_at: datetime | None = None

    @property
    def is_captured(self) -> bool:
        """The gateway owes us this money, all of it."""
        return self.status == CAPTURED and self.refunded_minor == 0

    @property
    def was_captured(self) -> bool:
        """The gateway had this money, whatever of it has gone back since."""
        return self.status in (CAPTURED, REFUNDED)


AUTHORIZED: Final = "authorized"
CAPTURED: Final = "captured"
REFUNDED: Final = "refunded"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRefund:
    """
    A refund as the gateway has it now. In paise.

    :ivar reference: the payer's bank's own: ARN, RRN or the like.
    :ivar key: ours, where the gateway carries it back; empty for a refund that was made without us.
    """

    id: str
    payment_id: str
    amount_minor: int
    currency: str
    state: Literal["PENDING", "PROCESSED", "FAILED"]
    status: str
    reference: str = ""
    key: str = ""
    reason: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePayout:
    """
    A payout as the gateway has it now. In paise.

    :ivar state: ours; FAILED also stands for rejected and cancelled.
    :ivar status: the gateway's own word.
    :ivar reference: ours, as we gave it.
    :ivar fee_minor: charged on top of the amount, tax included; None while it is not known.
    """

    id: str
    reference: str
    amount_minor: int
    currency: str
    state: Literal["QUEUED", "PROCESSING", "PROCESSED", "FAILED", "REVERSED"]
    status: str
    utr: str = ""
    reason: str = ""
    fee_minor: int | None = None
    tax_minor: int | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteValidation:
    """Whether a bank account exists, and whose it is, as far as its bank has said."""

    id: str
    state: Literal["ASKED", "VALID", "INVALID"]
    registered_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteDispute:
    """A dispute as the gateway has it now. In paise. `state` as `payments.models.Dispute.State`."""

    id: str
    payment_id: str
    amount_minor: int
    currency: str
    state: Literal["OPEN", "UNDER_REVIEW", "ACTION_REQUIRED", "WON", "LOST", "CLOSED"]
    reason: str = ""
    deducted_minor: int = 0
    respond_by: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettledItem:
    """
    One line of a settlement: credit = amount less fee for a payment; a refund or an adjustment is a debit. In paise.

    :ivar kind: `payment`, `refund`, `adjustment` or `transfer`.
    :ivar fee_minor: tax included.
    :ivar dispute_id: of an adjustment for a lost dispute, where the gateway says which.
    """

    settlement_id: str
    entity_id: str
    kind: str
    debit_minor: int
    credit_minor: int
    amount_minor: int
    fee_minor: int
    tax_minor: int
    currency: str
    payment_id: str
    utr: str
    settled_at: datetime
    dispute_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """
    What a browser brings back from the checkout. Believed only with its signature and our own order.

    :ivar order_id: also where the payment failed, as far as the gateway says.
    """

    order_id: str
    payment_id: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """
    What a webhook is about. It is believed in nothing else: the gateway is asked for the truth.

    :ivar about: what to ask about; empty for what concerns nothing of ours.
    :ivar on: for settlements, the day.
    """

    name: str
    about: Literal["", "order", "refund", "payout", "dispute", "settlement"] = ""
    order_id: str = ""
    payment_id: str = ""
    refund_id: str = ""
    payout_id: str = ""
    reference: str = ""
    dispute_id: str = ""
    on: date | None = None
    more: Mapping[str, str] = field(default_factory=dict)


class Gateway(Protocol):
    """
    Every call to the network ends within the time-outs of the settings, and raises

    - `GatewayUnavailable`: `may_have_happened` tells whether it may have taken effect all the same (a 5xx, a time-out,
      a connection broken after sending, a key that is in flight);
    - `GatewayRefused`: it did not happen, and will not; an id is not known. It tells of this very sending alone: where
      an earlier one ended in `may_have_happened`, look that up before anything is given back;
    - `NotOffered`, a `GatewayRefused`: there is no such thing here; nothing was sent.

    :ivar least_minor: the smallest amount that can be paid, in minor units.
    :ivar webhook_headers: which headers its webhooks carry, and whether they must be there.
    """

    name: str
    least_minor: int
    webhook_headers: Mapping[str, bool]

    @classmethod
    def from_settings(cls) -> Self:
        """
        :raises ImproperlyConfigured: with the name of the setting that is missing or malformed.
        """

    # Orders, and the payments of them.

    def create_order(self, *, amount_minor: int, currency: str, receipt: str) -> RemoteOrder:
        """Not idempotent by itself: look the receipt up first."""

    def find_order(self, *, receipt: str) -> RemoteOrder | None: ...

    def payments_of(self, *, order_id: str) -> list[RemotePayment]:
        """All attempts to pay an order: the truth."""

    def capture(self, *, payment_id: str, amount_minor: int, currency: str) -> RemotePayment:
        """Take the money of an authorized payment, all of it. Refused in any other state, captured too."""

    def checkout_of(self, order: RemoteOrder) -> dict[str, Any]:
        """Where and how a person pays this order, as the API shows it."""

    # Giving payments back.

    def refund(self, *, payment_id: str, amount_minor: int, currency: str, key: str, reference: str) -> RemoteRefund:
        """
        The same key answers the same refund, however often it is sent.

        :param key: 10 to 64 letters, digits, `_` and `-`.
        :param reference: ours, at most 40 characters; the gateway shows it.
        """

    def refund_of(self, *, refund_id: str) -> RemoteRefund: ...

    def refunds_of(self, *, payment_id: str) -> list[RemoteRefund]:
        """All refunds of a payment, ours and others'."""

    # Paying out to banks.

    def register_account(self, *, holder_name: str, ifsc: str, account_number: str, reference: str) -> str:
        """
        :returns: what the gateway knows the account by. The same account gives the same again.
        :raises NotOffered: nothing can be paid out through this gateway, or it is not set up for that.
        """

    def validate_account(self, *, fund_account_id: str, reference: str) -> RemoteValidation:
        """
        Begin to ask its bank whether an account exists.

        :raises NotOffered: this gateway cannot.
        """

    def validation_of(self, *, validation_id: str) -> RemoteValidation: ...

    def pay_out(
        self, *, fund_account_id: str, amount_minor: int, currency: str, key: str, reference: str, narration: str
    ) -> RemotePayout:
        """
        The same key answers the payout as it now stands, however often it is sent. Never a fresh key while the first
        may live: that pays twice.

        :param key: 4 to 36 letters, digits, `_` and `-`.
        :param reference: ours, at most 40 characters.
        :param narration: what the bank statement says; at most 30 letters, digits and spaces.
        :raises NotOffered: nothing can be paid out through this gateway, or it is not set up for that.
        """

    def payout_of(self, *, payout_id: str) -> RemotePayout: ...

    def find_payout(self, *, reference: str) -> RemotePayout | None:
        """By our own reference, for one whose answer never came."""

    # Disputes.

    def dispute_of(self, *, dispute_id: str) -> RemoteDispute: ...

    # What the gateway's books say, to hold ours against. `begin` included, `end` not; by the time of creation, which
    # some entities do not tell. Each comes once. A list that does not come to an end is `GatewayUnavailable`.

    def payments_between(self, *, begin: datetime, end: datetime) -> Iterator[RemotePayment]: ...

    def refunds_between(self, *, begin: datetime, end: datetime) -> Iterator[RemoteRefund]: ...

    def payouts_between(self, *, begin: datetime, end: datetime) -> Iterator[RemotePayout]: ...

    def disputes_between(self, *, begin: datetime, end: datetime) -> Iterator[RemoteDispute]: ...

    def settled_on(self, *, day: date) -> Iterator[RemoteSettledItem]:
        """Every item of the settlements of one day, the gateway's own (India's)."""

    # Words from outside. `headers` are found in any case, as Django's are.

    def read_return(self, fields: Mapping[str, str]) -> Return:
        """What a browser brought, from the fields of its form or query; empty words where it did not."""

    def is_genuine_return(self, *, order_id: str, payment_id: str, signature: str) -> bool:
        """Whether the gateway signed that this payment paid this order. Compared in constant time."""

    def is_genuine_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether the gateway signed these very bytes, with any secret that is still accepted."""

    def webhook_id(self, *, body: bytes, headers: Mapping[str, str]) -> str:
        """What tells this event from all others, the same in every retry; empty where it does not say."""

    def read_webhook(self, body: bytes) -> News:
        """What it is about; empty words where it does not say."""
