"""What support, leads and auditors see of people: one module for each room of it."""

from accounts.admin import people, security_events

__all__ = ["people", "security_events"]
