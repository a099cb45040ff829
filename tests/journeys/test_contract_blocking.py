"""A blocked person, as the API treats them; blocked by Dev of support through the admin, as a browser does it."""

import re
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from tests.journeys.contract import DEMO_PASSWORD, PASSWORD, Api, Person, created, fresh_key, problem, refusal

pytestmark = pytest.mark.runner


class Desk:
    """Dev's browser: it signs in with its form's token, searches, and presses what the page offers."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.browser = requests.Session()
        page = self._open("/admin/")
        entered = self._send(page, username="support@example.com", password=DEMO_PASSWORD)
        assert urljoin(entered.url, "/admin/") == entered.url

    def change_status(self, person: Person, act: str, reason: str = "asked by the police") -> requests.Response:
        """The page after the button: whether `block` or `unblock`, it wants a reason."""
        found = self._open("/admin/accounts/user/", q=person.address)
        (number,) = set(re.findall(r"/admin/accounts/user/(\d+)/change/", found.text))
        status = f"/admin/accounts/user/{number}/status/"
        assert status in self._open(f"/admin/accounts/user/{number}/change/").text.replace("../", "")
        return self._send(self._open(status), act=act, reason=reason)

    def _open(self, path: str, **query: str) -> requests.Response:
        page = self.browser.get(self.root + path, params=query, timeout=30)
        assert page.status_code == 200, (path, page.status_code)
        return page

    def _send(self, page: requests.Response, **fields: str) -> requests.Response:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token
        data = {"csrfmiddlewaretoken": token[1], **fields}
        return self.browser.post(page.url, data=data, headers={"Referer": page.url}, timeout=30)


@pytest.fixture(scope="module")
def desk(api: Api) -> Desk:
    return Desk(api.root)


def test_whoever_is_blocked_hears_it_on_the_next_call_and_at_the_door(
    api: Api, desk: Desk, rich_asha: Person, ravi: Person
) -> None:
    key = fresh_key()
    created(rich_asha.transfer(ravi.address, "1", key=key))
    assert desk.change_status(rich_asha, "block").status_code == 200
    for answer in (
        rich_asha.get("/me"),
        rich_asha.get("/wallet/balance"),
        rich_asha.get("/transactions"),
        rich_asha.transfer(ravi.address, "1"),
        rich_asha.transfer(ravi.address, "1", key=key),
        rich_asha.post("/wallet/transfer?dry_run=true", {"to": ravi.address, "amount": "1"}, key=None),
        rich_asha.pay("meera-books", "1"),
        rich_asha.add("1"),
        rich_asha.transfer(ravi.address, "not even money"),
        api.sign_in(email=rich_asha.address),
    ):
        problem(answer, 403, "blocked")
    problem(api.sign_in("not her password", email=rich_asha.address), 401, "credentials_invalid")
    assert api.post("/auth/token/refresh", {"refresh": rich_asha.refresh}).status_code in {401, 403}
    assert ravi.balance == "1.00"


def test_to_a_blocked_payee_the_refusal_is_recorded(desk: Desk, rich_asha: Person, ravi: Person) -> None:
    wallet = ravi.wallet
    desk.change_status(ravi, "block")
    key = fresh_key()
    refused = refusal(rich_asha.transfer(wallet, "5", key=key), "recipient_unavailable")
    failed = rich_asha.get(f"/transactions/{refused}").json()
    assert (failed["status"], failed["failure"]["code"]) == ("FAILED", "recipient_unavailable")
    dry = rich_asha.post("/wallet/transfer?dry_run=true", {"to": ravi.address, "amount": "5"}, key=None)
    problem(dry, 422, "recipient_unavailable")
    assert rich_asha.balance == "1000.00"
    desk.change_status(ravi, "unblock")
    assert refusal(rich_asha.transfer(wallet, "5", key=key), "recipient_unavailable") == refused
    created(rich_asha.transfer(wallet, "5"))
    back = ravi.api.enter(ravi.name, PASSWORD, email=ravi.address)
    assert back.balance == "5.00"
    assert [row["status"] for row in back.history()] == ["SUCCESS"]


def test_blocking_wants_a_reason(desk: Desk, asha: Person) -> None:
    desk.change_status(asha, "block", reason="")
    assert asha.get("/me").status_code == 200


def test_a_customer_never_gets_into_the_admin(api: Api, asha: Person) -> None:
    browser = requests.Session()
    page = browser.get(f"{api.root}/admin/", timeout=30)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token
    fields = {"csrfmiddlewaretoken": token[1], "username": asha.address, "password": PASSWORD}
    for there in (page.url, f"{api.root}/admin/login/?next=/admin/"):
        browser.post(there, data=fields, headers={"Referer": page.url}, timeout=30)
        assert "/admin/" not in urlsplit(browser.get(f"{api.root}/admin/accounts/user/", timeout=30).url).path
