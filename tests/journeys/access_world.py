"""Everybody of the table of access, signed in at pages and API, and what is Asha's: made once."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.test import Client
from django.utils import timezone
from PIL import Image

from accounts import audit
from accounts.actors import actor_of
from accounts.address_changes import begin
from accounts.addresses import any_address
from accounts.blocking import block
from accounts.kyc import submit
from accounts.lost_factors import ask
from accounts.models import Notification, Passkey, PushSubscription, Session, User
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD, appoint, appoint_superuser
from payments.captures import settle_order
from payments.merchant_webhooks.event_types import TYPES
from payments.merchant_webhooks.log import ping
from payments.merchant_webhooks.signing import new_secret, sealed
from payments.models import Proposal, WebhookEndpoint
from payments.models.limits import Limited
from payments.money_back import ask as ask_back
from payments.own_limits import set_own_limits
from payments.person_blocks import block_payee
from payments.proposals import propose
from tests.accounts.people import PASSWORD, new_email, superuser
from tests.journeys.access_table import READ_IN_ADMIN, ROLES
from tests.payments.cast import Holder, access_of, holder, merchant, new_key
from tests.payments.money_story import add, happen, pay
from tests.payments.sandbox_process import Merchant, Sandbox
from tests.payments.withdrawing import bank_account
from wallet_project.kernel.events.dead_letters import Place, bury
from wallet_project.kernel.events.recording import register
from wallet_project.kernel.ids import new_uuid, public_id
from wallet_project.kernel.money import Money
from wallets.models import Merchant as Shop

# A primary key that no row has.
NO_KEY: Final = 2**40


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of Asha's by its id, and an id of the same shape that nothing has."""

    hers: str
    unknown: str


@dataclass
class World:
    people: dict[str, User]
    things: dict[str, Thing]
    asha: Holder
    shop: Shop
    _browsers: dict[str, Client] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)
    # Of each role the sessions that were open when it last signed in.
    _open: dict[str, set[int]] = field(default_factory=dict)

    def browser(self, role: str) -> Client:
        """Signed in at the pages; the blocked one was, before."""
        if role not in self._browsers:
            self._browsers[role] = Client(raise_request_exception=False)
            if role != "nobody":
                self._browsers[role].force_login(self.people[role])
                self._open[role] = self._open_now(role)
        return self._browsers[role]

    def headers(self, role: str) -> dict[str, str]:
        if role == "nobody":
            return {}
        if role not in self._tokens:
            self._tokens[role] = access_of(self.people[role])
            self._open[role] = self._open_now(role)
        return {"Authorization": f"Bearer {self._tokens[role]}", "Idempotency-Key": new_key()}

    def sign_in_again(self, role: str) -> None:
        """Where something has ended one of their sessions, or has taken its cookie."""
        cookies = self.browser(role).cookies
        if role == "nobody":
            cookies.clear()
        elif role != "blocked" and (
            not cookies[settings.SESSION_COOKIE_NAME].value or self._open_now(role) != self._open[role]
        ):
            self._browsers.pop(role, None)
            self._tokens.pop(role, None)

    def _open_now(self, role: str) -> set[int]:
        return set(Session.objects.filter(user=self.people[role], revoked_at=None).values_list("pk", flat=True))


def build(counterpart: Merchant, sandbox: Sandbox) -> World:
    story = happen(counterpart, sandbox, phone="+919876501234")
    asha = story.asha
    meera, shop = merchant()
    people: dict[str, Any] = {
        "person": asha,
        "other": holder("Ravi Kumar", rupees=50),
        "merchant": meera,
        "support": holder("Dev Singh"),
        "support_lead": holder("Lata Sen"),
        "auditor": holder("Anil Gupta"),
        "superuser": holder("Root"),
        "blocked": holder("Zoya Khan", rupees=50),
    }
    for role, group in (("support", SUPPORT), ("support_lead", SUPPORT_LEAD), ("auditor", AUDITOR)):
        with transaction.atomic():
            appoint(user=people[role].user, group=group)
    appoint_superuser(user=people["superuser"].user)
    for person in people.values():
        actor_of(person.user)
    order = add(asha, "300")
    pay(sandbox, order)
    settle_order(order=order, now=timezone.now())
    asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "10"})
    users = {role: User.objects.get(pk=person.user.pk) for role, person in people.items()}
    sent, asked = _asked_back(asha)
    world = World(people=users, things={}, asha=asha, shop=shop)
    _make_webhooks(world, meera.user)
    _make_rows(world, order.transaction.public_id)
    session = Session.objects.create(
        user=asha.user,
        refresh_id=new_uuid(),
        created_at=timezone.now(),
        last_used_at=timezone.now(),
        expires_at=timezone.now() + timedelta(days=1),
    )
    passkey = Passkey.objects.create(
        user=asha.user, credential_id=b"hers", public_key=b"key", name="Her phone", created_at=timezone.now()
    )
    notification = Notification.objects.create(
        user=asha.user, kind="money_in", title="Money", text="Came in.", created_at=timezone.now()
    )
    push = PushSubscription.objects.create(
        user=asha.user, endpoint="https://fcm.googleapis.com/hers", digest=b"hers", created_at=timezone.now()
    )
    world.things.update(
        push=_public("psh", push.public_id),
        passkey=Thing(str(passkey.pk), str(NO_KEY)),
        sent=_public("txn", sent),
        asked_by_her=_public("mbk", asked[0]),
        asked_of_her=_public("mbk", asked[1]),
        person_block=_public("blk", _kept_away(asha)),
        second_block=_public("blk", _kept_away(asha)),
        # Of no notification.
        link=Thing("a" * 72, "b" * 72),
        top_up=_public("txn", order.transaction.public_id),
        session=_public("ses", session.public_id),
        bank_account=_public("bnk", story.account.public_id),
        second_account=_public("bnk", bank_account(asha, "1671")),
        wallet=_public("wal", asha.wallet.public_id),
        notification=_public("ntf", notification.public_id),
        draft=Thing(new_key(), new_key()),
        gateway=Thing("razorpay", "nobody"),
        user_pk=Thing(str(asha.user.pk), str(NO_KEY)),
        wallet_pk=Thing(str(asha.wallet.pk), str(NO_KEY)),
        content_type=Thing(str(ContentType.objects.get_for_model(User).pk), str(NO_KEY)),
        app=Thing("payments", "payments"),
        limited=Thing("PAY", "NOTHING"),
        channel=Thing("email", "fax"),
        nowhere=Thing("no/such/page/", "no/such/page/"),
    )
    # Signed in first, and blocked then.
    world.browser("blocked")
    world.headers("blocked")
    block(user=users["blocked"], by=superuser(), reason="Fraud", now=timezone.now())
    assert set(world.people) == set(ROLES) - {"nobody"}
    return world


