"""A passkey in a real browser, with Chromium's virtual authenticator: added, shown, removed; and no page complains."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.journeys.test_browser_story import CHROMIUM, PASSWORD, browser, join
from tests.running import Run

__all__ = ["browser"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.runner,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture
def page(browser: Browser, running_wallet: Run) -> Iterator[Page]:
    """At `localhost`: browsers make no passkeys for an address of numbers."""
    complaints: list[str] = []
    context = browser.new_context(base_url=running_wallet.base_url.replace("127.0.0.1", "localhost"))
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert not complaints


def with_authenticator(page: Page) -> tuple[CDPSession, str]:
    """The Chrome DevTools Protocol's WebAuthn domain: an authenticator that says yes without asking anybody."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options: dict[str, Any] = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, str(made["authenticatorId"])


def test_asha_adds_a_passkey_signs_in_with_it_and_a_copy_of_it_is_refused(page: Page, running_wallet: Run) -> None:
    session, authenticator = with_authenticator(page)
    asha = join(page, "Asha Rao", running_wallet)
    page.goto("/security")
    page.get_by_label("Name").fill("My laptop")
    page.get_by_label("Password").fill("not-my-password")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("That is not your password.")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Keep these codes")).to_be_visible()
    assert page.locator(".codes li").count() == 10
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("link", name="Remove My laptop")).to_be_visible()

    (copied,) = session.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})["credentials"]
    for _ in range(2):
        second_step(page, asha.email)
        page.get_by_role("button", name="Use a passkey").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()

    session.send("WebAuthn.clearCredentials", {"authenticatorId": authenticator})
    session.send("WebAuthn.addCredential", {"authenticatorId": authenticator, "credential": copied})
    second_step(page, asha.email)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("That passkey was not accepted.")).to_be_visible()
    assert page.get_by_role("button", name="Sign out").count() == 0
    page.goto("/")
    expect(page.get_by_role("link", name="Open a wallet")).to_be_visible()


def second_step(page: Page, email: str) -> None:
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("E-mail or phone").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
