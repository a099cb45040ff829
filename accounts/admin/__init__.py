"""What support, leads and auditors see of people: one module for each room of it."""

from accounts.admin import kyc, people, security_events

__all__ = ["kyc", "people", "security_events"]
