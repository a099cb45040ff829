"""
Idempotency: one request, one effect, one answer, for ever.

The kernel keeps the keys and replays them under its locks; here is what stands around that. A second request under
a key that is still being worked on waits for the first in the kernel's turnstile and then replays. Should that take
longer than the database's lock time-out, it is answered 503 `busy`, for the kernel cannot tell whose request it
waited for; a retry replays. A top-up waits for the gateway outside of the kernel: there the second request waits a
few seconds for the first and is then answered 409 `idempotency_key_in_progress` (see `orders`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from accounts.models import Actor
from ledger.models import IdempotencyKey
from ledger.movements import Key, Outcome
from ledger.walk import REFUSED_STATUS
from wallet_project.kernel.errors import Refusal

HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotent-Replayed"
# Visible ASCII: neither blanks nor control characters.
_SHAPE: Final = re.compile(r"[\x21-\x7e]{1,255}\Z")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What became of a request that moves money: the same for the first and for every later one under its key.

    :param transaction: primary key; of a refusal, of the FAILED transaction that records it.
    :param code: the refusal's, or empty.
    :param http_status: what the API answers.
    :param checkout: where to pay, of a top-up; as first given.
    """

    transaction: int
    code: str
    http_status: int
    replayed: bool
    checkout: dict[str, Any] | None = None


def check_key(text: str | None) -> str:
    """
    :raises Refusal: `idempotency_key_required`, `idempotency_key_invalid`.
    """
    if text is None:
        raise Refusal("idempotency_key_required", f"Send a fresh {HEADER} with every new request.")
    if not _SHAPE.match(text):
        raise Refusal("idempotency_key_invalid", f"An {HEADER} is 1 to 255 visible ASCII characters.")
    return text


def answer_of(outcome: Outcome) -> Answer:
    """
    :raises Refusal: `idempotency_key_reused`.
    """
    if outcome.kind == "key_reused":
        raise Refusal("idempotency_key_reused")
    return Answer(
        transaction=outcome.transactions[0],
        code=outcome.code,
        http_status=outcome.http_status,
        replayed=outcome.kind == "replayed",
    )


def earlier_answer(*, initiator: Actor | int, key: Key) -> Answer | None:
    """
    What this key was answered before, or None if it is new.

    :raises Refusal: `idempotency_key_reused`.
    """
    known = IdempotencyKey.objects.select_related("transaction").filter(initiator=initiator, key=key.key).first()
    if known is None:
        return None
    if bytes(known.fingerprint) != key.fingerprint:
        raise Refusal("idempotency_key_reused")
    refused = known.http_status == REFUSED_STATUS
    return Answer(
        transaction=known.transaction_id,
        code=known.transaction.failure_code if refused else "",
        http_status=known.http_status,
        replayed=True,
        checkout=known.checkout,
    )


def look_up(find: Callable[[], T], *, initiator: Actor, key: Key) -> T | Answer:
    """
    What `find` finds; or, where that is not to be found, the earlier answer of a known key.

    A replay is answered even if its payee has vanished since. Looking the key up only then spares every other
    request a query: the kernel looks it up again in any case.

    :raises Refusal: as `find`, if the key is new.
    """
    try:
        return find()
    except Refusal:
        earlier = earlier_answer(initiator=initiator, key=key)
        if earlier is None:
            raise
        return earlier
