"""How templates write money."""

from django import template

from wallet_project.kernel.money import Money

register = template.Library()


@register.filter
def money(value: Money) -> str:
    """`{{ wallet.money|money }}`: ₹1,00,000.00. Anything but Money is a bug in the view, and crashes."""
    return value.spelled
