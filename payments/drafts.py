"""
Payments being reviewed, kept in the page session: so that a review has an address of its own, which Back and reload
may open again without sending anything, and which leads to the receipt once the payment was made.
"""

from typing import Final

from django.contrib.sessions.backends.base import SessionBase

MOST_DRAFTS: Final = 5
_NAME: Final = "drafts"
_RECEIPT: Final = "receipt"

# What was filled in, as typed, by the form's field names.
Draft = dict[str, str]


def keep_draft(session: SessionBase, *, page: str, draft: Draft) -> None:
    """Under its key; the oldest of too many goes."""
    drafts: dict[str, Draft] = session.get(_NAME, {})
    drafts.pop(draft["key"], None)
    drafts[draft["key"]] = {**draft, "page": page}
    for key in list(drafts)[:-MOST_DRAFTS]:
        del drafts[key]
    session[_NAME] = drafts


def find_draft(session: SessionBase, *, page: str, key: str) -> Draft | None:
    """What was filled in on this page under this key, if it is still kept."""
    draft: Draft | None = session.get(_NAME, {}).get(key)
    return draft if draft is not None and draft["page"] == page else None


def receipt_of_draft(draft: Draft) -> str | None:
    """The public id of the transaction that it became."""
    return draft.get(_RECEIPT)


def close_draft(session: SessionBase, *, key: str, receipt: str) -> None:
    """The payment was made: whoever comes back to its review is led to the receipt. Safe to call twice."""
    drafts: dict[str, Draft] = session.get(_NAME, {})
    if key in drafts:
        drafts[key][_RECEIPT] = receipt
        session[_NAME] = drafts
