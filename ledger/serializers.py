"""Transactions as the API writes them, and the filters that it takes."""

import re
from datetime import UTC, date, datetime
from typing import Any, Final

from rest_framework import serializers

from ledger.models import Transaction
from ledger.queries import LONGEST_SEARCH, MOST_ROWS, USUAL_ROWS, Filters, SeenEntry, SeenTransaction
from wallet_project.kernel.errors import sentence_of
from wallet_project.kernel.fields import RowLimit, Text, UtcTime
from wallets.serializers import MoneyAnswer

_DATE: Final = re.compile(r"(19|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}\Z")


def transaction_json(seen: SeenTransaction) -> dict[str, Any]:
    """`TransactionAnswer`, written by hand: every payment and every row of a history is answered through here."""
    return {
        "id": seen.public_id,
        "type": seen.type,
        "status": seen.status,
        "direction": seen.direction,
        "amount": seen.amount.as_json(),
        "counterparty": {"display_name": seen.counterparty_name, "wallet": seen.counterparty_wallet},
        "note": seen.note,
        "order_reference": seen.order_reference,
        "balance_after": None if seen.balance_after is None else seen.balance_after.as_json(),
        "reverses": seen.reverses,
        "reversed_by": seen.reversed_by,
        "failure": {"code": seen.failure_code, "detail": sentence_of(seen.failure_code)} if seen.failure_code else None,
        "created_at": _time(seen.created_at),
        "completed_at": None if seen.completed_at is None else _time(seen.completed_at),
    }


def entry_json(entry: SeenEntry) -> dict[str, Any]:
    return {
        "wallet": entry.wallet,
        "sequence": entry.sequence,
        "debit": entry.debit.as_json(),
        "credit": entry.credit.as_json(),
        "balance_after": entry.balance_after.as_json(),
        "created_at": _time(entry.created_at),
    }


def _time(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class CounterpartyAnswer(serializers.Serializer[None]):
    display_name = serializers.CharField(help_text="A person's is masked: `Asha R.`")
    wallet = serializers.CharField(allow_null=True, help_text="Null where the other side is the wallet's own.")


class FailureAnswer(serializers.Serializer[None]):
    code = serializers.CharField()
    detail = serializers.CharField()


class TransactionAnswer(serializers.Serializer[None]):
    """A transaction from the side of one's own wallet. Both parties see it under one id."""

    id = serializers.CharField()
    type = serializers.ChoiceField(choices=Transaction.Type.choices)
    status = serializers.ChoiceField(choices=Transaction.Status.choices)
    direction = serializers.ChoiceField(choices=["in", "out"])
    amount = MoneyAnswer()
    counterparty = CounterpartyAnswer()
    note = serializers.CharField(allow_blank=True)
    order_reference = serializers.CharField(allow_null=True, help_text="The merchant's, of a PAY.")
    balance_after = MoneyAnswer(allow_null=True)
    reverses = serializers.CharField(allow_null=True)
    reversed_by = serializers.CharField(allow_null=True)
    failure = FailureAnswer(allow_null=True)
    created_at = UtcTime()
    completed_at = UtcTime(allow_null=True)


class EntryAnswer(serializers.Serializer[None]):
    wallet = serializers.CharField()
    sequence = serializers.IntegerField()
    debit = MoneyAnswer()
    credit = MoneyAnswer()
    balance_after = MoneyAnswer()
    created_at = UtcTime()


class TransactionWithEntriesAnswer(TransactionAnswer):
    entries = EntryAnswer(many=True, help_text="Those of your own wallets.")


class TransactionListAnswer(serializers.Serializer[None]):
    results = TransactionAnswer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Pass it as `cursor` for the next page.")


class Day(serializers.DateField):
    """YYYY-MM-DD and no other form of ISO 8601."""

    def to_internal_value(self, value: Any) -> date:
        if not isinstance(value, str) or not _DATE.match(value):
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(value)


class HistoryRequest(serializers.Serializer[None]):
    """The query of a history; `filters` after validation."""

    type = serializers.ChoiceField(choices=Transaction.Type.choices, required=False)
    status = serializers.ChoiceField(choices=Transaction.Status.choices, required=False)
    to = Day(required=False, help_text="The last day, of Asia/Kolkata, included.")
    q = Text(
        required=False,
        max_length=LONGEST_SEARCH,
        help_text="Part of the note, of the order reference or of the other side's name as shown, or a transaction id.",
    )
    limit = RowLimit(required=False, default=USUAL_ROWS, min_value=1, max_value=MOST_ROWS)
    cursor = Text(required=False, allow_blank=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # `from` is a word of Python's.
        return {**super().get_fields(), "from": Day(required=False, help_text="The first day, included.")}

    @property
    def filters(self) -> Filters:
        given = self.validated_data
        return Filters(
            type=given.get("type"),
            status=given.get("status"),
            from_date=given.get("from"),
            to_date=given.get("to"),
            search=given.get("q"),
        )
