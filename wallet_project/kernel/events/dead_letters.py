"""
What a group could not take in, however often it tried: kept with the cause, told to the broker, tried again on demand.

The row is the truth. The topic `wallet.events.dead.<group>` tells whoever watches the broker, at least once.
"""

import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from wallet_project.kernel import logs
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.events.envelope import CONTENT_TYPE, TOPIC, read_event
from wallet_project.kernel.events.producing import BrokerAway, Publisher
from wallet_project.kernel.events.recording import Handler, NotGenuine, is_database_away
from wallet_project.kernel.models import ConsumedEvent, ConsumerGroup, DeadLetter

log = structlog.get_logger("wallet.events.dead_letters")

DEAD_TOPIC: Final = "wallet.events.dead"
MOST_AT_ONCE: Final = 100
# Neither taken in after all nor given up.
WAITING: Final = Q(replayed_at__isnull=True, discarded_at__isnull=True)
_CAUSE_LENGTH: Final = 500
# In the topic, where it has to be made; and until a broker that was away is looked for again.
KEPT_DAYS: Final = 30
AGAIN_SECONDS: Final = 15.0
_CHECKOUT: Final = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a message lay, and what was in it."""

    partition: int
    offset: int
    value: bytes


def bury(*, group_id: int, event_id: UUID, place: Place, error: BaseException, tries: int, now: datetime) -> None:
    """Keep a message with its cause, marked as done with; both or neither. A second time changes nothing."""
    require_transaction("default")
    mark = ConsumedEvent(group_id=group_id, event_id=event_id, is_dead=True, recorded_at=now)
    ConsumedEvent.objects.bulk_create([mark], ignore_conflicts=True)
    letter = DeadLetter(
        group_id=group_id,
        event_id=event_id,
        partition=place.partition,
        offset=place.offset,
        value=place.value,
        cause=cause_of(error),
        tries=tries,
        created_at=now,
    )
    DeadLetter.objects.bulk_create([letter], ignore_conflicts=True)
    log.error("consumer.dead_letter", event_id=str(event_id), partition=place.partition, offset=place.offset)


def cause_of(error: BaseException) -> str:
    """What went wrong and where, for a person: without the values that a database's refusal repeats."""
    lines = str(error).splitlines() or [""]
    # The lines after the first show keys and rows.
    words = logs.scrub(lines[0].replace("\0", "").encode(errors="replace").decode())
    return f"{type(error).__name__} at {_where(error)}: {words}"[:_CAUSE_LENGTH]


def _where(error: BaseException) -> str:
    """The innermost line of ours: a file and a line."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_CHECKOUT) and "site-packages" not in path.parts:
            return f"{path.relative_to(_CHECKOUT)}:{frame.lineno}"
    return "an unknown place"


class Teller:
    """Tells the broker of the group's dead letters; what it could not tell, a later call tells."""

    def __init__(self, *, group_id: int, group: str, servers: str) -> None:
        self._group_id = group_id
        self._group = group
        self._publisher = Publisher(servers, topic=f"{DEAD_TOPIC}.{group}", retention_days=KEPT_DAYS)
        self._under_way: set[int] = set()
        self._again_at = 0.0

    def tell(self, *, now: datetime) -> None:
        """Note what has arrived, and send what waits; returns at once where the broker answers."""
        if time.monotonic() < self._again_at:
            return
        try:
            self.note(now=now)
            letters = DeadLetter.objects.filter(
                group_id=self._group_id, replayed_at__isnull=True, published_at__isnull=True
            )
            for letter in letters.exclude(pk__in=self._under_way).order_by("created_at")[:MOST_AT_ONCE]:
                self._publisher.open()
                self._send(letter)
        except BrokerAway as error:
            self._under_way.clear()
            self._again_at = time.monotonic() + AGAIN_SECONDS
            log.warning("dead_letter.untold", group=self._group, reason=str(error))

    def note(self, *, now: datetime, wait_seconds: float = 0.0) -> None:
        """
        Mark the letters that the broker has acknowledged.

        :raises BrokerAway:
        """
        if not self._under_way:
            return
        told = self._publisher.collect(wait_seconds)
        # First: what cannot be marked now is told once more, rather than be under way for ever.
        self._under_way.difference_update(told)
        DeadLetter.objects.filter(pk__in=told, published_at__isnull=True).update(published_at=now)

    def close(self) -> None:
        """What is under way gets no more time; it is told again after the next start."""
        self._publisher.abandon()

    def _send(self, letter: DeadLetter) -> None:
        self._publisher.send(
            letter.pk,
            key=str(letter.event_id).encode(),
            value=bytes(letter.value),
            headers=list(headers_of(letter, group=self._group).items()),
        )
        self._under_way.add(letter.pk)


