"""Long lists in short ones, so that nothing is ever held or posted whole."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """At most `size` at a time, drawn only when they are asked for."""
    drawing = iter(items)
    while batch := list(islice(drawing, size)):
        yield batch
