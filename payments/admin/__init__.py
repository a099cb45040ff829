"""
Payments as support, leads and auditors see them: one module a room.

All of it is read-only. Support has buttons that are deeds: ask the gateway again, resolve a case, and (leads) propose
to give a top-up back or other limits, and decide what another proposed.
"""

from payments.admin import (
    bank_accounts,
    cases,
    dead_letters,
    disputes,
    events,
    limits,
    merchant_webhooks,
    money_backs,
    orders,
    payouts,
    proposals,
    refunds,
    settlements,
)

__all__ = [
    "bank_accounts",
    "cases",
    "dead_letters",
    "disputes",
    "events",
    "limits",
    "merchant_webhooks",
    "money_backs",
    "orders",
    "payouts",
    "proposals",
    "refunds",
    "settlements",
]
