"""The history's calls."""

from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from ledger.queries import find_transaction, history_of, own_entries
from ledger.serializers import (
    HistoryRequest,
    TransactionListAnswer,
    TransactionWithEntriesAnswer,
    entry_json,
    transaction_json,
)
from wallet_project.kernel.schema import TOKEN_PROBLEMS, problems
from wallets.api import WALLET_PARAMETER
from wallets.queries import wallet_of


class HistoryView(APIView):
    @extend_schema(
        operation_id="transactions",
        parameters=[HistoryRequest, WALLET_PARAMETER],
        responses={
            200: TransactionListAnswer,
            **problems("invalid", "cursor_invalid", *TOKEN_PROBLEMS, "not_found"),
        },
        tags=["History"],
    )
    def get(self, request: Request) -> Response:
        """A wallet's transactions, newest first. Others' failed attempts to pay it are not among them."""
        # A plain dict: an empty value is malformed, not left out as in a browser's form.
        given = HistoryRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        wallet = wallet_of(user=cast(User, request.user), wanted=request.query_params.get("wallet"))
        page = history_of(
            wallet=wallet,
            filters=given.filters,
            cursor=given.validated_data.get("cursor"),
            limit=given.validated_data["limit"],
        )
        return Response({"results": [transaction_json(row) for row in page.rows], "next": page.next})


class TransactionView(APIView):
    @extend_schema(
        operation_id="transaction",
        parameters=[WALLET_PARAMETER],
        responses={200: TransactionWithEntriesAnswer, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=["History"],
    )
    def get(self, request: Request, id: str) -> Response:
        """One transaction, with the entries in your own wallets."""
        user = cast(User, request.user)
        seen = find_transaction(user=user, transaction=id, wanted=request.query_params.get("wallet"))
        entries = [entry_json(entry) for entry in own_entries(user=user, pk=seen.pk)]
        return Response({**transaction_json(seen), "entries": entries})
