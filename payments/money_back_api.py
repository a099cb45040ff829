"""The calls about money that was sent to the wrong person. Each makes one deed call."""

from typing import Final, cast

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.tasks import wake_sender
from ledger.queries import MOST_ROWS, USUAL_ROWS
from ledger.serializers import TransactionAnswer
from payments import money_back, money_back_answers
from payments.api import KEY_PARAMETER, KEY_PROBLEMS, STEP_UP_PARAMETER, STEP_UP_PROBLEMS, MoneyView
from payments.models import MoneyBack
from payments.money_back import Said
from payments.money_back_queries import find_one, of_person, seen_by
from payments.texts import LONGEST_NOTE
from wallet_project.kernel.bodiless import BodilessView
from wallet_project.kernel.fields import RowLimit, Text, UtcTime
from wallet_project.kernel.schema import BODILESS_PROBLEMS, BODY_PROBLEMS, TOKEN_PROBLEMS, problems
from wallets.serializers import MoneyAnswer

_ROLES: Final = ("asker", "asked")


class AskRequest(serializers.Serializer[None]):
    """A word to whoever got it."""

    note = Text(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_NOTE)


class MoneyBackListRequest(serializers.Serializer[None]):
    """The query of the list."""

    role = serializers.ChoiceField(choices=_ROLES, required=False, help_text="Only what you ask, or are asked for.")
    status = serializers.ChoiceField(choices=MoneyBack.Status.choices, required=False)
    limit = RowLimit(required=False, default=USUAL_ROWS, min_value=1, max_value=MOST_ROWS)
    cursor = Text(required=False, allow_blank=True)


class OtherSideAnswer(serializers.Serializer[None]):
    display_name = serializers.CharField(source="counterparty_name", help_text="A person's is masked: `Asha R.`")
    wallet = serializers.CharField(source="counterparty_wallet", allow_null=True)


class MoneyBackAnswer(serializers.Serializer[None]):
    """A request for the money of a transfer, from your side of it."""

    id = serializers.CharField()
    role = serializers.ChoiceField(choices=_ROLES, help_text="Whether you ask, or are asked.")
    status = serializers.ChoiceField(
        choices=MoneyBack.Status.choices, help_text="ASKED and HELD (the money is set aside) wait for an answer."
    )
    transaction = serializers.CharField(help_text="The transfer.")
    amount = MoneyAnswer()
    counterparty = OtherSideAnswer(source="*")
    note = serializers.CharField(allow_blank=True, help_text="The asker's word.")
    refund = serializers.CharField(allow_null=True, help_text="The REFUND that gave it back.")
    asked_at = UtcTime()
    held_at = UtcTime(allow_null=True)
    expires_at = UtcTime()
    ended_at = UtcTime(allow_null=True)


class MoneyBackListAnswer(serializers.Serializer[None]):
    results = MoneyBackAnswer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Pass it as `cursor` for the next page.")


def _answered(user: User, said: Said, *, status: int = 200) -> Response:
    wake_sender(said.messages)
    return Response(MoneyBackAnswer(seen_by(user=user, row=said.money_back)).data, status=status)  # type: ignore[arg-type]


class AskView(APIView):
    @extend_schema(
        operation_id="transaction_money_back",
        request=AskRequest,
        responses={
            201: MoneyBackAnswer,
            200: OpenApiResponse(MoneyBackAnswer, "One is open already: this is it."),
            **problems(
                *BODY_PROBLEMS,
                *TOKEN_PROBLEMS,
                *("not_found", "not_refundable", "recipient_unavailable", "too_many_requests"),
            ),
        },
        tags=["Money back"],
    )
    def post(self, request: Request, id: str) -> Response:
        """
        Sent to the wrong person: ask whoever got one of your transfers to give it back, within 30 days. They are told,
        and may give it back, set it aside meanwhile, or decline.
        """
        given = AskRequest(data=request.data)
        given.is_valid(raise_exception=True)
        user, note = cast(User, request.user), given.validated_data.get("note") or ""
        said = money_back.ask(asker=user, transaction=id, note=note, now=timezone.now())
        return _answered(user, said, status=status.HTTP_201_CREATED if said.is_new else status.HTTP_200_OK)


