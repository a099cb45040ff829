"""The calls that move money, and the one that names a payee. Each makes one deed call."""

from typing import Any, Final, cast

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import PublicView
from accounts.models import User
from accounts.tasks import wake_sender
from ledger.queries import see_transaction
from ledger.serializers import TransactionAnswer, transaction_json
from payments.bank_accounts import add_bank_account, bank_accounts_of, remove_bank_account
from payments.gateways import GATEWAYS
from payments.idempotency import HEADER, REPLAYED_HEADER, Answer, check_key
from payments.merchant_payments import pay_merchant, preview_payment
from payments.payees import find_payee_name
from payments.refunds import give_back
from payments.serializers import (
    AddAnswer,
    AddRequest,
    AmountRequest,
    BankAccountAnswer,
    BankAccountListAnswer,
    BankAccountListRequest,
    BankAccountRequest,
    ConfirmRequest,
    PayeeAnswer,
    PayeeRequest,
    PayRequest,
    QuoteAnswer,
    RefundRequest,
    TransferRequest,
    WithdrawRequest,
)
from payments.step_ups import HEADER as STEP_UP_HEADER
from payments.step_ups import StepUpRequired
from payments.tasks import check_bank_account, process_webhook_events, send_payout, send_refund
from payments.topups import add_money, confirm_payment
from payments.transfers import preview_transfer, send_money
from payments.waking import wake, wake_together
from payments.webhooks import receive_event
from payments.withdrawals import preview_withdrawal, withdraw_money
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.middleware import drain_if_too_large
from wallet_project.kernel.problems import MEDIA_TYPE, problem
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems
from wallet_project.kernel.throttles import counting_forgeries
from wallets.api import WALLET_PARAMETER

_KEY: Final = (
    "1 to 255 visible ASCII characters of your own choice, fresh for every new request, the same for a retry. "
    "Scoped to you and kept for ever."
)
KEY_PARAMETER: Final = OpenApiParameter(HEADER, str, OpenApiParameter.HEADER, required=True, description=_KEY)
KEY_OR_DRY_PARAMETER: Final = OpenApiParameter(
    HEADER, str, OpenApiParameter.HEADER, required=True, description=f"{_KEY} Not needed for a dry run."
)
DRY_RUN_PARAMETER: Final = OpenApiParameter(
    "dry_run", bool, description="`true`: answer what would happen; nothing moves and no key is used."
)
KEY_PROBLEMS: Final = (
    "idempotency_key_required",
    "idempotency_key_invalid",
    "idempotency_key_reused",
    "idempotency_key_in_progress",
)
KEPT_REFUSALS: Final = (
    "insufficient_funds",
    "limit_exceeded",
    "wallet_frozen",
    "recipient_unavailable",
    "same_wallet",
    "currency_mismatch",
)
STEP_UP_PARAMETER: Final = OpenApiParameter(
    STEP_UP_HEADER,
    str,
    OpenApiParameter.HEADER,
    description=(
        "`<challenge>:<code>`, after a 403 `step_up_required`, with the same request under the same key. A 403 "
        "`support_required` cannot be confirmed: for some days after a change of address, what would bring a day's "
        "payments of its type to a sum needs support's word."
    ),
)
STEP_UP_PROBLEMS: Final = (
    "support_required",
    "step_up_required",
    "step_up_invalid",
    "too_many_tries",
    "too_many_requests",
)
MONEY_PROBLEMS: Final = (*BODY_PROBLEMS, *TOKEN_PROBLEMS, *KEY_PROBLEMS, *KEPT_REFUSALS, "not_found")


class MoneyView(APIView):
    """What the doors that move money have in common: the key, the fields, and how an answer leaves."""

    def read(self, form: type[AmountRequest | RefundRequest]) -> dict[str, Any]:
        """
        The parsed fields. What was not given is left out, so that the deeds' own defaults hold.

        :raises Refusal: the body cannot be read.
        """
        given = form(data=self.request.data)
        given.is_valid(raise_exception=True)
        fields = {name: value for name, value in given.validated_data.items() if value is not None}
        return {**fields, "wallet": self.wanted}

    def key(self) -> str:
        _ = self.request.data  # a body that cannot be read is judged first (415, 413, 400)
        if self.is_dry_run:
            # Asked of a call that has none: it must not move money instead.
            raise Refusal.of_field("dry_run", "This call has no dry run.")
        return check_key(self.request.headers.get(HEADER))

    def handle_exception(self, exc: Exception) -> Response:
        """A challenge's code is on its way: whoever sends it is woken."""
        if isinstance(exc, StepUpRequired):
            wake_sender(exc.messages)
        return super().handle_exception(exc)

    @property
    def step_up(self) -> str | None:
        return self.request.headers.get(STEP_UP_HEADER)

    @property
    def person(self) -> User:
        return cast(User, self.request.user)

    @property
    def wanted(self) -> str | None:
        return self.request.query_params.get("wallet")

    @property
    def is_dry_run(self) -> bool:
        """
        :raises Refusal: neither `true` nor `false`: a misspelt dry run must not move money.
        """
        word = self.request.query_params.get("dry_run", "false")
        if word not in ("true", "false"):
            raise Refusal.of_field("dry_run", "Write true or false.")
        return word == "true"

    def answered(self, answer: Answer, **members: Any) -> Response:
        """The transaction as it now stands, or the refusal's problem, with its first HTTP status."""
        seen = see_transaction(user=self.person, pk=answer.transaction, wanted=self.wanted)
        headers = {REPLAYED_HEADER: "true"} if answer.replayed else {}
        if answer.code:
            refusal = Refusal(answer.code, extra={"transaction": seen.public_id})
            return Response(problem(refusal), status=answer.http_status, headers=headers, content_type=MEDIA_TYPE)
        shown = transaction_json(seen)
        body = {"transaction": shown, **members} if members else shown
        return Response(body, status=answer.http_status, headers=headers)


