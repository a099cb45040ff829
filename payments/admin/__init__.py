"""
Payments as support, leads and auditors see them: one module a room.

All of it is read-only. Support has three buttons that are deeds: ask the gateway again, resolve a case, and (leads)
give a top-up back.
"""

from payments.admin import bank_accounts, cases, disputes, events, orders, payouts, refunds, settlements

__all__ = ["bank_accounts", "cases", "disputes", "events", "orders", "payouts", "refunds", "settlements"]
