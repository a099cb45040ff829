"""People who send each other money and buy books, and ask again under the same key until they are answered."""

import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Final

import requests

from tests.journeys.contract import Api, Person, fresh_key

SHOP: Final = "meera-books"
# Every so manieth goes to the shop, which has a server that is told.
_PURCHASES: Final = 5
# So that nobody runs dry, whatever the dice say; and still no payment that asks for a code.
_STARTS_WITH: Final = "150"
_AGAIN: Final = (409, 429, 503)
_PATIENCE_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.2
# Access tokens live ten minutes.
_TOKEN_GOOD_FOR_SECONDS: Final = 300.0


class Crowd:
    """
    :ivar done: the transactions that were answered for, each by its public id.
    :ivar purchases: those of them that went to the shop.
    """

    def __init__(self, api: Api, *, people: int, seed: int) -> None:
        self._dice = random.Random(seed)
        self.done: set[str] = set()
        self.purchases: set[str] = set()
        self._people = api.people(people)
        self._since = time.monotonic()
        rich = api.demo("asha")
        for person in self._people:
            self._insist(lambda key, to=person.address: rich.transfer(to, _STARTS_WITH, key=key))

    def begin(self, pool: ThreadPoolExecutor, *, count: int) -> "list[Future[None]]":
        """So many payments of a rupee, from anybody to anybody."""
        self._renew()
        return [pool.submit(deed) for deed in [self._deed(number) for number in range(count)]]

    def pay(self, pool: ThreadPoolExecutor, *, count: int) -> None:
        for future in as_completed(self.begin(pool, count=count)):
            future.result()

    def _deed(self, number: int) -> Callable[[], None]:
        payer, payee = self._dice.sample(self._people, k=2)
        if number % _PURCHASES:
            return lambda: self._insist(lambda key: payer.transfer(payee.address, "1.00", key=key))
        return lambda: self.purchases.add(self._insist(lambda key: payer.pay(SHOP, "1.00", key=key)))

    def _insist(self, send: Callable[[str], requests.Response]) -> str:
        key, until = fresh_key(), time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = send(key)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status_code == 201:
                break
            assert answer is None or answer.status_code in _AGAIN, (answer.status_code, answer.text[:600])
            assert time.monotonic() < until, "nobody answers for good"
            time.sleep(_PAUSE_SECONDS)
        transaction = str(answer.json()["id"])
        self.done.add(transaction)
        return transaction

    def _renew(self) -> None:
        if time.monotonic() - self._since < _TOKEN_GOOD_FOR_SECONDS:
            return
        self._people: list[Person] = [each.api.enter(each.name, email=each.address) for each in self._people]
        self._since = time.monotonic()
