"""What differs between two versions of a file: shown without its secrets, and taken back like a patch.

Only the lines between the first and the last difference are compared, so that a long file takes no longer than a short
one.
"""

from __future__ import annotations

import difflib
import os
import re

__all__ = ["masked_diff", "reverted"]

_CONTEXT = 3
_MOST = 4000  # lines to compare; the comparison grows with the square of them
_HUNK = re.compile(r"@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@")
_PAIR = re.compile(r"""(["']?)([A-Za-z_][\w.-]*)\1(\s*[:=]\s*)(["'])((?:\\.|(?!\4).)+)\4""")
_FLAG = re.compile(r"""(["']?)--?([\w-]+)\1\s*,(\s*)(?:(["'])(?:\\.|(?!\4).)+\4|[^\s,\]"']+)""")
_TEXT = re.compile(r"""(["'])(?:\\.|(?!\1).)+\1""")


def masked_diff(before: str, after: str, name: str, *, all_values: bool = False) -> str:
    """A unified diff to show; values that look like secrets, or all of them, are not shown."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    head, tail = _alike(old, new)
    skipped = max(0, head - _CONTEXT)
    ends = len(old) - max(0, tail - _CONTEXT), len(new) - max(0, tail - _CONTEXT)
    lines = difflib.unified_diff(
        old[skipped : ends[0]], new[skipped : ends[1]], f"{name} (now)", f"{name} (then)", n=_CONTEXT
    )
    shown: list[str] = []
    secret_follows = False
    for line in lines:
        line = line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        if hunk := _HUNK.match(line):
            numbers = int(hunk[1]) + skipped, int(hunk[3]) + skipped
            shown.append(f"@@ -{numbers[0]}{hunk[2] or ''} +{numbers[1]}{hunk[4] or ''} @@\n")
            continue
        if all_values or secret_follows:
            masked = _PAIR.sub(lambda match: f"{match[1]}{match[2]}{match[1]}{match[3]}{match[4]}***{match[4]}", line)
            shown.append(masked if masked != line else _TEXT.sub(r"\1***\1", line) if secret_follows else line)
            secret_follows = False
            continue
        shown.append(_masked(line))
        secret_follows = _ends_in_secret_flag(line)
    return "".join(shown)


def reverted(before: str, after: str, current: str) -> str | None:
    """`current`, made from `after` by somebody, with the way from `before` to `after` taken back; None where they met.

    Line by line, as a patch is reversed: a line of ours that somebody changed is a conflict, and so is a place of which
    neither the line above nor the one below is left.
    """
    bom = "\ufeff" if current.startswith("\ufeff") else ""
    ended = [text.endswith("\n") for text in (before, after, current)]
    old, new, now = (_whole_lines(text) for text in (before, after, current))
    result = _reverted(old, new, now)
    if result is None:
        return None
    as_before = ended[1] == ended[2] and result[-1:] == old[-1:]  # what ends the file now, ended it then
    if result and not (ended[0] if as_before else ended[2]):
        result[-1] = result[-1].removesuffix("\n").removesuffix("\r") if result[-1].endswith("\n") else result[-1]
    return bom + "".join(result)


def _whole_lines(text: str) -> list[str]:
    """Lines that all have an end, also the last, so that one which is no longer the last is still the same."""
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += "\r\n" if lines[0].endswith("\r\n") else "\n"
    return lines


def _reverted(old: list[str], new: list[str], now: list[str]) -> list[str] | None:
    changed, ours = _opcodes(new, now), _opcodes(old, new)
    if changed is None or ours is None:
        return None
    kept: dict[int, int] = {}
    for tag, i1, i2, j1, _ in changed:
        if tag == "equal":
            kept.update((i1 + i, j1 + i) for i in range(i2 - i1))
    result = list(now)
    for tag, i1, i2, j1, j2 in reversed(ours):
        if tag == "equal":
            continue
        places = [kept.get(line) for line in range(j1, j2)]
        start = places[0] if places else _between(kept, j1, len(new), len(now))
        if start is None or places != list(range(start, start + len(places))):
            return None
        result[start : start + len(places)] = old[i1:i2]
    return result


def _between(kept: dict[int, int], at: int, lines: int, lines_now: int) -> int | None:
    """Where lines that stood before line `at` go back: after the one above, else before the one below."""
    if at and at - 1 in kept:
        return kept[at - 1] + 1
    if at < lines:
        return kept.get(at, None if at else 0)
    return None if at else lines_now


def _alike(old: list[str], new: list[str]) -> tuple[int, int]:
    """How many lines are equal at the beginning and, of the rest, at the end."""
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    tail = next((i for i in range(shorter - head) if old[-1 - i] != new[-1 - i]), shorter - head)
    return head, tail


def _opcodes(old: list[str], new: list[str]) -> list[tuple[str, int, int, int, int]] | None:
    """As difflib names them; None where there is too much between the first and the last difference."""
    head, tail = _alike(old, new)
    ends = len(old) - tail, len(new) - tail
    if max(ends[0] - head, ends[1] - head) > _MOST:
        return None
    middle = difflib.SequenceMatcher(None, old[head : ends[0]], new[head : ends[1]], autojunk=False).get_opcodes()
    moved = [(tag, i1 + head, i2 + head, j1 + head, j2 + head) for tag, i1, i2, j1, j2 in middle]
    return [("equal", 0, head, 0, head), *moved, ("equal", ends[0], len(old), ends[1], len(new))]


def _masked(line: str) -> str:
    from druse.traces import SecretHandles, is_secret_key

    def pair(match: re.Match[str]) -> str:
        if not is_secret_key(match[2]) or match[5].startswith("$"):
            return match[0]
        return f"{match[1]}{match[2]}{match[1]}{match[3]}{match[4]}***{match[4]}"

    def flag(match: re.Match[str]) -> str:
        if not is_secret_key(match[2]):
            return match[0]
        quote = match[4] or ""
        return f"{match[0][: match.end(3) - match.start()]}{quote}***{quote}"

    line = _FLAG.sub(flag, _PAIR.sub(pair, line))
    return SecretHandles(os.urandom(16)).mask_text(line)


def _ends_in_secret_flag(line: str) -> bool:
    from druse.traces import is_secret_key

    word = line[1:].strip().removeprefix("- ").rstrip(",").strip("\"'")
    return word.startswith("-") and "=" not in word and is_secret_key(word.lstrip("-"))