def headers_of(letter: DeadLetter, *, group: str) -> dict[str, bytes]:
    """The cause without its words: those may repeat what a person wrote, and nothing of that is for the broker."""
    words = {
        "content-type": CONTENT_TYPE,
        "cause": letter.cause.partition(": ")[0],
        "group": group,
        "topic": TOPIC,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "tries": str(letter.tries),
    }
    return {name: word.encode() for name, word in words.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What became of one letter. `failed` is the cause, or empty for what has been taken in."""

    event_id: UUID
    group: str
    failed: str = ""


def waiting(*, group: str, event_id: UUID | None = None) -> list[DeadLetter]:
    """The group's letters that nobody has replayed or discarded, the oldest first."""
    letters = DeadLetter.objects.filter(WAITING, group__name=group)
    if event_id is not None:
        letters = letters.filter(event_id=event_id)
    return list(letters.select_related("group").order_by("pk"))


def replay_all(*, group: str, handler: Handler, event_id: UUID | None = None) -> Iterator[Replay]:
    """
    Try the waiting letters again in their order, each in a transaction of its own.

    Several may run: a letter that another has in hand is passed over. A database that goes away ends it, and what was
    done by then stays done.
    """
    for letter in waiting(group=group, event_id=event_id):
        outcome = replay(letter_id=letter.pk, handler=handler, now=timezone.now())
        if outcome is not None:
            yield outcome


def replay(*, letter_id: int, handler: Handler, now: datetime) -> Replay | None:
    """
    Try one letter again. None where there was nothing left to try, or another has it in hand.

    :raises django.db.OperationalError: the database is away, which says nothing of the letter.
    """
    failed = ""
    try:
        with transaction.atomic():
            letter = _locked(letter_id)
            if letter is None:
                return None
            event = read_event(bytes(letter.value))
            if event.id != letter.event_id:
                raise NotGenuine("nothing that was ever told; the event whose id it bears is owed by itself")
            handler([event])
            letter.replayed_at = now
            letter.save(update_fields=["replayed_at"])
            ConsumedEvent.objects.filter(group_id=letter.group_id, event_id=letter.event_id).update(is_dead=False)
    except Exception as error:
        if is_database_away(error):
            raise
        failed = cause_of(error)
        DeadLetter.objects.filter(pk=letter_id, replayed_at__isnull=True).update(cause=failed)
        letter = DeadLetter.objects.get(pk=letter_id)
    group = ConsumerGroup.objects.get(pk=letter.group_id).name
    log.info("dead_letter.replayed", event_id=str(letter.event_id), group=group, failed=bool(failed))
    return Replay(event_id=letter.event_id, group=group, failed=failed)


def discard(*, letter_id: int, reason: str, now: datetime) -> bool:
    """
    Give one letter up: it is kept, its event stays marked as done with, and nobody takes it in any more.

    :returns: whether it still waited, and nobody had it in hand.
    """
    with transaction.atomic():
        letter = _locked(letter_id)
        if letter is None:
            return False
        letter.discarded_at, letter.discard_reason = now, reason
        letter.save(update_fields=["discarded_at", "discard_reason"])
    log.info("dead_letter.discarded", event_id=str(letter.event_id))
    return True


def _locked(letter_id: int) -> DeadLetter | None:
    """The letter, held until the transaction ends; None where it waits no more, or another holds it."""
    rows = DeadLetter.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=letter_id)
    return rows.filter(WAITING).first()
