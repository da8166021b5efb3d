"""Goals in words against a learned tool: whether they mean this tool, and which values they give.

Two ways. A goal that reads as a recorded one with other values is certain. Otherwise it has the calibrated
probability that it means this tool (`druse.retrieval.judge`), and values are taken only where there is exactly one
way to take them.
Wrongly bound is the one failure; a goal that says more than the tool does (a condition, an exception, a negation) is
not bound.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from druse.model import Json, JsonObject
from druse.retrieval.limits import LIMITING, fits, limiting

# A probability says what a goal most likely means, it is no licence to act (D11): where something else speaks against
# acting on words alone, the confidence stays below every threshold for replay.
HELD = 0.79
_EMPTY = frozenset(
    (
        *("the", "a", "an", "of", "for", "to", "and", "in", "on", "with", "please", "my", "his", "her", "their", "all"),
        *("every", "each", "any", "is", "are", "be", "that", "this", "these", "those", "can", "you", "i", "we", "it"),
        *("would", "like", "want", "need", "could", "has", "have", "s", "belonging", "by", "from", "at", "as", "me"),
        *("customer", "named", "called", "who", "whose", "lives", "living", "code", "number", "now", "there"),
    )
)


@dataclass(frozen=True, slots=True)
class Match:
    """How a goal fits a tool: `confidence` in [0, 1], the values bound, and the parameters that are missing.

    `probability` is the calibrated one; `confidence` is below it where acting on the words alone is held back.
    """

    confidence: float
    exact: bool
    arguments: JsonObject = field(default_factory=dict[str, Json])
    missing: tuple[str, ...] = ()
    why: str = ""
    probability: float | None = None

    def held(self, why: str) -> Match:
        """The same, kept below every threshold for replay."""
        if self.confidence <= HELD:
            return self
        return replace(self, confidence=HELD, why="; ".join(part for part in (self.why, why) if part))


@dataclass(frozen=True, slots=True)
class Taught:
    """What is known of a tool: the goals it was made from, its inputs with examples, and goals it did."""

    patterns: tuple[str, ...]
    schema: Mapping[str, Json]
    examples: Mapping[str, Sequence[Json]]
    worded: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The inputs that must be bound."""
        required = self.schema.get("required")
        return tuple(map(str, required)) if isinstance(required, list) else ()


def match_goal(goal: str, taught: Taught, given: Mapping[str, Json], *, probability: float | None = None) -> Match:
    """Fit a goal to a tool; `given` values come before anything in the words.

    `probability`: that the goal means this tool, where it was judged against everything known; else it is judged
    against this tool's own goals alone, which cannot tell a neighbour from the tool.
    """
    for pattern in taught.patterns:
        found = _exact(goal, pattern, taught)
        if found is not None:
            return _complete(1.0, found, taught, given, exact=True)
    if not taught.patterns or all(_limits(goal, pattern) for pattern in taught.patterns):
        return Match(0.0, exact=False, missing=taught.parameters, why="the words mean something else, or limit it")
    fitted = _complete(0.0, _by_kind(goal, taught, given), taught, given, exact=False)
    if probability is None:
        probability = _judged_alone(goal, taught)
    judged = replace(fitted, confidence=probability, probability=probability)
    new = _new_words(goal, taught) if probability > HELD else ""  # below, there is nothing to hold back
    return judged.held(f"no goal of this workflow was worded like that: {new}") if new else judged


def _judged_alone(goal: str, taught: Taught) -> float:
    from druse.retrieval.judge import GoalJudge

    return GoalJudge().judge(goal, [(pattern, "this") for pattern in taught.patterns]).probability


def _new_words(goal: str, taught: Taught) -> str:
    """What the goal says that no known goal of the workflow said, or leaves out; empty where nothing is different.

    "List the pending orders" is very like "cancel the pending orders": one other word is another piece of work.
    """
    values = _Values.of(taught)
    heard = _telling(goal, values)
    said = [_telling(re.sub(r"\{\w+\}", " ", known), values) for known in (*taught.patterns, *taught.worded)]
    new = heard - frozenset[str]().union(*said)
    if new:
        return f"{', '.join(sorted(new))} is new"
    names = _words(" ".join(taught.parameters).replace("_", " "))  # "zip" says which value follows, no more
    left_out = min((known - heard - names for known in said), key=len)
    return f"{', '.join(sorted(left_out))} is missing" if left_out else ""


