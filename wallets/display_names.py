"""How people see one another: enough to know a friend by, not enough to learn a stranger's name."""

from typing import Final

_LONGEST_WORD: Final = 20


def masked(full_name: str) -> str:
    """
    `Asha Rao` becomes `Asha R.`: the first word, and the first letter of the last.

    A single name is shown as it stands, for it is the part that we show of a longer one; but what follows an @ is
    never shown (somebody may have typed an address for a name), and a very long word is cut.
    """
    words = full_name.split()
    first = words[0].partition("@")[0] or "…"
    if len(first) > _LONGEST_WORD:
        first = first[:_LONGEST_WORD] + "…"
    initial = next((letter for letter in words[-1] if letter.isalnum()), "") if len(words) > 1 else ""
    return f"{first} {initial.upper()}." if initial else first


# The same for a search inside PostgreSQL, which must not find what it would not show. `{name}` is a column.
MASKED_SQL: Final = (
    "split_part({name}, ' ', 1) || CASE WHEN {name} LIKE '%% %%' "
    "THEN ' ' || upper(left(split_part({name}, ' ', -1), 1)) || '.' ELSE '' END"
)


def display_name(*, full_name: str | None, merchant_name: str | None) -> str:
    """What others see of a wallet's owner: a merchant's own chosen name, a person's masked one."""
    return merchant_name or masked(full_name or "…")
