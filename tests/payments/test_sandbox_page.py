"""The checkout page in a real browser: on a small screen, with and without JavaScript, under its own policy."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, query_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def phone(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=request.param)
    yield context.new_page()
    context.close()


def test_asha_pays_on_a_phone_and_comes_back_to_the_merchant(both: tuple[Merchant, Sandbox], phone: Page) -> None:
    merchant, sandbox = both
    complaints: list[str] = []
    phone.on("console", lambda message: complaints.append(message.text))
    order = sandbox.order(amount=1_000_000_000_000)
    phone.goto(f"{sandbox.url}/checkout/{order['id']}")

    button = phone.get_by_role("button", name="Pay ₹10,00,00,00,000.00")
    for box in (phone.locator("main").bounding_box(), button.bounding_box(), phone.locator(".amount").bounding_box()):
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
    button.click()
    phone.wait_for_url(f"{merchant.callback_url}?**")

    [payment] = sandbox.payments(order["id"])
    assert query_of(phone.url)["razorpay_payment_id"] == payment["id"]
    assert payment["status"] == "captured"
    assert complaints == []


def test_ravi_is_declined_tries_again_and_a_reload_takes_nothing_more(
    both: tuple[Merchant, Sandbox], phone: Page
) -> None:
    merchant, sandbox = both
    order = sandbox.order()
    address = f"{sandbox.url}/checkout/{order['id']}"
    phone.goto(address)
    phone.get_by_label("failure@razorpay").check()
    phone.get_by_role("button").click()
    phone.wait_for_url(f"{merchant.callback_url}?**")
    assert query_of(phone.url)["error[code]"] == "BAD_REQUEST_ERROR"

    phone.go_back()
    phone.get_by_label("success@razorpay").check()
    phone.get_by_role("button").click()
    phone.wait_for_url(f"{merchant.callback_url}?**razorpay_signature**")
    phone.goto(address)
    assert phone.get_by_role("heading").inner_text() == "This order is already paid"
    assert [payment["status"] for payment in sandbox.payments(order["id"])] == ["captured", "failed"]


def test_forged_leaves_the_payer_on_a_page_with_a_way_back(both: tuple[Merchant, Sandbox], phone: Page) -> None:
    merchant, sandbox = both
    phone.goto(f"{sandbox.url}/checkout/{sandbox.order()['id']}")
    phone.get_by_label("forged@razorpay").check()
    phone.get_by_role("button").click()
    phone.get_by_role("heading", name="Payment not confirmed").wait_for()
    phone.get_by_role("link", name="Return to Wallet").click()
    phone.wait_for_url(f"{merchant.origin}/")
