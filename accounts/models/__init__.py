"""Who people are, how they prove it, what they are told, and what is on record of it."""

from accounts.models.changes import AddressChange, Consent, LostFactor
from accounts.models.factors import Passkey, RecoveryCode, RecoveryDevice, TotpDevice
from accounts.models.history import SecurityEvent, StatusChange
from accounts.models.kyc import KycSubmission
from accounts.models.messages import AddressTries, InboxMessage, OutgoingMessage, VerificationCode
from accounts.models.notifications import Notification, NotificationPreference
from accounts.models.people import Actor, Channel, User, UserManager
from accounts.models.person_blocks import PersonBlock
from accounts.models.push import PushSubscription
from accounts.models.sessions import KnownDevice, Session

__all__ = [
    "Actor",
    "AddressChange",
    "AddressTries",
    "Channel",
    "Consent",
    "InboxMessage",
    "KnownDevice",
    "KycSubmission",
    "LostFactor",
    "Notification",
    "NotificationPreference",
    "OutgoingMessage",
    "Passkey",
    "PersonBlock",
    "PushSubscription",
    "RecoveryCode",
    "RecoveryDevice",
    "SecurityEvent",
    "Session",
    "StatusChange",
    "TotpDevice",
    "User",
    "UserManager",
    "VerificationCode",
]
