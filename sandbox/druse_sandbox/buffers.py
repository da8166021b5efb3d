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

    def __init__(self, initial_value: str = "", newline: Any = "\n") -> None:
        self.__held__ = io.StringIO(initial_value, newline=newline)  # a name that tool code cannot write

    def write(self, text: str) -> int:
        """Write a text where the last reading or writing ended."""
        return self.__held__.write(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        self.__held__.writelines(lines)

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place; from 0: the start, 1: here, 2: the end."""
        if whence not in (0, 2) or (whence == 0 and not 0 <= place <= len(self.__held__.getvalue())):
            raise ValueError("seek goes to a place in the text, or to its end")
        return self.__held__.seek(place, whence)

    def tell(self) -> int:
        """The place of the next reading or writing."""
        return self.__held__.tell()

    def truncate(self, size: Any = None) -> int:
        """Cut the text off."""
        return self.__held__.truncate(size)

    def __enter__(self) -> StringIO:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def getvalue(self) -> str:
        """The whole text."""
        return self.__held__.getvalue()

    def read(self, size: Any = None) -> str:
        """What was not read yet, or so many characters of it."""
        return self.__held__.read(size)

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


def reader(
    lines: Any,
    delimiter: str = ",",
    quotechar: str = '"',
    quoting: int = csv.QUOTE_MINIMAL,
    *,
    skipinitialspace: bool = False,
) -> Iterator[list[Any]]:
    """The rows of an iterable of lines."""
    how: Any = {"delimiter": delimiter, "quotechar": quotechar, "quoting": quoting}
    return iter(list(csv.reader(lines, skipinitialspace=skipinitialspace, **how)))


class DictReader(Record):
    """The rows of an iterable of lines by the names in the first one, or by `fieldnames`."""

    def __init__(self, lines: Any, fieldnames: Any = None, delimiter: str = ",", quotechar: str = '"') -> None:
        found = csv.DictReader(lines, fieldnames=fieldnames, delimiter=delimiter, quotechar=quotechar)
        self.__rows__ = [dict(row) for row in found]
        self.fieldnames = list(found.fieldnames or [])

    def __iter__(self) -> Iterator[dict[Any, Any]]:
        return iter(self.__rows__)


def writer(
    buffer: Any,
    delimiter: str = ",",
    quotechar: str = '"',
    lineterminator: str = "\r\n",
    quoting: int = csv.QUOTE_MINIMAL,
) -> Facade:
    """What appends rows to a StringIO."""
    how: Any = {"delimiter": delimiter, "quotechar": quotechar, "quoting": quoting}
    made = csv.writer(_target(buffer), lineterminator=lineterminator, **how)
    return Facade("csv.writer", {"writerow": made.writerow, "writerows": made.writerows})


def dict_writer(
    buffer: Any,
    fieldnames: Any,
    restval: Any = "",
    extrasaction: str = "raise",
    delimiter: str = ",",
    lineterminator: str = "\r\n",
    quotechar: str = '"',
    quoting: int = csv.QUOTE_MINIMAL,
) -> Facade:
    """What appends dictionaries to a StringIO."""
    target = _target(buffer)
    how: Any = {"delimiter": delimiter, "quotechar": quotechar, "quoting": quoting}
    made = csv.writer(target, lineterminator=lineterminator, **how)
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