def _telling(text: str, known: _Values) -> frozenset[str]:
    values = {value for _, value in _value_tokens(text, known)}
    return _words(" ".join(token for token in re.findall(r"[\w'’#@.-]+", text) if token.strip(".") not in values))


def _limits(goal: str, pattern: str) -> bool:
    """Whether the goal limits or negates in a way that the pattern does not."""
    return bool(limiting(goal) - limiting(pattern))


def _complete(
    confidence: float, found: Mapping[str, Json], taught: Taught, given: Mapping[str, Json], *, exact: bool
) -> Match:
    arguments = {name: value for name, value in {**found, **given}.items() if name in _known(taught)}
    missing = tuple(name for name in taught.parameters if name not in arguments)
    why = f"nothing says what {', '.join(missing)} is" if missing else ""
    return Match(confidence, exact, arguments, missing, why)


def _known(taught: Taught) -> frozenset[str]:
    properties = taught.schema.get("properties")
    return frozenset(properties) if isinstance(properties, dict) else frozenset()


def _exact(goal: str, pattern: str, taught: Taught) -> dict[str, Json] | None:
    """The values, where the goal is the pattern up to letter case, spacing, end punctuation and values."""
    parts = re.split(r"\{(\w+)\}", pattern.strip().rstrip(".!"))
    expression = ""
    seen: set[str] = set()
    for index, part in enumerate(parts):
        if index % 2 == 0:
            expression += r"\s+".join(re.escape(piece) for piece in re.split(r"\s+", part))
        elif part in seen:
            expression += f"(?P={part})"
        else:
            seen.add(part)
            expression += f"(?P<{part}>{_value_expression(taught.examples.get(part, ()))})"
    found = re.fullmatch(rf"\s*{expression}[.!\s]*", goal, re.IGNORECASE)
    if found is None:
        return None
    values: dict[str, Json] = {}
    for name, text in found.groupdict().items():
        typed = _typed(text, taught.schema, name)
        if typed is None or not (
            _quoted(found, name) or fits(text, [str(one) for one in taught.examples.get(name, ())])
        ):
            return None
        values[name] = typed
    return values


def _quoted(found: re.Match[str], name: str) -> bool:
    """Whether the goal itself says where the value begins and ends."""
    around = found.string[max(0, found.start(name) - 1) : found.start(name)] + found.string[found.end(name) :][:1]
    return around in ('""', "''", "``", "“”", "„“", "«»", "「」")


def _value_expression(examples: Sequence[Json]) -> str:
    """What a value may look like, from the values it had."""
    texts = [str(example) for example in examples]
    if texts and all(re.fullmatch(r"\d+", text) for text in texts):
        return r"\d+"
    if texts and all(re.fullmatch(r"[^\W\d_][\w'’-]*", text) for text in texts):
        return r"[^\W\d_][\w'’-]*"
    if texts and all(not re.search(r"\s", text) for text in texts):
        return r"\S*[^\s.,;:!?]"
    return r"\S.*?"


def _typed(text: str, schema: Mapping[str, Json], name: str) -> Json:
    """A text as the type that the schema says; None where it is no such value."""
    properties = schema.get("properties")
    part = properties.get(name) if isinstance(properties, dict) else None
    kind = part.get("type") if isinstance(part, dict) else "string"
    options = part.get("enum") if isinstance(part, dict) else None
    if isinstance(options, list):
        return next((option for option in options if str(option).casefold() == text.casefold()), None)
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text) if "." in text else int(text)
    except ValueError:
        return None
    if kind == "boolean":
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower())
    return text if kind in ("string", None) or isinstance(kind, list) else None


def _words(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in re.findall(r"[^\W\d_]+", text.lower()) if word not in _EMPTY)


