"""
The courier: carries events to the merchant from the background, as often as it takes.

At least once and in no order. What is due stands in the state file, so a killed sandbox goes on where it
was; a letter that was on its way is sent again under the same event id.
"""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

from payments.sandbox.deliveries import disable_endpoint, endpoint_disabled_at, gives_up, is_forgers
from payments.sandbox.state import State

# The gateway's own bound: an answer later than this is a failure, whatever it says.
ANSWER_WITHIN_SECONDS = 5.0
# Five copies of each of several events must be able to travel at once, beside slow receivers.
CARRIERS = 32
BACKOFF_SECONDS = (1, 2, 4, 8, 16, 32, 64, 128)
BACKOFF_LARGEST_SECONDS = 300
_IDLE_SECONDS = 30.0

logger = logging.getLogger("sandbox.courier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One letter that is due."""

    id: int
    tries: int
    give_up_at: float
    written_at: int
    event_id: str
    event: str
    body: bytes
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one try; `error` is empty exactly if the merchant took the letter."""

    sent_at: float
    took_seconds: float
    http_status: int | None
    error: str


class Courier:
    """One thread that looks for what is due, and carriers that bring it."""

    def __init__(self, *, state: State, url: str) -> None:
        self._state = state
        self._url = url
        self._carriers = ThreadPoolExecutor(CARRIERS, thread_name_prefix="carrier")
        self._carried: set[int] = set()
        self._guard = threading.Lock()
        self._bell = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Begin with whatever an earlier process left undelivered."""
        self._thread.start()

    def ring(self) -> None:
        """Something is due: look now. Called after the unit of work that wrote it."""
        self._bell.set()

    def stop(self) -> None:
        """Hand out nothing more. Letters on their way are not waited for: the next start repeats them."""
        self._stopping = True
        self._bell.set()
        self._thread.join(timeout=2.0)
        self._carriers.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while not self._stopping:
            self._bell.clear()
            due, wait_seconds = self._look()
            for delivery in due:
                self._carriers.submit(self._carry, delivery)
            self._bell.wait(wait_seconds)

    def _look(self) -> tuple[list[Delivery], float]:
        """What no carrier has yet, as many as there are free carriers; and how long until the next is due."""
        now = time.time()
        with self._state.unit() as db, self._guard:
            if endpoint_disabled_at(db) is not None:
                return [], _IDLE_SECONDS
            rows = db.execute(
                """
                SELECT d.id, d.tries, d.give_up_at, d.due_at, d.event_id,
                    e.name AS event, e.body, e.signature, e.created_at AS written_at
                FROM deliveries d JOIN events e ON e.id = d.event_id
                WHERE d.status = 'pending' ORDER BY d.due_at LIMIT ?
                """,
                [2 * CARRIERS],
            ).fetchall()
            waiting = [row for row in rows if row["id"] not in self._carried]
            free = CARRIERS - len(self._carried)
            due = [row for row in waiting if row["due_at"] <= now][:free]
            self._carried.update(row["id"] for row in due)
        later = [row["due_at"] - now for row in waiting if row["due_at"] > now]
        fields = ("id", "tries", "give_up_at", "written_at", "event_id", "event", "body", "signature")
        return [Delivery(**{name: row[name] for name in fields}) for row in due], min([*later, _IDLE_SECONDS])

    def _carry(self, delivery: Delivery) -> None:
        try:
            self._record(delivery, post(url=self._url, delivery=delivery))
        except Exception:
            # A bug, not a receiver. The letter stays with this carrier until the next start, lest it
            # be sent again and again without its tries being counted.
            if not self._stopping:
                logger.exception("sandbox.courier.broken delivery=%s", delivery.id)
            return
        with self._guard:
            self._carried.discard(delivery.id)
        self._bell.set()

    def _record(self, delivery: Delivery, answer: Answer) -> None:
        tries = delivery.tries + 1
        due_at = time.time() + backoff_seconds(tries=tries)
        given_up = gives_up(
            tries=tries, next_due_at=due_at, give_up_at=delivery.give_up_at, written_at=delivery.written_at
        )
        status = "delivered" if not answer.error else "exhausted" if given_up else "pending"
        with self._state.unit() as db:
            db.execute(
                """
                INSERT INTO delivery_tries (delivery_id, try, sent_at, took_ms, http_status, error)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
                [delivery.id, tries, answer.sent_at, int(answer.took_seconds * 1000), answer.http_status, answer.error],
            )
            db.execute(
                "UPDATE deliveries SET status = ?, tries = ?, due_at = ? WHERE id = ?",
                [status, tries, due_at, delivery.id],
            )
            if status == "exhausted" and not is_forgers(delivery.give_up_at, delivery.written_at):
                disable_endpoint(db, now=int(time.time()))
        logger.info(
            "sandbox.webhook event=%s event_id=%s try=%s status=%s answer=%s %s",
            delivery.event,
            delivery.event_id,
            tries,
            status,
            answer.http_status,
            answer.error,
        )


def backoff_seconds(*, tries: int) -> int:
    """How long to wait after that many failed tries."""
    return BACKOFF_SECONDS[tries - 1] if tries <= len(BACKOFF_SECONDS) else BACKOFF_LARGEST_SECONDS


def post(*, url: str, delivery: Delivery) -> Answer:
    """Bring one letter to the merchant's door. Never raises for what the merchant does."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Razorpay-Webhook/v1",
        "X-Razorpay-Signature": delivery.signature,
        "x-razorpay-event-id": delivery.event_id,
    }
    sent_at, began = time.time(), time.monotonic()
    status, error = None, ""
    try:
        with requests.Session() as session:
            # A proxy from the environment has no business between two processes of one machine.
            session.trust_env = False
            # Only the status counts, so the body stays unread: a receiver cannot hold a carrier with it.
            response = session.post(
                url,
                data=delivery.body,
                headers=headers,
                timeout=ANSWER_WITHIN_SECONDS,
                allow_redirects=False,
                stream=True,
            )
            status = response.status_code
    except requests.RequestException as failure:
        error = type(failure).__name__
    took_seconds = time.monotonic() - began
    if status is not None and not 200 <= status < 300:
        error = "refused"
    elif status is not None and took_seconds > ANSWER_WITHIN_SECONDS:
        error = "too slow"
    return Answer(sent_at=sent_at, took_seconds=took_seconds, http_status=status, error=error)