def _asked_back(asha: Holder) -> tuple[str, list[str]]:
    """What she sent; and two requests, by her and of her."""
    priya, now = holder("Priya Shah", rupees=20), timezone.now()
    to_priya = asha.post("/wallet/transfer", {"to": priya.email, "amount": "5"}).json()["id"]
    from_priya = priya.post("/wallet/transfer", {"to": asha.email, "amount": "5"}).json()["id"]
    requests = [
        ask_back(asker=asha.user, transaction=to_priya, now=now),
        ask_back(asker=priya.user, transaction=from_priya, now=now),
    ]
    return to_priya, [said.money_back.public_id for said in requests]


def _kept_away(asha: Holder) -> str:
    return block_payee(user=asha.user, to=holder("Priya Shah").email, now=timezone.now()).block.public_id


def _public(prefix: str, hers: str) -> Thing:
    return Thing(hers, public_id(prefix, new_uuid()))


def _make_webhooks(world: World, meera: User) -> None:
    now = timezone.now()
    for name in ("webhook", "second_webhook", "third_webhook"):
        endpoint = WebhookEndpoint.objects.create(
            wallet=world.shop.wallet,
            url=f"https://shop.example/{name}",
            types=list(TYPES),
            secret_sealed=sealed(new_secret()),
            state_changed_at=now,
            created_at=now,
        )
        world.things[name] = _public("whk", endpoint.public_id)
    told = ping(user=meera, endpoint=world.things["webhook"].hers, now=now)
    world.things["webhook_message"] = _public("msg", told.public_id)


def _make_rows(world: World, top_up: str) -> None:
    """One row of each model that the admin shows and the story did not bring."""
    now, asha, lead = timezone.now(), world.people["person"], world.people["support_lead"]
    audit.record("sign_in", now=now, actor=asha, subject=asha)
    propose(
        kind=Proposal.Kind.REFUND,
        subject=top_up,
        terms={"amount": "1.00", "currency": "INR"},
        by=lead,
        reason="She asked for it",
        now=now,
    )
    for model in READ_IN_ADMIN:
        manager = apps.get_model(model)._default_manager
        if model in _MAKERS and not manager.exists():
            _MAKERS[model](asha)
        row = manager.order_by("-pk").first()
        assert row is not None, f"access_world.py: _MAKERS needs a line that makes a row of {model}."
        world.things[model.split(".")[1]] = Thing(str(row.pk), str(NO_KEY))


def _kyc(asha: User) -> None:
    image = io.BytesIO()
    Image.new("RGB", (800, 500), "white").save(image, "PNG")
    submit(
        user=asha,
        full_name="Asha Rao",
        born=date(1990, 1, 1),
        address="12, Lake Road, Bengaluru 560001",
        document="PAN",
        number="ABCPE1234F",
        image=image.getvalue(),
        now=timezone.now(),
    )


def _address_change(asha: User) -> None:
    begin(user=asha, address=any_address(new_email()), password=PASSWORD, now=timezone.now())


def _lost_factor(asha: User) -> None:
    ask(user=asha, statement="You have my PAN card", now=timezone.now())


def _own_limit(asha: User) -> None:
    """On what she does nowhere in these tests."""
    most = Money.parse("1000")
    set_own_limits(
        user=asha, type=Limited.WITHDRAW, per_transaction=most, per_day=most, per_month=None, now=timezone.now()
    )


def _dead_letter(_asha: User) -> None:
    now = timezone.now()
    with transaction.atomic():
        bury(
            group_id=register(group="notifications", now=now),
            event_id=new_uuid(),
            place=Place(partition=0, offset=0, value=b"no event"),
            error=ValueError("no event"),
            tries=1,
            now=now,
        )


# A line for each model of the admin that the story leaves without a row.
_MAKERS: Final[dict[str, Callable[[User], None]]] = {
    "accounts.addresschange": _address_change,
    "accounts.kycsubmission": _kyc,
    "accounts.lostfactor": _lost_factor,
    "kernel.deadletter": _dead_letter,
    "payments.ownlimit": _own_limit,
}