def _stem(word: str) -> str:
    for ending in ("ations", "ation", "ings", "ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word[: -len(ending)]
            doubled = ending in ("ing", "ings", "ed") and stem[-1] == stem[-2] and len(stem) > 4  # "cancelled"
            return stem[:-1] if doubled else stem
    return word


@lru_cache(maxsize=4096)
def _kind_of(text: str) -> str:
    """The form of a value: a parameter takes only values of the form it had."""
    if re.fullmatch(r"\d+", text):
        return f"digits{len(text)}"
    if re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", text):
        return "email"
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return "date"
    if re.fullmatch(r"[^\W\d_][^\W\d_'’-]*", text) and text[:1].isupper():
        return "name"
    # An id keeps its letters of punctuation and the order of letters and digits.
    return "id:" + re.sub(r"[a-z]+", "a", re.sub(r"[A-Z]+", "A", re.sub(r"\d+", "0", text)))


@dataclass(frozen=True, slots=True)
class _Values:
    """How values of a tool look, and the words that are none."""

    forms: frozenset[str]
    words: frozenset[str]

    @classmethod
    def of(cls, taught: Taught) -> _Values:
        forms = {_kind_of(str(example)) for examples in taught.examples.values() for example in examples}
        return cls(frozenset(forms), frozenset(re.findall(r"\w+", " ".join(taught.patterns).lower())))


def _value_tokens(goal: str, values: _Values) -> list[tuple[int, str]]:
    """Words of the goal that have the form of some parameter's values and are no words of the patterns."""
    found: list[tuple[int, str]] = []
    for match in re.finditer(r"[^\s,;:()\"“”]+", goal):
        text = match[0].rstrip(".!?").removesuffix("'s").removesuffix("’s")
        starts = not goal[: match.start()].strip() or goal[: match.start()].rstrip().endswith((".", "!", "?", ":"))
        plain = text.lower() in values.words or text.lower() in _EMPTY or text.lower() in LIMITING
        if text and _kind_of(text) in values.forms and not plain and not (starts and _kind_of(text) == "name"):
            found.append((match.start(), text))
    return found


def _by_kind(goal: str, taught: Taught, given: Mapping[str, Json]) -> dict[str, Json]:
    """Values by their form, where every form has as many values as parameters, in the order people say them."""
    tokens = [(start, text) for start, text in _value_tokens(goal, _Values.of(taught))]
    values: dict[str, Json] = {}
    by_form: dict[str, list[str]] = {}
    for name in taught.parameters:
        forms = {_kind_of(str(example)) for example in taught.examples.get(name, ())}
        if name in given or len(forms) != 1:
            continue
        by_form.setdefault(forms.pop(), []).append(name)
    for form, names in by_form.items():
        found = [(start, text) for start, text in tokens if _kind_of(text) == form]
        ordered = _said_order(names, taught.patterns)
        if len(found) != len(names) or ordered is None:
            continue
        if len(names) > 1 and not _adjacent(goal, found):
            continue
        for name, (_, text) in zip(ordered, found, strict=True):
            typed = _typed(text, taught.schema, name)
            if typed is not None:
                values[name] = typed
    return values


def _said_order(names: Sequence[str], patterns: Sequence[str]) -> list[str] | None:
    """The order in which all patterns name these parameters; None where they disagree."""
    orders = {tuple(name for name in re.findall(r"\{(\w+)\}", pattern) if name in names) for pattern in patterns}
    if len(names) == 1:
        return list(names)
    if len(orders) != 1:
        return None
    order = list(dict.fromkeys(next(iter(orders))))
    return order if sorted(order) == sorted(names) else None


def _adjacent(goal: str, found: Sequence[tuple[int, str]]) -> bool:
    """Whether values stand side by side with nothing but a blank between: `Ada Lovelace`, not `Lovelace, Ada`."""
    return all(
        goal[start + len(text) : following].strip() == "" and "\n" not in goal[start + len(text) : following]
        for (start, text), (following, _) in itertools.pairwise(found)
    )
