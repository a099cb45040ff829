"""A body for each call of the API that takes one, as its owner would send it; and what nobody may slip into one."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.accounts.people import PASSWORD, new_email
from tests.journeys.access_world import World

# As a bold client would name them, after the columns and after the answers. The values occur nowhere else.
PRIVILEGED: Final[Mapping[str, Any]] = {
    "id": "usr_00000000000000000000000000",
    "pk": 1,
    "user": 1,
    "user_id": 1,
    "owner": 1,
    "owner_id": 1,
    "initiator": 1,
    "is_staff": True,
    "is_superuser": True,
    "is_active": True,
    "groups": [1, 2, 3],
    "user_permissions": [1, 2, 3],
    "kyc_level": "FULL",
    "second_factor": True,
    "token_version": 77777,
    "email_verified_at": "2020-01-01T00:00:00Z",
    "phone_verified_at": "2020-01-01T00:00:00Z",
    "status": "CLOSED",
    "state": "PAID",
    "type": "ADD",
    "kind": "SYSTEM",
    "direction": "in",
    "balance": "77777.00",
    "held": "77777.00",
    "minimum_balance": "-77777.00",
    "fee": "-77777.00",
    "from_wallet": 1,
    "to_wallet": 1,
    "reverses": 1,
    "group": 1,
    "metadata": {"a": "b"},
    "fact": True,
    "created_at": "2020-01-01T00:00:00Z",
    "expires_at": "2099-01-01T00:00:00Z",
    "check_at": "2099-01-01T00:00:00Z",
}

Body = Callable[[World], dict[str, Any]]


def _address(_: World) -> dict[str, Any]:
    return {"email": new_email("zoya")}


# By method and path, as the schema names them. Sent by Ravi, `other`.
BODIES: Final[Mapping[str, Body]] = {
    "post /auth/register": lambda _: {"full_name": "Zoya Khan", "password": PASSWORD, "email": new_email("zoya")},
    "post /auth/verify": lambda _: {"email": new_email("zoya"), "code": "123456"},
    "post /auth/verify/resend": _address,
    "post /auth/token": lambda world: {"email": world.people["other"].email, "password": PASSWORD},
    "post /auth/token/refresh": lambda _: {"refresh": "x.y.z"},
    "post /auth/logout": lambda _: {"refresh": "x.y.z"},
    "post /auth/password/reset": _address,
    "post /auth/password/reset/confirm": lambda _: {
        "email": new_email("zoya"),
        "code": "123456",
        "new_password": "another-river-19",
    },
    "post /auth/totp": lambda _: {"password": PASSWORD},
    "post /auth/totp/confirm": lambda _: {"code": "123456"},
    "patch /me": lambda _: {"full_name": "Ravi Menon"},
    "post /me/addresses": lambda _: {"email": new_email("zoya"), "password": PASSWORD},
    "post /me/addresses/confirm": lambda _: {"id": "adc_00000000000000000000000000", "code": "123456"},
    # It takes a form with an image, and says so: tests/accounts/test_kyc.py slips things into that.
    "post /me/kyc": lambda _: {},
    "put /me/notification-preferences": lambda _: {"preferences": [{"kind": "money_in", "sms": True}]},
    "put /limits/{type}": lambda _: {"per_transaction": "1000.00", "per_day": "2000.00"},
    "post /bank-accounts": lambda _: {
        "holder_name": "Ravi Kumar",
        "ifsc": "HDFC0000001",
        "account_number": "501000991001",
    },
    "post /transactions/{id}/money-back": lambda _: {"note": "A wrong number"},
    "post /me/blocked-people": lambda world: {"to": world.people["support"].email},
    "post /transactions/{id}/refund": lambda _: {"amount": "1.00"},
    # Ravi is no merchant: payments/test_merchant_webhooks_doors.py slips things in as one.
    "post /webhook-endpoints": lambda _: {"url": "https://shop.example/hook", "password": PASSWORD},
    "post /webhook-endpoints/{id}/rotate": lambda _: {"password": PASSWORD},
    "patch /webhook-endpoints/{id}": lambda _: {"active": False},
    "post /wallet/add": lambda _: {"amount": "1.00"},
    "post /wallet/add/confirm": lambda _: {
        "razorpay_order_id": "order_x",
        "razorpay_payment_id": "pay_x",
        "razorpay_signature": "0" * 64,
    },
    "post /wallet/transfer": lambda world: {"to": world.people["merchant"].email, "amount": "1.00"},
    "post /wallet/pay": lambda world: {"merchant": world.shop.handle, "amount": "1.00"},
    "post /wallet/withdraw": lambda world: {"bank_account": world.things["others_account"].hers, "amount": "1.00"},
    # By their signature alone, which an extra field breaks.
    "post /webhooks/razorpay": lambda _: {},
    "post /webhooks/stripe": lambda _: {},
    # Last: they end the sessions.
    "post /auth/password/change": lambda _: {"old_password": PASSWORD, "new_password": "another-river-19"},
    "post /me/close": lambda _: {"password": "not-it-at-all"},
}