class MoneyBacksView(APIView):
    @extend_schema(
        operation_id="money_back",
        parameters=[MoneyBackListRequest],
        responses={200: MoneyBackListAnswer, **problems("invalid", "cursor_invalid", *TOKEN_PROBLEMS)},
        tags=["Money back"],
    )
    def get(self, request: Request) -> Response:
        """What you asked back and were asked for, newest first."""
        given = MoneyBackListRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        page = of_person(user=cast(User, request.user), **given.validated_data)
        return Response({"results": MoneyBackAnswer(page.rows, many=True).data, "next": page.next})  # type: ignore[arg-type]


class MoneyBackView(APIView):
    @extend_schema(
        operation_id="money_back_one",
        responses={200: MoneyBackAnswer, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=["Money back"],
    )
    def get(self, request: Request, id: str) -> Response:
        """One request, as it now stands."""
        seen = find_one(user=cast(User, request.user), money_back=id)
        return Response(MoneyBackAnswer(seen).data)  # type: ignore[arg-type]


class GiveView(MoneyView):
    @extend_schema(
        operation_id="money_back_give",
        parameters=[KEY_PARAMETER, STEP_UP_PARAMETER],
        request=None,
        responses={
            201: TransactionAnswer,
            **problems(
                *BODILESS_PROBLEMS,
                *TOKEN_PROBLEMS,
                *KEY_PROBLEMS,
                *STEP_UP_PROBLEMS,
                *("insufficient_funds", "wallet_frozen", "recipient_unavailable", "refund_exceeds"),
                *("not_found", "money_back_over"),
            ),
        },
        tags=["Money back"],
    )
    def post(self, request: Request, id: str) -> Response:  # noqa: ARG002  (DRF's signature)
        """
        Give it back, all of it: a REFUND that names the transfer. A refusal is kept as a FAILED transaction, and the
        request stays open. From ₹5,000.00, alone or with what you gave back that day, it asks for a step-up.
        """
        key = self.key()
        return self.answered(
            money_back_answers.give(user=self.person, money_back=id, key=key, step_up=self.step_up, now=timezone.now())
        )


# Of what ends or changes a request without moving money. Twice is as good as once.
_OVER: Final = problems(*BODILESS_PROBLEMS, *TOKEN_PROBLEMS, "not_found", "money_back_over")


class DeclineView(BodilessView):
    @extend_schema(
        operation_id="money_back_decline",
        request=None,
        responses={200: MoneyBackAnswer, **_OVER},
        tags=["Money back"],
    )
    def post(self, request: Request, id: str) -> Response:
        """Say no. What was set aside can be spent again."""
        user = cast(User, request.user)
        return _answered(user, money_back_answers.decline(user=user, money_back=id, now=timezone.now()))


class HoldView(BodilessView):
    @extend_schema(
        operation_id="money_back_hold",
        request=None,
        responses={
            200: MoneyBackAnswer,
            **problems(
                *BODILESS_PROBLEMS,
                *TOKEN_PROBLEMS,
                "not_found",
                "money_back_over",
                "insufficient_funds",
                "wallet_frozen",
            ),
        },
        tags=["Money back"],
    )
    def post(self, request: Request, id: str) -> Response:
        """Set the money aside until you give it back or decline: it is still yours, and cannot be spent."""
        user = cast(User, request.user)
        return _answered(user, money_back_answers.hold(user=user, money_back=id, now=timezone.now()))


class WithdrawView(BodilessView):
    @extend_schema(
        operation_id="money_back_withdraw",
        request=None,
        responses={200: MoneyBackAnswer, **_OVER},
        tags=["Money back"],
    )
    def post(self, request: Request, id: str) -> Response:
        """You do not ask for it any more."""
        user = cast(User, request.user)
        return _answered(user, money_back.withdraw(user=user, money_back=id, now=timezone.now()))