class TransferView(MoneyView):
    @extend_schema(
        operation_id="wallet_transfer",
        parameters=[KEY_OR_DRY_PARAMETER, DRY_RUN_PARAMETER, STEP_UP_PARAMETER, WALLET_PARAMETER],
        request=TransferRequest,
        responses={
            201: TransactionAnswer,
            200: QuoteAnswer,
            **problems(*MONEY_PROBLEMS, *STEP_UP_PROBLEMS, "payee_not_found"),
        },
        tags=["Money"],
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002  (DRF's signature)
        """Send money to another person. A refusal is kept as a FAILED transaction, and replays."""
        if self.is_dry_run:
            return Response(QuoteAnswer(preview_transfer(sender=self.person, **self.read(TransferRequest))).data)
        key = self.key()
        given = self.read(TransferRequest)
        return self.answered(send_money(sender=self.person, key=key, step_up=self.step_up, now=timezone.now(), **given))


class PayView(MoneyView):
    @extend_schema(
        operation_id="wallet_pay",
        parameters=[KEY_OR_DRY_PARAMETER, DRY_RUN_PARAMETER, STEP_UP_PARAMETER, WALLET_PARAMETER],
        request=PayRequest,
        responses={
            201: TransactionAnswer,
            200: QuoteAnswer,
            **problems(*MONEY_PROBLEMS, *STEP_UP_PROBLEMS, "payee_not_found"),
        },
        tags=["Money"],
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002  (DRF's signature)
        """Pay a merchant, by its id or handle. A refusal is kept as a FAILED transaction, and replays."""
        if self.is_dry_run:
            return Response(QuoteAnswer(preview_payment(payer=self.person, **self.read(PayRequest))).data)
        key = self.key()
        given = self.read(PayRequest)
        return self.answered(
            pay_merchant(payer=self.person, key=key, step_up=self.step_up, now=timezone.now(), **given)
        )


class WithdrawView(MoneyView):
    @extend_schema(
        operation_id="wallet_withdraw",
        parameters=[KEY_OR_DRY_PARAMETER, DRY_RUN_PARAMETER, STEP_UP_PARAMETER, WALLET_PARAMETER],
        request=WithdrawRequest,
        responses={
            202: TransactionAnswer,
            200: QuoteAnswer,
            **problems(*MONEY_PROBLEMS, *STEP_UP_PROBLEMS, "bank_account_invalid"),
        },
        tags=["Money"],
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002  (DRF's signature)
        """
        Withdraw to one of your bank accounts: PENDING, and the wallet debited already. If the bank refuses, it is
        FAILED and `reversed_by` names the transaction that brought the money back. Amounts below the gateway's
        smallest (1.00 INR) are refused `limit_exceeded`.
        """
        if self.is_dry_run:
            return Response(QuoteAnswer(preview_withdrawal(user=self.person, **self.read(WithdrawRequest))).data)
        key = self.key()
        given = self.read(WithdrawRequest)
        answer = withdraw_money(user=self.person, key=key, step_up=self.step_up, now=timezone.now(), **given)
        if not answer.code:
            wake(send_payout, transaction_id=answer.transaction)
        return self.answered(answer)


class RefundView(MoneyView):
    @extend_schema(
        operation_id="transaction_refund",
        parameters=[KEY_PARAMETER, WALLET_PARAMETER],
        request=RefundRequest,
        responses={
            201: TransactionAnswer,
            **problems(*MONEY_PROBLEMS, "refund_exceeds", "not_refundable", "permission_denied"),
        },
        tags=["Money"],
    )
    def post(self, request: Request, id: str) -> Response:  # noqa: ARG002  (DRF's signature)
        """
        Give one of your top-ups back to where it came from, in part or, without an amount, all that is left: a REFUND
        that debits the wallet at once. If its bank will not have it, `reversed_by` names the transaction that brought
        the money back. Where the operator leaves refunds to support, `permission_denied`.
        """
        key = self.key()
        given = self.read(RefundRequest)
        answer = give_back(user=self.person, transaction=id, key=key, now=timezone.now(), **given)
        if not answer.code:
            wake(send_refund, transaction_id=answer.transaction)
        return self.answered(answer)


class AddView(MoneyView):
    @extend_schema(
        operation_id="wallet_add",
        parameters=[KEY_PARAMETER, WALLET_PARAMETER],
        request=AddRequest,
        responses={201: AddAnswer, **problems(*MONEY_PROBLEMS, "gateway_unavailable")},
        tags=["Money"],
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002  (DRF's signature)
        """
        Begin to add money: an ADD that is PENDING, and where to pay it. The same request under the same key goes on
        where an earlier one stopped. Amounts below the gateway's smallest (1.00 INR) are refused `limit_exceeded`.
        """
        key = self.key()
        answer = add_money(user=self.person, key=key, now=timezone.now(), **self.read(AddRequest))
        return self.answered(answer, checkout=answer.checkout)


class ConfirmView(APIView):
    @extend_schema(
        operation_id="wallet_add_confirm",
        request=ConfirmRequest,
        responses={
            200: TransactionAnswer,
            **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "not_found", "signature_invalid", "gateway_unavailable"),
        },
        tags=["Money"],
    )
    def post(self, request: Request) -> Response:
        """Bring the checkout's signed result; the gateway is asked, and the ADD answered as it then stands."""
        given = ConfirmRequest(data=request.data)
        given.is_valid(raise_exception=True)
        user = cast(User, request.user)
        add = confirm_payment(
            user=user,
            order_id=given.validated_data["razorpay_order_id"],
            payment_id=given.validated_data["razorpay_payment_id"],
            signature=given.validated_data["razorpay_signature"],
            now=timezone.now(),
        )
        return Response(transaction_json(see_transaction(user=user, pk=add)))


class WebhookView(PublicView):
    """One gateway's door for what it has to tell; `webhook_view` makes it."""

    gateway = ""
    throttle_scope = "webhook"

    def post(self, request: Request) -> Response:
        """For the gateway alone: its signature is over the raw body. Stored, answered at once, worked on later."""
        drain_if_too_large(request._request)
        with counting_forgeries():
            event = receive_event(
                gateway=self.gateway, body=request._request.body, headers=request.headers, now=timezone.now()
            )
        if event is not None:
            wake_together(process_webhook_events, "event_ids", event)
        return Response({"status": "ok"})


def webhook_view(gateway: str) -> type[WebhookView]:
    """The door of a gateway, described with its own headers."""
    described = extend_schema(
        operation_id=f"webhooks_{gateway}",
        parameters=[
            OpenApiParameter(name, str, OpenApiParameter.HEADER, required=required)
            for name, required in GATEWAYS[gateway].webhook_headers.items()
        ],
        request=OpenApiTypes.OBJECT,
        responses={
            200: OpenApiResponse(description="Stored, now or before."),
            **problems("signature_invalid", "not_found", "body_too_large"),
        },
        tags=["Webhooks"],
    )
    return extend_schema_view(post=described)(type("WebhookView", (WebhookView,), {"gateway": gateway}))


class BankAccountsView(APIView):
    @extend_schema(
        operation_id="bank_accounts",
        parameters=[BankAccountListRequest],
        responses={200: BankAccountListAnswer, **problems("invalid", "cursor_invalid", *TOKEN_PROBLEMS)},
        tags=["Bank accounts"],
    )
    def get(self, request: Request) -> Response:
        """Where you may withdraw to, newest first; numbers masked."""
        given = BankAccountListRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        page = bank_accounts_of(owner=cast(User, request.user), **given.validated_data)
        return Response({"results": BankAccountAnswer(page.accounts, many=True).data, "next": page.next})

    @extend_schema(
        operation_id="bank_account_add",
        request=BankAccountRequest,
        responses={201: BankAccountAnswer, **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "limit_exceeded")},
        tags=["Bank accounts"],
    )
    def post(self, request: Request) -> Response:
        """
        Add a bank account; how many is the operator's choice (ten). One that you have already is answered again, as
        it was first added.
        """
        given = BankAccountRequest(data=request.data)
        given.is_valid(raise_exception=True)
        account = add_bank_account(owner=cast(User, request.user), now=timezone.now(), **given.validated_data)
        wake(check_bank_account, account_id=account.pk)
        return Response(BankAccountAnswer(account).data, status=201)


class BankAccountView(APIView):
    @extend_schema(
        operation_id="bank_account_remove",
        responses={204: None, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=["Bank accounts"],
    )
    def delete(self, request: Request, id: str) -> Response:
        """Remove a bank account. What is on its way to it arrives all the same."""
        remove_bank_account(owner=cast(User, request.user), account=id, now=timezone.now())
        return Response(status=204)


class PayeeView(APIView):
    throttle_scope = "payee"

    @extend_schema(
        operation_id="wallet_payee",
        parameters=[PayeeRequest],
        responses={
            200: PayeeAnswer,
            **problems("invalid", *TOKEN_PROBLEMS, "payee_not_found", "recipient_unavailable"),
        },
        tags=["Money"],
    )
    def get(self, request: Request) -> Response:
        """The name of whoever an address belongs to, to show before a payment is confirmed."""
        given = PayeeRequest(data=request.query_params)
        given.is_valid(raise_exception=True)
        name = find_payee_name(asker=cast(User, request.user), to=given.validated_data["to"])
        return Response({"display_name": name})
