"""The whole story in a real browser, against the whole running system: with JavaScript and without."""

import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.running import Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.runner,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

PASSWORD = "a-quiet-river-91"
LONGEST_WAIT_MILLISECONDS = 30_000
Opener = Callable[[], Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def phone(browser: Browser, running_wallet: Run, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Each call is another person's telephone: nothing is shared. No page may complain."""
    contexts = []
    complaints: list[str] = []

    def pick_up() -> Page:
        context = browser.new_context(
            base_url=running_wallet.base_url,
            viewport={"width": 360, "height": 740},
            java_script_enabled=request.param,
            locale="en-IN",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(LONGEST_WAIT_MILLISECONDS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if about_policies(said.text) else None)
        return page

    yield pick_up
    for context in contexts:
        context.close()
    assert not complaints


def about_policies(said: str) -> bool:
    """Whether the browser says that it refused a page something, or did not understand what it was told of it."""
    return any(
        words in said for words in ("Content Security Policy", "Permissions-Policy", "Cross-Origin", "Refused to")
    )


@dataclass
class Person:
    """Somebody of the cast with a telephone in their hand."""

    name: str
    email: str
    page: Page

    @property
    def balance(self) -> str:
        self.page.goto("/")
        return self.page.locator(".balance dd").inner_text()

    def history(self) -> list[str]:
        """Who and how much, newest first."""
        self.page.goto("/history")
        rows = self.page.locator(".line")
        return [
            f"{rows.nth(number).locator('.who').inner_text()} {rows.nth(number).locator('.sum').inner_text()}"
            for number in range(rows.count())
        ]


def code_sent_to(address: str, run: Run, *, naming: str = "") -> str:
    """As soon as the worker has sent it: the newest, or the one whose message names this amount."""
    for _ in range(300):
        answer = requests.get(f"{run.base_url}/dev/inbox", headers={"Accept": "application/json"}, timeout=10)
        for message in answer.json():
            if message["to"] == address and naming in message["text"]:
                (code,) = re.findall(r"(?<!\d)\d{6,8}(?!\d)", message["text"])
                return str(code)
        wait_a_little()
    raise AssertionError(f"No code reached {address}.")


def wait_a_little() -> None:
    """Between two looks at what another process will have done soon."""
    time.sleep(0.1)


def join(page: Page, name: str, run: Run) -> Person:
    """Register, verify with the code from the inbox, sign in."""
    email = f"{name.split()[0].lower()}.{secrets.token_hex(5)}@example.com"
    page.goto("/")
    page.get_by_role("link", name="Open a wallet").click()
    page.get_by_label("Your name").fill(name)
    page.get_by_label("E-mail or phone").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("I agree").check()
    page.locator("main button").click()
    expect(page.get_by_role("heading", name="Enter the code")).to_be_visible()
    page.get_by_label("Code").fill(code_sent_to(email, run))
    page.get_by_role("button", name="Open my wallet").click()
    expect(page.get_by_text("Your wallet is open")).to_be_visible()
    sign_in(page, email, PASSWORD)
    expect(page.get_by_text(f"Hello, {name}")).to_be_visible()
    return Person(name, email, page)


def sign_in(page: Page, email: str, password: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail or phone").fill(email)
    page.get_by_label("Password").fill(password)
    page.locator("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def add_money(person: Person, amount: str, *, vpa: str = "success@razorpay") -> None:
    page = person.page
    page.goto("/add")
    page.get_by_label("Amount").fill(amount)
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_label(vpa).check()
    page.get_by_role("button", name=re.compile("Pay")).click()
    page.wait_for_url("**/receipts/*")


def review(person: Person, to: str, amount: str, note: str = "") -> None:
    page = person.page
    page.goto("/")
    page.get_by_role("navigation", name="Actions").get_by_role("link", name="Send").click()
    page.get_by_label("To").fill(to)
    page.get_by_label("Amount").fill(amount)
    page.get_by_label("Note").fill(note)
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_role("heading", name="Is this right?")).to_be_visible()


def test_two_people_join_one_adds_money_and_sends_some_and_both_read_it(phone: Opener, running_wallet: Run) -> None:
    asha = join(phone(), "Asha Rao", running_wallet)
    ravi = join(phone(), "Ravi Menon", running_wallet)

    add_money(asha, "1,000")
    expect(asha.page.get_by_role("heading", name="Added to your wallet")).to_be_visible()
    assert asha.balance == "₹1,000.00"

    review(asha, ravi.email, "250.50", "Dinner")
    expect(asha.page.get_by_text("Ravi M.")).to_be_visible()
    expect(asha.page.get_by_text("₹749.50")).to_be_visible()
    asha.page.get_by_role("button", name="Send ₹250.50").click()
    expect(asha.page.get_by_role("heading", name="Sent to Ravi M.")).to_be_visible()
    receipt = asha.page.url

    assert asha.history() == ["To Ravi M. −₹250.50", "Money added +₹1,000.00"]
    assert ravi.history() == ["From Asha R. +₹250.50"]
    assert (asha.balance, ravi.balance) == ("₹749.50", "₹250.50")
    ravi.page.goto(receipt)
    expect(ravi.page.get_by_role("heading", name="Received from Asha R.")).to_be_visible()

    ravi.page.get_by_role("button", name="Sign out").click()
    ravi.page.wait_for_url("**/sign-in")
    ravi.page.goto(receipt)
    expect(ravi.page.get_by_role("heading", name="Sign in")).to_be_visible()
    # Back after signing out shows nothing of the receipt.
    ravi.page.go_back()
    assert "Received from" not in ravi.page.content()


def test_double_click_back_and_reload_move_money_once(phone: Opener, running_wallet: Run) -> None:
    asha = join(phone(), "Asha Rao", running_wallet)
    ravi = join(phone(), "Ravi Menon", running_wallet)
    add_money(asha, "1000")
    page = asha.page

    review(asha, ravi.email, "100")
    other_window = page.context.new_page()
    other_window.goto(page.url)
    page.reload()
    page.get_by_role("button", name="Send ₹100.00").dblclick()
    expect(page.get_by_role("heading", name="Sent to Ravi M.")).to_be_visible()
    receipt = page.url
    page.reload()
    assert page.url == receipt
    assert ravi.balance == "₹100.00"

    # Back to the review leads to the receipt; and the review that is still open elsewhere pays nothing more.
    page.go_back()
    expect(page.get_by_role("heading", name="Sent to Ravi M.")).to_be_visible()
    assert page.url == receipt
    other_window.get_by_role("button", name="Send ₹100.00").click()
    expect(other_window.get_by_role("heading", name="Sent to Ravi M.")).to_be_visible()
    assert other_window.url == receipt
    assert ravi.balance == "₹100.00"
    assert asha.history() == ["To Ravi M. −₹100.00", "Money added +₹1,000.00"]


def test_a_refused_payment_can_be_tried_again_and_the_receipt_says_what_happened(
    phone: Opener, running_wallet: Run
) -> None:
    asha = join(phone(), "Asha Rao", running_wallet)
    page = asha.page
    add_money(asha, "500", vpa="failure@razorpay")
    expect(page.get_by_role("heading", name="Waiting for your payment")).to_be_visible()
    expect(page.get_by_text("Nothing was taken")).to_be_visible()
    assert asha.balance == "₹0.00"

    page.get_by_role("link", name="Adding money").click()
    page.get_by_role("link", name="Go to the payment").click()
    page.get_by_label("success@razorpay").check()
    page.get_by_role("button", name=re.compile("Pay")).click()
    page.wait_for_url("**/receipts/*")
    expect(page.get_by_role("heading", name="Added to your wallet")).to_be_visible()
    assert asha.balance == "₹500.00"
    assert asha.history() == ["Money added +₹500.00"]


def test_every_page_fits_a_small_telephone_has_one_heading_and_labels_its_fields(
    browser: Browser, running_wallet: Run
) -> None:
    context = browser.new_context(base_url=running_wallet.base_url, viewport={"width": 320, "height": 640})
    page = context.new_page()
    stranger = ["/", "/register", "/sign-in", "/verify", "/nowhere", "/dev/inbox"]
    asha = ["/", "/add", "/send", "/pay", "/history", "/history?q=x&type=TRANSFER&status=FAILED", "/nowhere"]
    asha += ["/withdraw", "/bank-accounts", "/bank-accounts/add"]
    for path in [*stranger, "sign in", *asha]:
        if path == "sign in":
            sign_in(page, "asha@example.com", "wallet-demo-2026")
            continue
        page.goto(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, f"{path} is {width} wide"
        for field in page.locator("input:not([type=hidden]), select, textarea").all():
            assert field.evaluate("field => field.labels.length") == 1, f"a field of {path} has no label"
        assert page.locator("h1").count() == 1, path
    page.goto("/")
    page.locator(".line").first.click()
    page.wait_for_url("**/receipts/*")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    context.close()


def test_meera_is_paid_by_her_handle_and_reads_it_in_her_shops_wallet(phone: Opener, running_wallet: Run) -> None:
    asha = join(phone(), "Asha Rao", running_wallet)
    add_money(asha, "500")
    page = asha.page
    page.goto("/pay")
    page.get_by_label("Shop").fill("meera-books")
    page.get_by_label("Amount").fill("349")
    order = secrets.token_hex(6)
    page.get_by_label("Order number").fill(order)
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Pay ₹349.00").click()
    expect(page.get_by_role("heading", name=re.compile("Paid to"))).to_be_visible()

    meera = phone()
    sign_in(meera, "meera@example.com", "wallet-demo-2026")
    meera.get_by_role("navigation", name="Your wallets").get_by_role("link").nth(1).click()
    meera.locator(".line").first.click()
    expect(meera.get_by_role("heading", name="Received from Asha R.")).to_be_visible()
    expect(meera.get_by_text(order)).to_be_visible()


def add_bank_account(person: Person, number: str) -> None:
    """From the form that is open; afterwards the withdrawal is."""
    page = person.page
    page.get_by_label("Account holder").fill(person.name)
    page.get_by_label("IFSC").fill("hdfc0001234")
    page.get_by_label("Account number", exact=True).fill(number)
    page.get_by_label("Account number again").fill(number)
    page.get_by_role("button", name="Add this account").click()
    page.wait_for_url("**/withdraw")


def withdraw(person: Person, ending: str, amount: str, run: Run) -> None:
    """The first time to this account, so that a code is asked for."""
    page = person.page
    page.goto("/withdraw")
    page.get_by_label(re.compile(f"••{ending}")).check()
    page.get_by_label("Amount").fill(amount)
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Withdraw ₹").click()
    page.get_by_label("Code").fill(code_sent_to(person.email, run, naming=f"₹{amount}.00"))
    page.get_by_role("button", name="Confirm ₹").click()
    page.wait_for_url("**/receipts/*")


def test_money_comes_in_though_nobody_said_so_and_goes_out_to_a_bank_or_comes_back(
    phone: Opener, running_wallet: Run
) -> None:
    asha = join(phone(), "Asha Rao", running_wallet)
    page = asha.page
    page.goto("/add")
    page.get_by_label("Amount").fill("500")
    page.get_by_role("button", name="Continue to payment").click()
    page.wait_for_url("**/checkout/*")
    # She leaves the checkout, and finds at home what waits.
    page.goto("/")
    expect(page.get_by_text("₹500.00 waits for your payment")).to_be_visible()
    page.get_by_role("link", name="Go on paying").click()
    page.get_by_label("silent@razorpay").check()
    page.get_by_role("button", name=re.compile("Pay")).click()
    page.wait_for_load_state()
    # Nobody tells the wallet, and nobody presses anything: the open receipt shows it as soon as it has asked.
    page.goto("/history")
    page.locator(".line").first.click()
    expect(page.get_by_role("heading", name="Added to your wallet")).to_be_visible(timeout=LONGEST_WAIT_MILLISECONDS)
    expect(page.get_by_text("Bank reference (RRN)")).to_be_visible()

    page.goto("/withdraw")
    page.get_by_role("link", name="Add a bank account").click()
    add_bank_account(asha, "501000120001")
    page.goto("/bank-accounts/add?then=withdraw")
    add_bank_account(asha, "501000120002")
    withdraw(asha, "0001", "100", running_wallet)
    expect(page.get_by_role("heading", name="Arrived at your bank")).to_be_visible(timeout=LONGEST_WAIT_MILLISECONDS)
    expect(page.get_by_text("Bank reference (UTR)")).to_be_visible()
    withdraw(asha, "0002", "150", running_wallet)
    expect(page.get_by_role("heading", name="Came back to your wallet")).to_be_visible(
        timeout=LONGEST_WAIT_MILLISECONDS
    )
    page.get_by_role("link", name="See receipt").click()
    expect(page.get_by_role("heading", name="Returned to your wallet")).to_be_visible()
    assert asha.balance == "₹400.00"
    assert asha.history() == [
        "Returned to you +₹150.00",
        "Withdrawal −₹150.00",
        "Withdrawal −₹100.00",
        "Money added +₹500.00",
    ]
