"""What the admin's first page says of the support queue."""

from typing import Any

from django import template

from payments.support_queue import MOST_COUNTED, count_open_cases

register = template.Library()


@register.inclusion_tag("admin/payments/queue.html")
def open_cases() -> dict[str, Any]:
    """How many cases stand open, as a way to them."""
    count = count_open_cases()
    return {"count": count, "or_more": count == MOST_COUNTED}
