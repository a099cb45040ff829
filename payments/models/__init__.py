"""What the wallet knows of the gateway's and the banks' side."""

from payments.models.bank_accounts import BankAccount
from payments.models.cases import Case
from payments.models.disputes import Dispute
from payments.models.events import WebhookEvent
from payments.models.limits import HoldingLimit, Limited, LimitRule, OwnLimit
from payments.models.merchant_webhooks import WebhookAttempt, WebhookEndpoint, WebhookMessage
from payments.models.money_back import MoneyBack
from payments.models.orders import GatewayOrder, ParkedPayment, PaymentAttempt
from payments.models.payouts import Payout
from payments.models.proposals import Proposal
from payments.models.reconciliations import Reconciliation
from payments.models.refunds import GatewayRefund
from payments.models.settlements import SettledItem
from payments.models.spending import Spending
from payments.models.step_ups import StepUp

__all__ = [
    "BankAccount",
    "Case",
    "Dispute",
    "GatewayOrder",
    "GatewayRefund",
    "HoldingLimit",
    "LimitRule",
    "Limited",
    "MoneyBack",
    "OwnLimit",
    "ParkedPayment",
    "PaymentAttempt",
    "Payout",
    "Proposal",
    "Reconciliation",
    "SettledItem",
    "Spending",
    "StepUp",
    "WebhookAttempt",
    "WebhookEndpoint",
    "WebhookEvent",
    "WebhookMessage",
]
