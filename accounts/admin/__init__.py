"""What support, leads and auditors see of people: one module for each room of it."""

from accounts.admin import address_changes, kyc, lost_factors, outgoing_messages, people, security_events

__all__ = ["address_changes", "kyc", "lost_factors", "outgoing_messages", "people", "security_events"]
