"""
In a real browser no page asks for what its policy refuses: not the wallet's, nor the admin's, nor the API's
documentation. And the policy does refuse: what is slipped into a page does not run, and nobody frames one.
"""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.journeys.test_browser_story import CHROMIUM, about_policies, add_money, browser, join, sign_in
from tests.running import Run

__all__ = ["browser"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.runner,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

PASSWORD: Final = "wallet-demo-2026"
ELSEWHERE: Final = "http://evil.example/"
WATCH: Final = """
window.refused = [];
addEventListener("securitypolicyviolation", (event) =>
  window.refused.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""
SLIP_IN: Final = """
const script = document.createElement("script");
script.textContent = "window.stolen = true";
document.body.append(script);
const link = document.createElement("div");
link.innerHTML = '<img src="x" onerror="window.stolen = true">';
document.body.append(link);
"""


class Visitor:
    """Somebody who notes whatever the browser refuses their pages."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.refused: list[str] = []
        page.add_init_script(WATCH)
        page.on("console", lambda said: self.refused.append(said.text) if about_policies(said.text) else None)
        page.on("pageerror", lambda error: self.refused.append(str(error)))

    def look_at(self, path: str) -> None:
        answer = self.page.goto(path, wait_until="load")
        assert answer is not None, path
        assert answer.status < 500, path
        found = self.page.evaluate("window.refused") + self.refused
        assert not found, (path, found)


@pytest.fixture
def visitor(browser: Browser, running_wallet: Run) -> Iterator[Visitor]:
    context = browser.new_context(base_url=running_wallet.base_url)
    yield Visitor(context.new_page())
    context.close()


def test_the_wallets_own_pages_and_the_way_to_the_checkout_and_back(visitor: Visitor, running_wallet: Run) -> None:
    for path in ("/", "/register", "/sign-in", "/verify", "/nowhere", "/dev/inbox", "/password/reset"):
        visitor.look_at(path)
    asha = join(visitor.page, "Asha Rao", running_wallet)
    add_money(asha, "100")
    expect(asha.page.get_by_role("heading", name="Added to your wallet")).to_be_visible()
    visitor.look_at(re.sub(r"^https?://[^/]+", "", asha.page.url))
    paths = ["/", "/history", "/add", "/send", "/pay", "/withdraw", "/bank-accounts", "/bank-accounts/add", "/limits"]
    paths += ["/security", "/security/sessions", "/account", "/account/data", "/account/close", "/kyc", "/nowhere"]
    paths += ["/notifications", "/notifications/preferences"]
    for path in paths:
        visitor.look_at(path)
    assert not visitor.refused


def test_every_list_and_every_kind_of_row_of_the_admin(visitor: Visitor) -> None:
    page = visitor.page
    sign_in(page, "root@example.com", PASSWORD)
    visitor.look_at("/admin/")
    lists = {link.get_attribute("href") or "" for link in page.locator("#content-main th a").all()}
    assert len(lists) > 15
    for path in sorted(lists):
        visitor.look_at(path)
        rows = page.locator("#result_list tbody th a")
        if rows.count():
            visitor.look_at(rows.first.get_attribute("href") or "")
    for path in ("/audit/", "/admin/payments/limitrule/propose/"):
        visitor.look_at(path)


def test_the_documentation_of_the_api_is_drawn(visitor: Visitor) -> None:
    visitor.look_at("/api/v1/docs")
    call = visitor.page.locator(".opblock", has_text="/api/v1/auth/logout")
    expect(call).to_be_visible(timeout=30_000)
    call.locator("button").first.click()
    call.get_by_role("button", name="Try it out").click()
    call.get_by_role("button", name="Execute").click()
    expect(call.locator(".live-responses-table .response-col_status").last).to_contain_text("401")
    assert visitor.page.evaluate("window.refused") + visitor.refused == []


@pytest.mark.parametrize("path", ["/sign-in", "/api/v1/docs"])
def test_what_is_slipped_into_a_page_does_not_run(visitor: Visitor, path: str) -> None:
    visitor.look_at(path)
    visitor.page.evaluate(SLIP_IN)
    expect(visitor.page.locator("img[src=x]")).to_be_attached()
    visitor.page.wait_for_function("window.refused.length >= 2")
    assert visitor.page.evaluate("window.stolen") is None


@pytest.mark.parametrize("path", ["/sign-in", "/admin/", "/api/v1/docs"])
def test_no_other_site_frames_a_page(visitor: Visitor, running_wallet: Run, path: str) -> None:
    frame = f'<h1>A prize!</h1><iframe src="{running_wallet.base_url}{path}"></iframe>'

    def lure(route: Route) -> None:
        route.fulfill(content_type="text/html", body=frame)

    page = visitor.page
    page.route(ELSEWHERE, lure)
    page.goto(ELSEWHERE)
    assert [one.url for one in page.frames][1:] == ["chrome-error://chromewebdata/"]
