"""A table, whichever file it becomes."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

Cell = str | float | int | None


class Column(NamedTuple):
    """A column's name, and what its cells are where they are not empty."""

    name: str
    holds: Literal["text", "whole", "real"]


class Table(Protocol):
    """Rows whose cells stand in the order of the columns, in pages that are not empty."""

    @property
    def columns(self) -> Sequence[Column]: ...

    def pages(self) -> Iterator[list[list[Cell]]]: ...
