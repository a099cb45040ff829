"""
Who looks at identity documents: our support, or a provider whose answer comes later.

A provider is one class with a name of its own and one line in `PROVIDERS`. Its answer, however it comes (a webhook, a
poll), is given to `accounts.kyc.decide_as_provider` and goes the same way as one of support's.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from accounts.models import KycSubmission

SUPPORT: Final = "support"


class KycProvider(Protocol):
    """Whoever is given submissions to look at."""

    def hand_over(self, *, submission: KycSubmission) -> str:
        """
        Called after the submission is committed, outside of any transaction; more than once where the first call's
        outcome is unknown, so what was handed over before is known by `submission.public_id`.

        :returns: the provider's own reference, by which its answer names the submission; empty where it needs none.
        """
        ...


class Support:
    """People of ours, who find it in the admin's queue."""

    def hand_over(self, *, submission: KycSubmission) -> str:  # noqa: ARG002  (the queue is the table itself)
        return ""


PROVIDERS: Final[Mapping[str, KycProvider]] = {SUPPORT: Support()}
# Who gets what is submitted from now on.
CHOSEN: Final = SUPPORT
