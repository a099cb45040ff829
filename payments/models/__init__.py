"""What the wallet knows of the gateway's and the banks' side."""

from payments.models.bank_accounts import BankAccount
from payments.models.cases import Case
from payments.models.disputes import Dispute
from payments.models.events import WebhookEvent
from payments.models.orders import GatewayOrder, ParkedPayment, PaymentAttempt
from payments.models.payouts import Payout
from payments.models.reconciliations import Reconciliation
from payments.models.refunds import GatewayRefund
from payments.models.settlements import SettledItem

__all__ = [
    "BankAccount",
    "Case",
    "Dispute",
    "GatewayOrder",
    "GatewayRefund",
    "ParkedPayment",
    "PaymentAttempt",
    "Payout",
    "Reconciliation",
    "SettledItem",
    "WebhookEvent",
]
