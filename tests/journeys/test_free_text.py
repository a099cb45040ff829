"""No field that people fill in freely takes a card number: every one that there is, and each new one."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.db.models import Model
from django.forms import CharField, ChoiceField
from django.test import Client
from django.utils import timezone
from PIL import Image
from rest_framework.serializers import CharField as ApiCharField
from rest_framework.serializers import ChoiceField as ApiChoiceField

from accounts import lost_factors, passkeys
from accounts.models import KycSubmission, User
from accounts.roles import SUPPORT_LEAD, appoint
from payments import money_back
from payments.models import Case, GatewayOrder, HoldingLimit, LimitRule, MoneyBack, PaymentAttempt, Proposal
from payments.proposals import propose
from tests.accounts.people import PASSWORD, call, new_email, person, superuser
from tests.house.input_fields import input_fields
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, fund, holder, merchant
from tests.payments.staff import browser_of, list_of, page_of
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.models import ConsumerGroup, DeadLetter
from wallets.models import Merchant
from wallets.opening import open_merchant

pytestmark = pytest.mark.usefixtures("database")

CARD: Final = "4111 1111 1111 1111"
TYPED: Final = f"Charge {CARD} please"
SAID: Final = "Write no card numbers here"

# Read as something else than words: an address, an amount, a number of its own shape, one of a few.
SHAPED: Final = frozenset(
    {
        "AddressField",
        "EmailField",
        "PhoneField",
        "AmountField",
        "LimitField",
        "LimitAmount",
        "KeyField",
        "NumberField",
        "OwnPasswordField",
    }
)
# Text that is compared and never kept as it was typed (passwords, codes, tokens, ids, searches), or that has a shape.
COMPARED: Final = frozenset(
    {
        *("password", "old_password", "new_password", "code", "own_code", "otp", "credential", "challenge", "refresh"),
        *(
            "id",
            "seen",
            "cursor",
            "q",
            "next",
            "to",
            "merchant",
            "bank_account",
            "wallet",
            "currency",
            "amount",
            "ifsc",
            "token",
            "transaction",
            "user",
        ),
        *("account_number", "razorpay_order_id", "razorpay_payment_id", "razorpay_signature"),
        # Of a browser's push service, as it makes them.
        *("endpoint", "p256dh", "auth"),
        # Of notifications, one of a few.
        "kind",
        # Of an identity document, each kind's by its shape (accounts.kyc_numbers).
        "number",
    }
)


@dataclass
class Cast:
    asha: Holder
    page: Browser
    meera: Holder
    shop: Merchant
    lead_page: Client


@pytest.fixture(scope="module")
def cast(database: object) -> Cast:
    meera, shop = merchant()
    asha, lead = holder(rupees=500), person("Lata Sen")
    with transaction.atomic():
        appoint(user=lead, group=SUPPORT_LEAD)
    return Cast(asha, Browser(asha.user), meera, shop, browser_of(User.objects.get(pk=lead.pk)))


def _image() -> SimpleUploadedFile:
    drawn = io.BytesIO()
    Image.new("RGB", (800, 500), "white").save(drawn, "PNG")
    return SimpleUploadedFile("card.png", drawn.getvalue())


def _kyc(**changed: str) -> dict[str, Any]:
    return {
        "full_name": "Asha Rao",
        "born": "1990-01-01",
        "address": "12, Lake Road, Bengaluru",
        "document": "PAN",
        "number": "ABCPE1234F",
        "image": _image(),
        **changed,
    }


def _order(cast: Cast) -> GatewayOrder:
    """A top-up of hers that was paid."""
    now, add = timezone.now(), fund(cast.asha.wallet, 100)
    paid = {"gateway": "razorpay", "amount_minor": 10000, "currency": "INR"}
    order = GatewayOrder.objects.create(
        transaction=add, order_id=f"order_{new_uuid().hex}", state="PAID", created_at=now, expires_at=now, **paid
    )
    PaymentAttempt.objects.create(
        order=order, payment_id=f"pay_{new_uuid().hex}", status="captured", credited_by=add, first_seen_at=now,
        last_seen_at=now, **paid,
    )  # fmt: skip
    return order


def _proposal() -> Proposal:
    terms = {"most": "1000.00"}
    return propose(kind="HOLDING", subject="FULL", terms=terms, by=superuser(), reason="Why not", now=timezone.now())


def _submission() -> KycSubmission:
    return KycSubmission.objects.create(
        user=person("Ravi Iyer"), full_name="Ravi", born_sealed=b"x", address_sealed=b"x", document="PAN",
        number_sealed=b"x", number_index=new_uuid().bytes * 2, last_four="234F", image_name="none", image_digest=b"d",
        provider="support", submitted_at=timezone.now(),
    )  # fmt: skip


def _case() -> Case:
    now = timezone.now()
    return Case.objects.create(
        kind=Case.Kind.values[0], subject=new_uuid().hex, reason="Seen", opened_at=now, last_seen_at=now
    )


def _letter() -> DeadLetter:
    group, _ = ConsumerGroup.objects.get_or_create(name="free-text", defaults={"registered_at": timezone.now()})
    return DeadLetter.objects.create(
        group=group,
        event_id=new_uuid(),
        partition=0,
        offset=0,
        value=b"?",
        cause="Seen",
        tries=5,
        created_at=timezone.now(),
    )


def _sent(cast: Cast) -> str:
    """A transfer of hers, by its id."""
    answer = cast.asha.post("/wallet/transfer", {"to": cast.meera.email, "amount": "1"})
    return str(answer.json()["id"])


def _asked_back(cast: Cast) -> MoneyBack:
    return money_back.ask(asker=cast.asha.user, transaction=_sent(cast), now=timezone.now()).money_back


def _money_page(cast: Cast, path: str, **filled: str) -> Any:
    return cast.page.send(cast.page.open(path).form, amount="1", **filled).response


def _limit(cast: Cast, model: type[LimitRule] | type[HoldingLimit], **fields: str) -> Any:
    return cast.lead_page.post(f"{list_of(model)}propose/", {"kyc_level": "FULL", "reason": TYPED, **fields})


def _refused(deed: Callable[[], Any]) -> Any:
    """By the deed, where a page asks for much before it; what it raises is what the page says."""
    with pytest.raises(Refusal) as refused:
        deed()
    return refused.value


def _passkey(cast: Cast) -> Any:
    site = passkeys.site(host="wallet.example")
    made: dict[str, Any] = {"challenge": b"", "answer": "{}", "name": TYPED, "keep": None, "now": timezone.now()}
    return _refused(lambda: passkeys.register(user=cast.asha.user, site=site, **made))


def _decide_lost_factor() -> Any:
    ravi = person("Ravi Iyer")
    lost_factors.ask(user=ravi, statement="My passport, and my last payment", now=timezone.now())
    lost = lost_factors.open_of(user=ravi)
    assert lost is not None
    made: dict[str, Any] = {"lost": lost, "by": superuser(), "approve": True, "reason": TYPED}
    return _refused(lambda: lost_factors.decide(now=timezone.now(), **made))


def _kyc_by_page(cast: Cast, **changed: str) -> Any:
    form = cast.page.open("/kyc").form
    return cast.page.client.post("/kyc", {**form.fields, **_kyc(**changed)})


def _kyc_by_api(cast: Cast, **changed: str) -> Any:
    headers = {"Authorization": f"Bearer {cast.asha.access}"}
    return Client(raise_request_exception=False).post("/api/v1/me/kyc", _kyc(**changed), headers=headers)


def _register_by_page(_: Cast) -> Any:
    browser = Browser()
    form = browser.open("/register").form
    return browser.send(form, full_name=TYPED, address=new_email(), password=PASSWORD, accepts="on").response


def _rename_by_page(cast: Cast) -> Any:
    return cast.page.client.post("/account", {**cast.page.open("/account").forms[0].fields, "full_name": TYPED})


def _bank_account_by_page(cast: Cast) -> Any:
    numbers = {"account_number": "501000991", "account_number_again": "501000991"}
    form = cast.page.open("/bank-accounts/add").form
    return cast.page.send(form, holder_name=TYPED, ifsc="HDFC0001234", **numbers).response


def _register(_: Cast) -> Any:
    return call("POST", "/auth/register", {"full_name": TYPED, "password": PASSWORD, "email": new_email()})


def _bank_account(cast: Cast) -> Any:
    return cast.asha.post("/bank-accounts", {"holder_name": TYPED, "ifsc": "HDFC0001234", "account_number": "50100099"})


def _transfer(cast: Cast) -> Any:
    return cast.asha.post("/wallet/transfer", {"to": cast.meera.email, "amount": "1", "note": TYPED})


def _pay(cast: Cast, **words: str) -> Any:
    return cast.asha.post("/wallet/pay", {"merchant": cast.shop.handle, "amount": "1", **words})


def _by_lead(cast: Cast, row: Model, page: str, **fields: str) -> Any:
    return cast.lead_page.post(page_of(row, page), fields)


# Each as its door takes it, everything else about it in order.
FREE: Final[dict[str, Callable[[Cast], Any]]] = {
    "accounts.account_api.RenameRequest.full_name": lambda cast: call(
        "PATCH", "/me", {"full_name": TYPED}, access=cast.asha.access
    ),
    "accounts.account_forms.NameForm.full_name": _rename_by_page,
    "accounts.factor_forms.PasskeyForm.name": _passkey,
    "accounts.forms.ReasonForm.reason": lambda cast: _by_lead(
        cast, cast.asha.user, "status", act="block", reason=TYPED
    ),
    "accounts.forms.RegisterForm.full_name": _register_by_page,
    "accounts.kyc_api.KycRequest.address": lambda cast: _kyc_by_api(cast, address=TYPED),
    "accounts.kyc_api.KycRequest.full_name": lambda cast: _kyc_by_api(cast, full_name=TYPED),
    "accounts.kyc_forms.DecisionForm.reason": lambda cast: _by_lead(
        cast, _submission(), "decide", decision="refuse", reason=TYPED
    ),
    "accounts.kyc_forms.KycForm.address": lambda cast: _kyc_by_page(cast, address=TYPED),
    "accounts.kyc_forms.KycForm.full_name": lambda cast: _kyc_by_page(cast, full_name=TYPED),
    "accounts.lost_factor_forms.DecisionForm.reason": lambda _: _decide_lost_factor(),
    "accounts.lost_factor_forms.LostFactorForm.statement": lambda cast: _refused(
        lambda: lost_factors.ask(user=cast.asha.user, statement=TYPED, now=timezone.now())
    ),
    "accounts.serializers.RegisterRequest.full_name": _register,
    "payments.admin.forms.ClosingForm.reason": lambda cast: _by_lead(cast, _asked_back(cast), "close", reason=TYPED),
    "payments.admin.forms.DecisionForm.reason": lambda cast: _by_lead(
        cast, _proposal(), "decide", answer="approve", reason=TYPED
    ),
    "payments.admin.forms.DiscardForm.reason": lambda cast: _by_lead(cast, _letter(), "discard", reason=TYPED),
    "payments.admin.forms.RefundForm.reason": lambda cast: _by_lead(
        cast, _order(cast), "refund", step="confirm", amount="1", reason=TYPED
    ),
    "payments.admin.forms.ResolutionForm.resolution": lambda cast: _by_lead(cast, _case(), "resolve", resolution=TYPED),
    "payments.forms.AskBackForm.note": lambda cast: (
        cast.page.send(cast.page.open(f"/receipts/{_sent(cast)}/money-back").form, note=TYPED).response
    ),
    "payments.forms.BankAccountForm.holder_name": _bank_account_by_page,
    "payments.forms.PayForm.note": lambda cast: _money_page(cast, "/pay", merchant=cast.shop.handle, note=TYPED),
    "payments.forms.PayForm.order_reference": lambda cast: _money_page(
        cast, "/pay", merchant=cast.shop.handle, order_reference=TYPED
    ),
    "payments.forms.SendForm.note": lambda cast: _money_page(cast, "/send", to=cast.meera.email, note=TYPED),
    "payments.limit_forms.HoldingLimitForm.reason": lambda cast: _limit(cast, HoldingLimit, most="5"),
    "payments.limit_forms.LimitRuleForm.reason": lambda cast: _limit(
        cast, LimitRule, type="PAY", per_transaction="1", per_day="2", per_month="3"
    ),
    "payments.money_back_api.AskRequest.note": lambda cast: cast.asha.post(
        f"/transactions/{_sent(cast)}/money-back", {"note": TYPED}
    ),
    "payments.merchant_webhooks.forms.EndpointForm.url": lambda cast: browser_of(cast.meera.user).post(
        "/webhooks/add", {"url": TYPED, "types": ["payment.succeeded"], "password": PASSWORD}
    ),
    "payments.merchant_webhooks.serializers.EndpointRequest.url": lambda cast: cast.meera.post(
        "/webhook-endpoints", {"url": TYPED, "password": PASSWORD}
    ),
    "payments.serializers.BankAccountRequest.holder_name": _bank_account,
    "payments.serializers.PayRequest.note": lambda cast: _pay(cast, note=TYPED),
    "payments.serializers.PayRequest.order_reference": lambda cast: _pay(cast, order_reference=TYPED),
    "payments.serializers.TransferRequest.note": _transfer,
}


def test_every_field_of_words_is_known_here() -> None:
    """A new field has a line above, and is shown to refuse a card number; or it is no field of words."""
    words = {
        name
        for name, field in input_fields().items()
        if isinstance(field, CharField | ApiCharField)
        and not isinstance(field, ChoiceField | ApiChoiceField)
        and type(field).__name__ not in SHAPED
        and name.rpartition(".")[2] not in COMPARED
    }
    assert words == set(FREE)


@pytest.mark.parametrize("name", FREE)
def test_a_card_number_is_refused_where_it_was_written(cast: Cast, name: str) -> None:
    field, answer = name.rpartition(".")[2], FREE[name](cast)
    if isinstance(answer, Refusal):
        assert [(error["field"], error["code"]) for error in answer.errors] == [(field, "card_number")]
    elif answer.headers["Content-Type"] == "application/problem+json":
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), answer.content
        (error,) = answer.json()["errors"]
        assert (error["field"], error["code"]) == (field, "card_number")
        assert SAID in error["detail"]
        assert "1111" not in answer.content.decode()
    else:
        assert answer.status_code in (200, 400), answer.status_code
        assert SAID in answer.content.decode()


def test_what_people_of_support_write_elsewhere_is_judged_alike(cast: Cast) -> None:
    """The same form at another door; and a shop's name, which a command writes."""
    frozen = cast.lead_page.post(page_of(cast.asha.wallet, "status"), {"act": "freeze", "reason": TYPED})
    assert SAID in frozen.content.decode()
    with pytest.raises(Refusal, match="invalid") as refused:
        open_merchant(user=holder("Meera Nair").user, handle="meera-cards", display_name=f"Books {CARD}")
    assert refused.value.errors[0]["code"] == "card_number"


def test_none_of_them_has_left_it_anywhere(cast: Cast, superuser_url: str) -> None:
    """The last test here: after all that was tried above, in whatever form it may have been kept."""
    planted = _case()
    with psycopg.connect(superuser_url) as server:
        tables = [name for (name,) in server.execute("SELECT relname FROM pg_stat_user_tables").fetchall()]
        found: dict[str, list[str]] = {
            text: [
                table
                for table in tables
                if server.execute(f'SELECT 1 FROM "{table}" t WHERE t::text LIKE %s LIMIT 1', [f"%{text}%"]).fetchone()
            ]
            for text in (CARD, CARD.replace(" ", ""), planted.subject)
        }
    assert found == {CARD: [], CARD.replace(" ", ""): [], planted.subject: ["payments_case"]}
