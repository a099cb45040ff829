"""
The second provider, against localstripe: whole stories, and the proof that nothing but its own files knows of it.

What localstripe lacks (disputes, settlements, bank accounts, idempotency, lists by time) is in test_stripe_shapes.py.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.test import Client
from django.utils import timezone

from ledger.models import Transaction
from payments.gateways import UnknownGateway, gateway_named
from payments.gateways.base import GatewayRefused
from payments.gateways.stripe import Stripe
from payments.models import GatewayOrder, WebhookEvent
from payments.webhooks import process_event
from tests.house.sources import CHECKOUT, files, imports_of, production_modules, text_of
from tests.payments.gateway import Door, open_door, wallet_speaks_to
from tests.payments.sandbox_process import until
from tests.payments.stripe_process import VARIABLES, LocalStripe, localstripe, stripe_client
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

# The wallet with another gateway by default: everything else is as it always is.
TOP_UP: Final = """
import json, django
django.setup()
from tests.payments.cast import holder
asha = holder()
answer = asha.post("/wallet/add", {"amount": "250"}).json()
print(json.dumps(answer | {"wallet": asha.wallet.pk}))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    with localstripe(tmp_path_factory.mktemp("localstripe")) as running:
        yield running


@pytest.fixture
def stripe(server: LocalStripe) -> Iterator[Stripe]:
    client = stripe_client(server.url)
    with wallet_speaks_to(client):
        yield client


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as opened:
        yield opened


