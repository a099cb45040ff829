"""Good clients: whatever happens they ask again under the same key, and note what they asked for."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import requests

from tests.journeys.bad_day.plan import Job, TopUp, Withdrawal
from tests.journeys.contract import Api, Person, fresh_key, signed

# What may be asked again: a key in progress, too many at once, busy or no gateway.
_AGAIN: Final = (409, 429, 503)
_PATIENCE_SECONDS: Final = 180.0
_IMPATIENT_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 2.0
# Access tokens live ten minutes.
_TOKEN_GOOD_FOR_SECONDS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody asked for, by the answer's transaction id."""

    transaction: str
    person: int
    paise: int


@dataclass(slots=True)
class Notes:
    """
    What all clients know at the end of the day.

    :ivar again: why requests were sent again, and how often.
    """

    topups: list[Asked] = field(default_factory=list)
    withdrawals: list[Asked] = field(default_factory=list)
    again: Counter[str] = field(default_factory=Counter)
    replayed: int = 0


class Client:
    """One person's program, used from many threads."""

    def __init__(self, person: Person, *, number: int, notes: Notes) -> None:
        self._person = person
        self._number = number
        self._notes = notes
        self._accounts: dict[str, str] = {}
        self._lock = threading.Lock()
        self._since = time.monotonic()

    def add_account(self, ending: str) -> None:
        fields = {"holder_name": "Asha Rao", "ifsc": "HDFC0001234"}
        answer = self._me.post("/bank-accounts", {**fields, "account_number": f"5010{self._number:04d}{ending}"})
        assert answer.status_code == 201, answer.text
        self._accounts[ending] = str(answer.json()["id"])

    def do(self, job: Job) -> None:
        if isinstance(job, TopUp):
            self._top_up(job)
        elif isinstance(job, Withdrawal):
            self._withdraw(job)

    @property
    def paise(self) -> int:
        """What the wallet says that it holds."""
        return int(Decimal(self._me.balance) * 100)

    @property
    def wallet(self) -> str:
        return self._me.wallet

    @property
    def _me(self) -> Person:
        with self._lock:
            if time.monotonic() - self._since > _TOKEN_GOOD_FOR_SECONDS:
                self._person = self._person.api.enter(self._person.name, email=self._person.address)
                self._since = time.monotonic()
            return self._person

    def _top_up(self, job: TopUp) -> None:
        answer = self._insist(job, "/wallet/add", {"amount": rupees(job.paise)}, 201)
        body = answer.json()
        self._notes.topups.append(
            Asked(transaction=body["transaction"]["id"], person=self._number, paise=job.paise),
        )
        order, api = body["checkout"]["order_id"], self._me.api
        for vpa in job.vpas:
            back = api.checkout(order, f"{vpa}@razorpay")
            # 409: the late payment has paid it meanwhile.
            assert back.status_code in (200, 303, 409), back.text
            if back.status_code == 303:
                self._return(job, back)

    def _return(self, job: TopUp, back: requests.Response) -> None:
        """From the checkout, one way or another; a payment that failed brings nothing signed."""
        if job.returns == "follows the callback":
            location = back.headers["Location"]
            answer = self._answered(lambda: requests.get(location, allow_redirects=False, timeout=30), (303,))
            assert answer.headers["Location"].startswith("/"), answer.headers
        elif job.returns == "confirms" and "razorpay_signature" in back.headers["Location"]:
            fields = signed(back)
            answer = self._answered(lambda: self._me.confirm(fields), (200,))
            assert answer.json()["type"] == "ADD", answer.text

    def _withdraw(self, job: Withdrawal) -> None:
        body = {"bank_account": self._accounts[job.ending], "amount": rupees(job.paise)}
        answer = self._insist(job, "/wallet/withdraw", body, 202)
        self._notes.withdrawals.append(
            Asked(transaction=answer.json()["id"], person=self._number, paise=job.paise),
        )

    def _insist(self, job: Job, path: str, body: dict[str, str], status: int) -> requests.Response:
        key = fresh_key()
        if job.impatient:
            try:
                self._me.post(path, body, key=key, timeout=_IMPATIENT_SECONDS)
            except requests.RequestException:
                self._notes.again["hung up on"] += 1
        answer = self._answered(lambda: self._me.post(path, body, key=key), (status,))
        if job.forgetful:
            again = self._answered(lambda: self._me.post(path, body, key=key), (status,))
            assert again.headers["Idempotent-Replayed"] == "true"
            assert _ids(again) == _ids(answer)
            self._notes.replayed += 1
        return answer

    def _answered(self, send: Callable[[], requests.Response], statuses: tuple[int, ...]) -> requests.Response:
        """The same request until it is answered for good."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            pause = _PAUSE_SECONDS
            try:
                answer = send()
            except requests.RequestException as error:
                self._notes.again[type(error).__name__] += 1
            else:
                if answer.status_code in statuses:
                    return answer
                assert answer.status_code in _AGAIN, (answer.status_code, answer.text[:600])
                self._notes.again[f"{answer.status_code} {answer.json()['code']}"] += 1
                pause = min(float(answer.headers["Retry-After"]), _LONGEST_PAUSE_SECONDS)
            assert time.monotonic() < until, "nobody answers for good"
            time.sleep(pause)


def newcomers(api: Api, notes: Notes, *, people: int) -> list[Client]:
    return [Client(person, number=number, notes=notes) for number, person in enumerate(api.people(people))]


def rupees(paise: int) -> str:
    return f"{paise // 100}.{paise % 100:02d}"


def _ids(answer: requests.Response) -> tuple[str, str]:
    """The transaction's, and the order's where there is one."""
    body = answer.json()
    if "checkout" in body:
        return str(body["transaction"]["id"]), str(body["checkout"]["order_id"])
    return str(body["id"]), ""
