"""
Web push in a real browser: turned on and off on the page, and shown by the worker, once.

No push service is reached from here, so what the browser would have got of one is played; what it is handed then comes
by Chromium's own tools, and the worker is the one that people get.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.test_browser_story import CHROMIUM, browser, join
from tests.running import Run

__all__ = ["browser"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.runner,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
# A subscription as a push service would have made it, with keys of its own.
PLAYED = """
let made = null;
PushManager.prototype.subscribe = async (options) => {
  const pair = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
  const keys = { p256dh: await crypto.subtle.exportKey("raw", pair.publicKey), auth: new Uint8Array(16).buffer };
  const endpoint = `https://fcm.googleapis.com/fcm/send/${crypto.randomUUID()}`;
  localStorage.setItem("endpoint", endpoint);
  return { endpoint, options, getKey: (name) => keys[name], unsubscribe: async () => true };
};
PushManager.prototype.getSubscription = async () => {
  const endpoint = localStorage.getItem("endpoint");
  const unsubscribe = async () => localStorage.removeItem("endpoint");
  const options = { applicationServerKey: new ArrayBuffer(0) };
  return endpoint ? { endpoint, options, unsubscribe } : null;
};
"""


@pytest.fixture
def page(browser: Browser, running_wallet: Run) -> Iterator[Page]:
    complaints: list[str] = []
    context = browser.new_context(base_url=running_wallet.base_url, permissions=["notifications"])
    context.add_init_script(PLAYED)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert not complaints


def test_it_is_turned_on_shows_what_is_pushed_once_and_is_turned_off(page: Page, running_wallet: Run) -> None:
    asha = join(page, "Asha Rao", running_wallet)
    page.goto("/notifications/preferences")
    page.get_by_role("button", name="Turn on in this browser").click()
    expect(page.get_by_text("This browser is told what happens.")).to_be_visible()
    expect(page.get_by_text("This browser", exact=True)).to_be_visible()
    assert page.get_by_role("button", name="Turn on in this browser").count() == 0
    browsers = f"""
        SELECT count(*) FROM accounts_pushsubscription s JOIN accounts_user u ON u.id = s.user_id
        WHERE u.email = '{asha.email}'
    """
    assert running_wallet.query(browsers) == [(1,)]

    pushed = {"title": "₹500.00 from Ravi", "body": "Ravi sent you ₹500.00.", "tag": "abcd", "url": "/notifications"}
    session = page.context.new_cdp_session(page)
    registrations: list[dict[str, Any]] = []
    session.on("ServiceWorker.workerRegistrationUpdated", lambda told: registrations.extend(told["registrations"]))
    session.send("ServiceWorker.enable")
    page.wait_for_function("navigator.serviceWorker.ready.then((worker) => worker.active.state === 'activated')")
    (worker,) = {each["registrationId"] for each in registrations if not each["isDeleted"]}
    message = {"origin": running_wallet.base_url, "registrationId": worker, "data": json.dumps(pushed)}
    for _ in range(2):
        session.send("ServiceWorker.deliverPushMessage", message)
    shown = """navigator.serviceWorker.ready.then((worker) => worker.getNotifications())
        .then((shown) => shown.map(({ title, body }) => ({ title, body })))"""
    page.wait_for_function(f"{shown}.then((all) => all.length > 0)")
    assert page.evaluate(shown) == [{"title": pushed["title"], "body": pushed["body"]}]

    page.get_by_role("button", name="Turn off").click()
    expect(page.get_by_role("button", name="Turn on in this browser")).to_be_visible()
    assert page.evaluate("localStorage.getItem('endpoint')") is None
    assert running_wallet.query(browsers) == [(0,)]
