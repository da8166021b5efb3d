"""What a client's own process has to know should the daemon die that reads its pipes: two files in memory, shared.

They hold the bytes that came from the client, each before anything looks at it, and the ids that were answered. One
file is in use; when it is long, what still counts is written to the other, which is in use from the moment its head
says so. A process may be killed between any two writes, and the file with the higher number in its head is whole.

A file is its number in eight hexadecimal digits, then frames: a letter, a length in eight hexadecimal digits, bytes.
`i` is input, `h` a line of the handshake, `w` the id of a request without an answer, `a` of one that was answered,
`b` says whether the client had not taken all that was written to it (`1` or `0`). `druse.shim` reads them.
"""

from __future__ import annotations

import json
import os

from druse.model import Json, JsonObject

_HEAD = 8
_LONG = 1 << 20  # bytes after which what still counts goes to the other file


class Ledger:
    """Written by the daemon for one client, into files of these descriptors."""

    def __init__(self, first: int, second: int) -> None:
        self._files = (first, second)
        self._number = 0
        self._end = _HEAD
        self._handshake: dict[str, JsonObject] = {}
        self._waiting: dict[str, None] = {}
        self._late: list[Json] = []  # answered, and perhaps not with the client yet
        self._turn_over()

    def heard(self, chunk: bytes) -> None:
        """Bytes came from the client. Raises OSError where the machine has no memory left."""
        self._note(b"i", chunk)

    def asked(self, message: JsonObject) -> None:
        """A message of the client was read."""
        method = message.get("method")
        if method in ("initialize", "notifications/initialized"):
            self._handshake[str(method)] = message
        if "id" in message and method is not None:
            self._waiting[id_text(message["id"])] = None

    def answered(self, number: Json, *, behind: bool) -> None:
        """A request needs no answer any more. `behind`: part of what was written is not with the client yet."""
        if behind and not self._late:
            self._note(b"b", b"1")
        self._late.append(number)
        if behind:
            return
        if len(self._late) > 1:
            self._note(b"b", b"0")
        for late in self._late:
            name = id_text(late)
            self._waiting.pop(name, None)
            self._note(b"a", name.encode())
        self._late.clear()

    def tidy(self) -> None:
        """Begin the other file if this one is long. Only between two lines of the client."""
        if self._end > _LONG:
            self._turn_over()

    def _note(self, kind: bytes, body: bytes) -> None:
        frame = b"%s%08x%s" % (kind, len(body), body)
        os.pwrite(self._files[self._number % 2], frame, self._end)
        self._end += len(frame)

    def _turn_over(self) -> None:
        self._number += 1
        self._end = _HEAD
        file = self._files[self._number % 2]
        os.ftruncate(file, 0)
        for message in self._handshake.values():
            self._note(b"h", json.dumps(message).encode())
        for name in self._waiting:
            self._note(b"w", name.encode())
        self._note(b"b", b"1" if self._late else b"0")
        os.pwrite(file, b"%08x" % self._number, 0)
        os.ftruncate(self._files[(self._number - 1) % 2], 0)


def id_text(number: Json) -> str:
    """The id of a request as JSON."""
    return str(number) if type(number) is int else json.dumps(number)
