"""
Who gets where: one line for each route, held against the routes that there are by test_access_matrix.py.

`Access(GET=OWN, id="transaction")`: a method that is not named is refused (405, or whatever keeps that caller out).
What a route's ids stand for is named among the objects of access_world.py: all of them Asha's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ROLES: Final = (
    "nobody",
    "person",
    "other",
    "merchant",
    "support",
    "support_lead",
    "auditor",
    "superuser",
    "blocked",
)
STAFF: Final = frozenset({"support", "support_lead", "auditor", "superuser"})
SIGNED: Final = frozenset(ROLES) - {"nobody", "blocked"}
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

# What a caller meets. IN: let in, whatever becomes of the (mostly empty) request itself.
IN, SIGN_IN, NO_TOKEN, FORBIDDEN, NOT_FOUND, NO_METHOD = "in", "to sign in", "401", "403", "404", "405"


@dataclass(frozen=True)
class Rule:
    """
    :ivar allowed: the roles that get in. :ivar others: what the other signed-in roles meet.
    :ivar public: strangers and the blocked are treated like everybody.
    """

    allowed: frozenset[str]
    others: str = NOT_FOUND
    public: bool = False


def only(*roles: str, others: str = FORBIDDEN) -> Rule:
    return Rule(frozenset(roles), others)


PUBLIC: Final = Rule(frozenset(ROLES), public=True)
SIGNED_IN: Final = Rule(SIGNED)
# Asha is the person; everything that an id names is hers.
OWN: Final = Rule(frozenset({"person"}))
# Meera is the merchant; everything that an id of these routes names is hers.
MERCHANTS: Final = Rule(frozenset({"merchant"}))
# For everybody alike, whoever they are: something that is not there (any more), or only after another step.
NEVER_THERE: Final = Rule(frozenset(), NOT_FOUND, public=True)
AFTER_A_STEP: Final = Rule(frozenset(), SIGN_IN, public=True)
# The password is asked for once more, and none was given.
ASKED_AGAIN: Final = Rule(frozenset(), NO_TOKEN)
AUDITS: Final = only("auditor", "superuser")


class Access:
    """The rules of one route by method, and by the name of each of its ids what that stands for."""

    def __init__(self, *, wrong_method: str = NO_METHOD, **named: "Rule | str") -> None:
        self.rules: dict[str, Rule] = {name: rule for name, rule in named.items() if isinstance(rule, Rule)}
        self.ids: dict[str, str] = {name: thing for name, thing in named.items() if isinstance(thing, str)}
        self.wrong_method = wrong_method


PAGES: Final[Mapping[str, Access]] = {
    "health/live": Access(GET=PUBLIC),
    "health/ready": Access(GET=PUBLIC),
    # By the operators' token, and there is none; tests/house/test_metrics.py has one.
    "metrics": Access(GET=NEVER_THERE),
    # accounts
    "register": Access(GET=PUBLIC, POST=PUBLIC),
    "verify": Access(GET=PUBLIC, POST=PUBLIC),
    "verify/resend": Access(POST=PUBLIC),
    "sign-in": Access(GET=PUBLIC, POST=PUBLIC),
    "sign-in/second-factor": Access(GET=AFTER_A_STEP, POST=AFTER_A_STEP),
    "sign-in/second-factor/passkey": Access(POST=AFTER_A_STEP),
    "sign-in/second-factor/passkey/options": Access(POST=AFTER_A_STEP),
    "sign-in/lost-factor": Access(GET=AFTER_A_STEP, POST=AFTER_A_STEP),
    # By the token of a message's link alone.
    "lost-factor/stop": Access(GET=PUBLIC, POST=PUBLIC),
    # Where everybody is led from there.
    "sign-out": Access(POST=AFTER_A_STEP),
    "terms": Access(GET=PUBLIC),
    "privacy": Access(GET=PUBLIC),
    "consent": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "password/reset": Access(GET=PUBLIC, POST=PUBLIC),
    "password/reset/confirm": Access(GET=PUBLIC, POST=PUBLIC),
    # By the token of a message's link alone.
    "password/reset/link": Access(GET=PUBLIC, POST=PUBLIC),
    # Before whatever ends other sign-ins: their browsers are woken no more.
    "notifications/push/<str:id>/off": Access(POST=OWN, id="push"),
    "account": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "account/password": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "account/addresses/add": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "account/addresses/confirm": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "account/addresses/undo": Access(GET=PUBLIC, POST=PUBLIC),
    "account/addresses/<str:channel>/remove": Access(GET=SIGNED_IN, POST=SIGNED_IN, channel="channel"),
    "security": Access(GET=SIGNED_IN),
    "security/totp": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "security/totp/begin": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "security/totp/remove": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "security/recovery-codes": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "security/passkeys": Access(POST=SIGNED_IN),
    "security/passkeys/options": Access(POST=ASKED_AGAIN),
    "security/passkeys/<int:pk>/remove": Access(GET=OWN, POST=OWN, pk="passkey"),
    "security/sessions": Access(GET=SIGNED_IN),
    "security/sessions/end-others": Access(POST=SIGNED_IN),
    "security/sessions/<str:id>/end": Access(POST=OWN, id="session"),
    "kyc": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "notifications": Access(GET=SIGNED_IN),
    "notifications/read": Access(POST=SIGNED_IN),
    "notifications/preferences": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "notifications/<str:id>/read": Access(POST=OWN, id="notification"),
    "notifications/push": Access(POST=SIGNED_IN),
    "push-worker.js": Access(GET=PUBLIC),
    "dev/inbox": Access(GET=PUBLIC),
    # ledger
    "audit/": Access(GET=AUDITS),
    "audit/entries.csv": Access(GET=AUDITS),
    # payments
    "": Access(GET=PUBLIC),
    # Strangers are told that they are none of ours, so that a page left open says that it is over.
    "live": Access(GET=PUBLIC),
    "history": Access(GET=SIGNED_IN),
    "add": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "send": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "send/review/<str:key>": Access(GET=SIGNED_IN, key="draft"),
    "send/confirm": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "pay": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "pay/review/<str:key>": Access(GET=SIGNED_IN, key="draft"),
    "pay/confirm": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "withdraw": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "withdraw/review/<str:key>": Access(GET=SIGNED_IN, key="draft"),
    "withdraw/confirm": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "bank-accounts": Access(GET=SIGNED_IN),
    "bank-accounts/add": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "bank-accounts/<str:account>/remove": Access(GET=OWN, POST=OWN, account="bank_account"),
    "limits": Access(GET=SIGNED_IN),
    "limits/<str:type>": Access(GET=SIGNED_IN, POST=SIGNED_IN, type="limited"),
    "limits/<str:type>/drop": Access(POST=SIGNED_IN, type="limited"),
    "webhooks": Access(GET=MERCHANTS),
    "webhooks/add": Access(GET=MERCHANTS, POST=MERCHANTS),
    "webhooks/<str:id>": Access(GET=MERCHANTS, POST=MERCHANTS, id="webhook"),
    "webhooks/<str:id>/rotate": Access(GET=MERCHANTS, POST=MERCHANTS, id="webhook"),
    "webhooks/<str:id>/switch": Access(POST=MERCHANTS, id="webhook"),
    "webhooks/<str:id>/remove": Access(GET=MERCHANTS, POST=MERCHANTS, id="second_webhook"),
    "webhooks/<str:id>/ping": Access(POST=MERCHANTS, id="webhook"),
    "webhooks/<str:id>/deliveries/<str:message>": Access(GET=MERCHANTS, id="webhook", message="webhook_message"),
    "webhooks/<str:id>/deliveries/<str:message>/redeliver": Access(
        POST=MERCHANTS, id="webhook", message="webhook_message"
    ),
    "account/close": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "account/blocked-people": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "account/blocked-people/<str:id>/remove": Access(POST=OWN, id="person_block"),
    # By the token of a message's link alone.
    "not-me/<str:token>": Access(GET=PUBLIC, POST=PUBLIC, token="link"),
    "notifications/<str:id>/not-me": Access(GET=OWN, POST=OWN, id="notification"),
    "money-back": Access(GET=SIGNED_IN),
    "money-back/<str:id>": Access(GET=OWN, id="asked_of_her"),
    # To the request's own page, which is there or not: this one looks at nothing yet.
    "money-back/<str:id>/give": Access(GET=SIGNED_IN, POST=OWN, id="asked_of_her"),
    "money-back/<str:id>/hold": Access(POST=OWN, id="asked_of_her"),
    "money-back/<str:id>/decline": Access(POST=OWN, id="asked_of_her"),
    "money-back/<str:id>/withdraw": Access(POST=OWN, id="asked_by_her"),
    "receipts/<str:transaction>/money-back": Access(GET=OWN, POST=OWN, transaction="sent"),
    "receipts/<str:transaction>/block": Access(GET=OWN, POST=OWN, transaction="sent"),
    "account/data": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "receipts/<str:transaction>": Access(GET=OWN, transaction="top_up"),
    "receipts/<str:transaction>/check": Access(POST=OWN, transaction="top_up"),
    "receipts/<str:transaction>/refund": Access(GET=OWN, POST=OWN, transaction="top_up"),
    # To the first page of it, which is there or not: this one looks at nothing yet.
    "receipts/<str:transaction>/refund/review/<str:key>": Access(GET=SIGNED_IN, transaction="top_up", key="draft"),
    "receipts/<str:transaction>/refund/confirm": Access(GET=SIGNED_IN, POST=OWN, transaction="top_up"),
    # By its signature alone.
    "payments/<str:gateway>/callback": Access(GET=PUBLIC, POST=PUBLIC, gateway="gateway"),
}

API: Final[Mapping[str, Access]] = {
    # accounts
    "api/v1/auth/register": Access(POST=PUBLIC),
    "api/v1/auth/verify": Access(POST=PUBLIC),
    "api/v1/auth/verify/resend": Access(POST=PUBLIC),
    "api/v1/auth/token": Access(POST=PUBLIC),
    "api/v1/auth/token/refresh": Access(POST=PUBLIC),
    "api/v1/auth/logout": Access(POST=PUBLIC),
    "api/v1/auth/totp": Access(POST=SIGNED_IN, DELETE=SIGNED_IN),
    "api/v1/auth/totp/confirm": Access(POST=SIGNED_IN),
    "api/v1/auth/password/change": Access(POST=SIGNED_IN),
    "api/v1/auth/password/reset": Access(POST=PUBLIC),
    "api/v1/auth/password/reset/confirm": Access(POST=PUBLIC),
    "api/v1/me": Access(GET=SIGNED_IN, PATCH=SIGNED_IN),
    "api/v1/me/addresses": Access(POST=SIGNED_IN),
    "api/v1/me/addresses/confirm": Access(POST=SIGNED_IN),
    "api/v1/me/addresses/<str:channel>": Access(DELETE=SIGNED_IN, channel="channel"),
    "api/v1/me/kyc": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "api/v1/me/sessions": Access(GET=SIGNED_IN),
    "api/v1/me/sessions/<str:id>": Access(DELETE=OWN, id="session"),
    "api/v1/me/notification-preferences": Access(GET=SIGNED_IN, PUT=SIGNED_IN),
    "api/v1/notifications": Access(GET=SIGNED_IN),
    "api/v1/notifications/read": Access(POST=SIGNED_IN),
    "api/v1/notifications/<str:id>/read": Access(POST=OWN, id="notification"),
    "api/v1/me/close": Access(POST=SIGNED_IN),
    "api/v1/me/data": Access(GET=SIGNED_IN),
    # wallets
    "api/v1/wallet/balance": Access(GET=SIGNED_IN),
    # ledger
    "api/v1/transactions": Access(GET=SIGNED_IN),
    "api/v1/transactions/<str:id>": Access(GET=OWN, id="top_up"),
    # payments
    "api/v1/transactions/<str:id>/refund": Access(POST=OWN, id="top_up"),
    "api/v1/transactions/<str:id>/money-back": Access(POST=OWN, id="sent"),
    "api/v1/money-back": Access(GET=SIGNED_IN),
    "api/v1/money-back/<str:id>": Access(GET=OWN, id="asked_of_her"),
    "api/v1/money-back/<str:id>/give": Access(POST=OWN, id="asked_of_her"),
    "api/v1/money-back/<str:id>/hold": Access(POST=OWN, id="asked_of_her"),
    "api/v1/money-back/<str:id>/decline": Access(POST=OWN, id="asked_of_her"),
    "api/v1/money-back/<str:id>/withdraw": Access(POST=OWN, id="asked_by_her"),
    "api/v1/me/blocked-people": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "api/v1/me/blocked-people/<str:id>": Access(DELETE=OWN, id="second_block"),
    "api/v1/notifications/<str:id>/not-me": Access(POST=OWN, id="notification"),
    "api/v1/wallet/transfer": Access(POST=SIGNED_IN),
    "api/v1/wallet/pay": Access(POST=SIGNED_IN),
    "api/v1/wallet/add": Access(POST=SIGNED_IN),
    "api/v1/wallet/add/confirm": Access(POST=SIGNED_IN),
    "api/v1/wallet/withdraw": Access(POST=SIGNED_IN),
    "api/v1/wallet/payee": Access(GET=SIGNED_IN),
    "api/v1/bank-accounts": Access(GET=SIGNED_IN, POST=SIGNED_IN),
    "api/v1/bank-accounts/<str:id>": Access(DELETE=OWN, id="second_account"),
    "api/v1/webhook-endpoints": Access(GET=MERCHANTS, POST=MERCHANTS),
    "api/v1/webhook-endpoints/<str:id>": Access(GET=MERCHANTS, PATCH=MERCHANTS, DELETE=MERCHANTS, id="third_webhook"),
    "api/v1/webhook-endpoints/<str:id>/rotate": Access(POST=MERCHANTS, id="webhook"),
    "api/v1/webhook-endpoints/<str:id>/ping": Access(POST=MERCHANTS, id="webhook"),
    "api/v1/webhook-endpoints/<str:id>/deliveries": Access(GET=MERCHANTS, id="webhook"),
    "api/v1/webhook-endpoints/<str:id>/deliveries/<str:message>": Access(
        GET=MERCHANTS, id="webhook", message="webhook_message"
    ),
    "api/v1/webhook-endpoints/<str:id>/deliveries/<str:message>/redeliver": Access(
        POST=MERCHANTS, id="webhook", message="webhook_message"
    ),
    "api/v1/limits": Access(GET=SIGNED_IN),
    "api/v1/limits/<str:type>": Access(PUT=SIGNED_IN, type="limited"),
    "api/v1/webhooks/razorpay": Access(POST=PUBLIC),
    # Nobody has set it up here.
    "api/v1/webhooks/stripe": Access(POST=NEVER_THERE),
    "api/v1/schema": Access(GET=PUBLIC),
    "api/v1/docs": Access(GET=PUBLIC),
}

_SUPPORT: Final = ("support", "support_lead", "superuser")
_LEADS: Final = ("support_lead", "superuser")

# Pages of the admin's site itself, and what each model's admin has beside Django's own six.
ADMIN: Final[Mapping[str, Access]] = {
    "admin/": Access(GET=only(*STAFF)),
    "admin/login/": Access(GET=AFTER_A_STEP, POST=AFTER_A_STEP),
    "admin/logout/": Access(POST=PUBLIC),
    "admin/password_change/": Access(GET=only(others=NOT_FOUND), POST=only(others=NOT_FOUND)),
    "admin/password_change/done/": Access(GET=only(*STAFF)),
    "admin/autocomplete/": Access(GET=only(others=FORBIDDEN)),
    "admin/jsi18n/": Access(GET=only(*STAFF)),
    "admin/r/<path:content_type_id>/<path:object_id>/": Access(
        GET=only(others=NOT_FOUND), content_type_id="content_type", object_id="user_pk"
    ),
    "admin/^(?P<app_label>accounts|wallets|ledger|payments|kernel)/$": Access(GET=only(*STAFF), app_label="app"),
    "admin/(?P<url>.*)$": Access(GET=only(others=NOT_FOUND), url="nowhere"),
    "admin/accounts/user/<int:pk>/status/": Access(GET=only(*_SUPPORT), POST=only(*_SUPPORT), pk="user_pk"),
    "admin/accounts/addresschange/<int:pk>/lift/": Access(
        GET=only(*_SUPPORT), POST=only(*_SUPPORT), pk="addresschange"
    ),
    "admin/accounts/kycsubmission/<int:pk>/image/": Access(GET=only(*_SUPPORT), pk="kycsubmission"),
    "admin/accounts/kycsubmission/<int:pk>/decide/": Access(
        GET=only(*_SUPPORT), POST=only(*_SUPPORT), pk="kycsubmission"
    ),
    "admin/accounts/kycsubmission/<int:pk>/take-back/": Access(
        GET=only(*_SUPPORT), POST=only(*_SUPPORT), pk="kycsubmission"
    ),
    "admin/accounts/lostfactor/<int:pk>/decide/": Access(GET=only(*_SUPPORT), POST=only(*_SUPPORT), pk="lostfactor"),
    "admin/accounts/outgoingmessage/<int:pk>/resend/": Access(
        GET=only(*_SUPPORT), POST=only(*_SUPPORT), pk="outgoingmessage"
    ),
    "admin/wallets/wallet/<int:pk>/status/": Access(GET=only(*_SUPPORT), POST=only(*_SUPPORT), pk="wallet_pk"),
    "admin/payments/gatewayorder/<int:pk>/refund/": Access(GET=only(*_LEADS), POST=only(*_LEADS), pk="gatewayorder"),
    "admin/payments/case/<int:pk>/resolve/": Access(GET=only(*_SUPPORT), POST=only(*_SUPPORT), pk="case"),
    "admin/kernel/deadletter/<int:pk>/replay/": Access(POST=only(*_LEADS), pk="deadletter"),
    "admin/kernel/deadletter/<int:pk>/discard/": Access(GET=only(*_LEADS), POST=only(*_LEADS), pk="deadletter"),
    "admin/payments/moneyback/<int:pk>/close/": Access(GET=only(*_SUPPORT), POST=only(*_SUPPORT), pk="moneyback"),
    # The lead of the table proposed it.
    "admin/payments/proposal/<int:pk>/decide/": Access(GET=only("superuser"), POST=only("superuser"), pk="proposal"),
    "admin/payments/limitrule/propose/": Access(GET=only(*_LEADS), POST=only(*_LEADS)),
    "admin/payments/holdinglimit/propose/": Access(GET=only(*_LEADS), POST=only(*_LEADS)),
    **{
        f"admin/payments/{model}/<int:pk>/ask/": Access(POST=only(*_SUPPORT), pk=model)
        for model in (
            "case",
            "dispute",
            "webhookevent",
            "gatewayorder",
            "paymentattempt",
            "payout",
            "gatewayrefund",
            "settleditem",
        )
    },
}

# Who reads each model's lists and rows. Nobody adds, changes or deletes a row of any of them.
_LOG: Final = ("support_lead", "auditor", "superuser")
READ_IN_ADMIN: Final[Mapping[str, Rule]] = {
    "accounts.user": only(*STAFF),
    "accounts.securityevent": only(*_LOG),
    "accounts.addresschange": only(*STAFF),
    "accounts.kycsubmission": only(*STAFF),
    "accounts.lostfactor": only(*STAFF),
    "accounts.outgoingmessage": only(*STAFF),
    "kernel.deadletter": only(*_LEADS),
    "wallets.wallet": only(*STAFF),
    "wallets.merchant": only(*STAFF),
    "ledger.transaction": only(*STAFF),
    "ledger.ledgerentry": only(*STAFF),
    "ledger.hold": only(*STAFF),
    "payments.bankaccount": only(*STAFF),
    "payments.webhookendpoint": only(*_SUPPORT),
    "payments.webhookmessage": only(*_SUPPORT),
    "payments.case": only(*STAFF),
    "payments.dispute": only(*STAFF),
    "payments.gatewayorder": only(*STAFF),
    "payments.gatewayrefund": only(*STAFF),
    "payments.holdinglimit": only(*STAFF),
    "payments.limitrule": only(*STAFF),
    "payments.moneyback": only(*STAFF),
    "payments.ownlimit": only(*STAFF),
    "payments.parkedpayment": only(*STAFF),
    "payments.paymentattempt": only(*STAFF),
    "payments.payout": only(*STAFF),
    "payments.proposal": only(*STAFF),
    "payments.reconciliation": only(*STAFF),
    "payments.settleditem": only(*STAFF),
    "payments.webhookevent": only(*STAFF),
}


def standard_pages(model: str) -> dict[str, Access]:
    """Django's own six of a model's admin, as they are with `ReadOnlyAdmin`. A list that is posted to is only shown."""
    reads, nobody = READ_IN_ADMIN[model], only()
    at = f"admin/{model.replace('.', '/')}/"
    name = model.split(".")[1]
    return {
        at: Access(GET=reads),
        f"{at}add/": Access(GET=nobody, POST=nobody),
        f"{at}<path:object_id>/history/": Access(GET=reads, object_id=name),
        f"{at}<path:object_id>/delete/": Access(GET=nobody, POST=nobody, object_id=name),
        f"{at}<path:object_id>/change/": Access(GET=reads, POST=nobody, object_id=name),
        # To the page before: it shows nothing.
        f"{at}<path:object_id>/": Access(GET=only(*STAFF), object_id=name),
    }


STANDARD: Final[Mapping[str, Access]] = {
    route: access for model in READ_IN_ADMIN for route, access in standard_pages(model).items()
}
TABLE: Final[Mapping[str, Access]] = {
    **PAGES,
    **API,
    **ADMIN,
    **STANDARD,
}
