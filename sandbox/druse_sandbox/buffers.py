"""`io.StringIO` and the readers and writers of `csv`, over text in memory."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from druse_sandbox.guards import Facade, Record


class StringIO(Record):
    """A text that grows. Reading takes it from the start, once."""

    def __init__(self, initial: str = "") -> None:
        self.__held__ = io.StringIO(initial, newline="")  # a name that tool code cannot write

    def write(self, text: str) -> int:
        """Append a text."""
        self.__held__.seek(0, 2)
        return self.__held__.write(text)

    def getvalue(self) -> str:
        """The whole text."""
        return self.__held__.getvalue()

    def read(self) -> str:
        """What was not read yet."""
        return self.__held__.read()

    def readline(self) -> str:
        """The next line, with its end."""
        return self.__held__.readline()

    def readlines(self) -> list[str]:
        """The lines not read yet."""
        return self.__held__.readlines()

    def close(self) -> None:
        """Accepted; there is nothing to close."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.__held__)


def rows(text: str, delimiter: str = ",") -> list[list[str]]:
    """All rows of a text."""
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def dict_rows(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    """All rows of a text by the names in its first one."""
    return [dict(row) for row in csv.DictReader(io.StringIO(text), delimiter=delimiter)]


def reader(lines: Any, delimiter: str = ",", quotechar: str = '"') -> Iterator[list[str]]:
    """The rows of an iterable of lines."""
    return iter(list(csv.reader(lines, delimiter=delimiter, quotechar=quotechar)))


class DictReader(Record):
    """The rows of an iterable of lines by the names in the first one, or by `fieldnames`."""

    def __init__(self, lines: Any, fieldnames: Any = None, delimiter: str = ",", quotechar: str = '"') -> None:
        found = csv.DictReader(lines, fieldnames=fieldnames, delimiter=delimiter, quotechar=quotechar)
        self.__rows__ = [dict(row) for row in found]
        self.fieldnames = list(found.fieldnames or [])

    def __iter__(self) -> Iterator[dict[Any, Any]]:
        return iter(self.__rows__)


def writer(buffer: Any, delimiter: str = ",", quotechar: str = '"', lineterminator: str = "\r\n") -> Facade:
    """What appends rows to a StringIO."""
    made = csv.writer(_target(buffer), delimiter=delimiter, quotechar=quotechar, lineterminator=lineterminator)
    return Facade("csv.writer", {"writerow": made.writerow, "writerows": made.writerows})


def dict_writer(
    buffer: Any,
    fieldnames: Any,
    restval: Any = "",
    extrasaction: str = "raise",
    delimiter: str = ",",
    lineterminator: str = "\r\n",
) -> Facade:
    """What appends dictionaries to a StringIO."""
    target = _target(buffer)
    made = csv.writer(target, delimiter=delimiter, lineterminator=lineterminator)
    names = list(fieldnames)

    def writerow(row: Any) -> Any:
        if extrasaction == "raise" and any(key not in names for key in row):
            raise ValueError(f"the row has fields that are not in fieldnames: {sorted(set(row) - set(names))}")
        return made.writerow([row.get(name, restval) for name in names])

    def writerows(rows: Any) -> None:
        for row in rows:
            writerow(row)

    return Facade(
        "csv.DictWriter",
        {"writeheader": lambda: made.writerow(names), "writerow": writerow, "writerows": writerows},
    )


def _target(buffer: Any) -> Any:
    if not isinstance(buffer, StringIO):
        raise TypeError("csv writes to an io.StringIO here")
    return buffer
