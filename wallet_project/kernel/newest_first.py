"""Lists of rows, the newest first, read on by cursors: stable while more comes in."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from django.db.models import Model, QuerySet

from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id, public_id

CURSOR_PREFIX: Final = "cur"

Row = TypeVar("Row", bound=Model)


def newest_first(
    rows: QuerySet[Row], *, limit: int, cursor: str | None, places: QuerySet[Row] | None = None
) -> tuple[list[Row], str | None]:
    """
    One page, by primary key.

    :param places: where a cursor may point, if not to one of `rows` alone: what has left the list since is still a
        place in it.
    :returns: the rows, and the cursor of what follows them, if anything does.
    :raises Refusal: `cursor_invalid`.
    """
    if cursor is not None:
        rows = rows.filter(pk__lt=place_of(cursor, rows if places is None else places).pk)
    return cut(list(rows.order_by("-pk")[: limit + 1]), limit)


def place_of(cursor: str, places: QuerySet[Row]) -> Row:
    """
    The row that was shown last. A cursor is its public id under another prefix, so it tells nothing new.

    :raises Refusal: `cursor_invalid`, for what is none of `places`.
    """
    uuid = parse_public_id(CURSOR_PREFIX, cursor)
    last = None if uuid is None else places.filter(uuid=uuid).first()
    if last is None:
        raise Refusal("cursor_invalid")
    return last


def cut(rows: Sequence[Row], limit: int) -> tuple[list[Row], str | None]:
    """
    :param rows: one more than `limit`, if there are as many.
    """
    shown = list(rows[:limit])
    last: Any = shown[-1] if len(rows) > limit else None
    return shown, None if last is None else public_id(CURSOR_PREFIX, last.uuid)
