"""Every kind of act of staff that takes two people, and how it is dealt with: one line for each."""

from collections.abc import Mapping
from typing import Final

from payments import limit_rules, refund_proposals
from payments.models import Proposal
from payments.proposal_handling import Handling

HANDLINGS: Final[Mapping[str, Handling]] = {
    Proposal.Kind.REFUND: refund_proposals.HANDLING,
    Proposal.Kind.LIMIT: limit_rules.HANDLING_OF_LIMITS,
    Proposal.Kind.HOLDING: limit_rules.HANDLING_OF_HOLDINGS,
}
