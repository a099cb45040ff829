"""Serializer fields that say no more and no less than the API's contract."""

import re
from datetime import UTC
from typing import Any, Final

from rest_framework import serializers

_PLAIN_DIGITS: Final = re.compile(r"[0-9]{1,3}\Z")


class Text(serializers.CharField):
    """A JSON string and nothing else (DRF's own field takes numbers too), as typed unless told to trim."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class RowLimit(serializers.IntegerField):
    """How many rows of a list: plain digits, within bounds."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str) or not _PLAIN_DIGITS.match(data):
            self.fail("invalid")
        return super().to_internal_value(data)


class UtcTime(serializers.DateTimeField):
    """RFC 3339 in UTC, whatever the time zone of our days is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"default_timezone": UTC, **options})
