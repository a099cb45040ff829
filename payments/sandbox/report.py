"""Which part of the settlement report is asked for: a month or a day of India's."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from payments.sandbox.errors import GatewayError
from payments.sandbox.listing import whole

COUNT_LARGEST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Items settled from the day `first` until before the day `after`."""

    first: datetime.date
    after: datetime.date
    count: int
    skip: int

    @classmethod
    def asked_by(cls, query: Mapping[str, str]) -> "Report":
        """
        :param query: year and month must be there; without a day, all of the month.
        :raises GatewayError: a value is missing, out of its bounds, or no day of that month.
        """
        year = whole(query, "year", default=0, least=2000, largest=2999)
        month = whole(query, "month", default=0, least=1, largest=12)
        for name, value in (("year", year), ("month", month)):
            if not value:
                raise GatewayError(f"The {name} field is required.", field=name)
        day = whole(query, "day", default=0, least=1, largest=31)
        try:
            first = datetime.date(year, month, day or 1)
        except ValueError as error:
            raise GatewayError("The day is not a day of that month.", field="day") from error
        return cls(
            first=first,
            # Any month's first day and 32 days more lie in the next month.
            after=first + datetime.timedelta(days=1) if day else (first + datetime.timedelta(days=32)).replace(day=1),
            count=whole(query, "count", default=10, least=1, largest=COUNT_LARGEST),
            skip=whole(query, "skip", default=0),
        )