def begin_to_add(server: LocalStripe) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", TOP_UP],
        cwd=CHECKOUT,
        env={**os.environ, **VARIABLES, "WALLET_GATEWAY": "stripe", "STRIPE_API_URL": server.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    begun: dict[str, Any] = json.loads(done.stdout)
    return begun


def webhook_named(door: Door, name: str) -> tuple[bytes, dict[str, str]]:
    """The raw letter as it came, once it has come."""

    def found() -> list[int]:
        return [number for number, (_, _, body) in enumerate(list(door.asked)) if body["type"] == name]

    number = until(found, bool)[0]
    return door.raw[number], {"Stripe-Signature": door.headers[number]["Stripe-Signature"]}


def test_a_whole_top_up_goes_through_stripe_when_the_environment_says_so(
    server: LocalStripe, stripe: Stripe, door: Door
) -> None:
    server.write_webhooks_to(f"{door.url}/")
    begun = begin_to_add(server)
    order_id = begun["checkout"]["order_id"]
    assert begun["checkout"] == {
        "provider": "stripe",
        "order_id": order_id,
        "key_id": "pk_test_wallet",
        "amount_minor": 25000,
        "currency": "INR",
        "url": f"https://pay.example.com/stripe/{order_id}",
    }
    assert GatewayOrder.objects.get(gateway="stripe", order_id=order_id).receipt == begun["transaction"]["id"]
    found = stripe.find_order(receipt=begun["transaction"]["id"])
    assert found is not None
    assert (found.id, found.amount_minor, found.currency) == (order_id, 25000, "INR")

    assert server.pay(order_id)["status"] == "succeeded"
    body, headers = webhook_named(door, "payment_intent.succeeded")
    for _ in range(2):
        answer = Client().post("/api/v1/webhooks/stripe", body, content_type="application/json", headers=headers)
        assert answer.status_code == 200, answer.content
    event = WebhookEvent.objects.get(gateway="stripe")
    assert (event.event_id, event.name) == (json.loads(body)["id"], "payment_intent.succeeded")
    process_event(event_id=event.pk, now=timezone.now())
    event.refresh_from_db()
    assert event.outcome == "asked"
    assert Wallet.objects.get(pk=begun["wallet"]).balance == 250
    (add,) = Transaction.objects.filter(to_wallet=begun["wallet"])
    assert (add.public_id, add.type, add.status) == (begun["transaction"]["id"], "ADD", "SUCCESS")

    forged = Client().post("/api/v1/webhooks/stripe", body + b" ", content_type="application/json", headers=headers)
    assert (forged.status_code, forged.json()["code"]) == (400, "signature_invalid")


def test_the_browsers_return_is_not_believed_and_shows_a_stranger_nothing(server: LocalStripe, stripe: Stripe) -> None:
    order = stripe.create_order(amount_minor=5000, currency="INR", receipt="txn_return")
    landed = Client().get("/payments/stripe/callback", {"payment_intent": order.id, "redirect_status": "succeeded"})
    assert (landed.status_code, landed.headers["Location"]) == (303, "/add")
    assert not stripe.is_genuine_return(order_id=order.id, payment_id="ch_1", signature="")


def test_a_declined_card_is_a_failed_attempt(server: LocalStripe, stripe: Stripe) -> None:
    order = stripe.create_order(amount_minor=5000, currency="INR", receipt="txn_declined")
    assert stripe.payments_of(order_id=order.id) == []
    numbered = {"card[number]": "4000000000000341", "card[exp_month]": 12, "card[exp_year]": 2040, "card[cvc]": "123"}
    card = server.call("POST", "/v1/payment_methods", type="card", **numbered)
    assert server.pay(order.id, card["id"])["http_status"] == 402
    (failed,) = stripe.payments_of(order_id=order.id)
    assert (failed.status, failed.error_code, failed.is_captured) == ("failed", "card_declined", False)


def test_an_authorized_payment_is_captured_whole_and_once(server: LocalStripe, stripe: Stripe) -> None:
    made = server.call("POST", "/v1/payment_intents", amount=5000, currency="inr", capture_method="manual")
    server.pay(made["id"])
    (authorized,) = stripe.payments_of(order_id=made["id"])
    assert (authorized.status, authorized.order_id, authorized.currency) == ("authorized", made["id"], "INR")
    with pytest.raises(GatewayRefused):
        stripe.capture(payment_id=authorized.id, amount_minor=4000, currency="INR")
    assert stripe.capture(payment_id=authorized.id, amount_minor=5000, currency="INR").is_captured
    with pytest.raises(GatewayRefused):
        stripe.capture(payment_id=authorized.id, amount_minor=5000, currency="INR")


def test_a_payment_is_refunded_in_part_and_then_whole(server: LocalStripe, stripe: Stripe) -> None:
    order = stripe.create_order(amount_minor=5000, currency="INR", receipt="txn_refunded")
    server.pay(order.id)
    (payment,) = stripe.payments_of(order_id=order.id)
    assert (payment.is_captured, payment.fee_minor, payment.tax_minor) == (True, 0, 0)
    asked = {"payment_id": payment.id, "currency": "INR", "reference": "txn_refund"}
    part = stripe.refund(amount_minor=2000, key="refund-key-1", **asked)
    assert (part.state, part.amount_minor, part.key, part.payment_id) == ("PROCESSED", 2000, "refund-key-1", payment.id)
    assert stripe.refund_of(refund_id=part.id) == part
    (partly,) = stripe.payments_of(order_id=order.id)
    assert (partly.status, partly.refunded_minor, partly.is_captured) == ("captured", 2000, False)
    rest = stripe.refund(amount_minor=3000, key="refund-key-2", **asked)
    assert {each.id for each in stripe.refunds_of(payment_id=payment.id)} == {part.id, rest.id}
    (gone,) = stripe.payments_of(order_id=order.id)
    assert (gone.status, gone.was_captured) == ("refunded", True)


def test_a_payout_is_found_by_our_reference_and_followed(server: LocalStripe, stripe: Stripe) -> None:
    """In euros: localstripe pays out nothing else."""
    assert stripe.find_payout(reference="txn_payout") is None
    made = stripe.pay_out(
        fund_account_id="ba_1", amount_minor=20_000, currency="EUR", key="payout-key-1", reference="txn_payout",
        narration="Wallet withdrawal",
    )  # fmt: skip
    assert (made.state, made.amount_minor, made.currency, made.reference) == ("QUEUED", 20_000, "EUR", "txn_payout")
    assert stripe.find_payout(reference="txn_payout") == made
    server.call("POST", f"/v1/payouts/{made.id}/cancel")
    assert stripe.payout_of(payout_id=made.id).state == "FAILED"


def test_an_id_that_nobody_knows_is_refused(stripe: Stripe) -> None:
    for ask in (
        lambda: stripe.payments_of(order_id="pi_unknown"),
        lambda: stripe.payout_of(payout_id="po_unknown"),
        lambda: stripe.refund_of(refund_id="re_unknown"),
    ):
        with pytest.raises(GatewayRefused) as refused:
            ask()
        assert (refused.value.http_status, refused.value.code) == (404, "invalid_request_error")


def test_a_gateway_that_is_not_set_up_says_which_variable_is_missing_and_has_no_doors() -> None:
    with pytest.raises(UnknownGateway, match="STRIPE_CHECKOUT_URL"):
        gateway_named("stripe")
    assert Client().post("/api/v1/webhooks/stripe", b"{}", content_type="application/json").status_code == 404
    assert Client().get("/payments/stripe/callback").status_code == 404


def test_nothing_but_its_own_files_and_one_line_of_the_registry_knows_of_the_second_provider() -> None:
    """What a new gateway costs. (The registry's other line is the import.)"""
    knowing = {path for path in files(".py", ".html", ".js", ".toml") if "stripe" in text_of(path).lower()}
    knowing = {path for path in knowing if not path.startswith("tests/")}
    assert knowing == {
        "payments/gateways/__init__.py",
        "payments/gateways/stripe.py",
        "payments/gateways/stripe_entities.py",
        # A contract: see below.
        "pyproject.toml",
        # The licence of what plays it in tests.
        "wallet_project/local/supply_chain.py",
    }
    lines = [line.strip() for line in text_of("payments/gateways/__init__.py").splitlines() if "stripe" in line.lower()]
    assert lines == ["from payments.gateways.stripe import Stripe", "Stripe.name: Stripe,"]


def test_what_plays_stripe_is_never_imported() -> None:
    tests = [path for path in files(".py") if path.startswith(("tests/", "benchmarks/"))]
    for path in (*production_modules(), *tests):
        assert not any(name.split(".")[0] == "localstripe" for name in imports_of(path)), path
    assert '"localstripe"' in text_of("pyproject.toml")
