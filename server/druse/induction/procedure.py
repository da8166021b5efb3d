"""The Procedure: the small typed program between runs and Python source.

A procedure is a block of nodes. Every argument leaf of every call has one binding. The Procedure is not trusted:
what is verified, approved and run is the source rendered from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from druse.induction.commands import noun_of, tool_of
from druse.induction.values import MISSING, Path, Place, Root
from druse.model import Json

ITEM = Root("element", "item")  # the element in a comprehension

Symbol: TypeAlias = "tuple[str, tuple[str, ...]]"  # a tool and its argument names


@dataclass(frozen=True, slots=True)
class Constant:
    """Equal in all runs. `agrees` is a place that always told the same: it may be the true source.

    Its `measure` never changed: the value itself (empty), its length (`len`), or that the constant stands in it (`in`).
    """

    value: Json
    agrees: Place | None = None
    agreed: Json = None
    measure: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Varies and has no earlier source: the caller gives it."""

    name: str


@dataclass(frozen=True, slots=True)
class FromPlace:
    """Typed equality with one place; `others` are places that no run could tell apart from it."""

    place: Place
    others: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """Literal text around values: parts are texts or places.

    `agrees` are inputs that were the same in all runs and stand in the literal text: it may be made of them.
    """

    parts: tuple[str | Place, ...]
    agrees: tuple[tuple[Place, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class Lookup:
    """`field` of the one element of a list whose `key` equals a known value, or of a mapping's entry of that key."""

    source: Place
    key: str  # empty: the source is a mapping and `known` is its key
    known: Constant | FromPlace | Parameter
    field: Path


@dataclass(frozen=True, slots=True)
class Each:
    """A list made of a list: `field` of every element, or of those that the condition holds for (a comprehension).

    With `keys` each is an object: a constant, or what stands at a place, for every key. Places of the conditions and
    the keys begin at ITEM, the element.
    """

    source: Place
    field: Path
    condition: Condition | None = None
    rivals: tuple[Condition, ...] = ()
    keys: tuple[tuple[str, Constant | FromPlace], ...] = ()


@dataclass(frozen=True, slots=True)
class Cases:
    """One value for each state that was seen at a place; any other state stops the run."""

    place: Place
    table: tuple[tuple[Json, Json], ...]


@dataclass(frozen=True, slots=True)
class Computed:
    """Arithmetic or a transform that at least three differing runs agree on."""

    operation: str  # see druse.induction.computed
    operands: tuple[Place, ...]
    constant: Json = None


@dataclass(frozen=True, slots=True)
class Extracted:
    """What stands in a text between `left` and `right`; an empty side is the text's own end."""

    source: Place
    left: str
    right: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller gives, and where it gives nothing, what is worked out from earlier values."""

    name: str
    otherwise: FromPlace | Template | Lookup | Each | Cases | Computed | Extracted


Binding: TypeAlias = (
    "Constant | Parameter | FromPlace | Template | Lookup | Each | Cases | Computed | Extracted | Given"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A test on a place.

    `equals` a value, `matches` another place, is `present` (there and not null) or `absent`, is `filled` or `empty` (a
    container). With `also`, a second test must hold too.
    """

    place: Place
    test: str
    value: Json = None
    other: Place | None = None  # for matches
    also: Condition | None = None
    seen: tuple[Json, ...] = ()  # for equals: all values the runs had, where they are too few to generalise from


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A test that held in all runs but one, which went another way: where it does not hold, the program stops.

    `among` the values seen, `not` the odd one, `at_most` and `at_least` what was seen (of a list, its length), `filled`
    or `empty`, `missing` or `there`, `matches` another place. With `inside`, of every element of a list.
    """

    place: Place
    test: str
    value: Json = None
    inside: Path = ()
    other: Place | None = None
    size: bool = False
    odd: Json = None  # what the odd run had, for among

    @property
    def path(self) -> Path:
        """The keys that lead to what is tested."""
        return (*self.place.path, *self.inside)

    def __hash__(self) -> int:
        return hash((self.place, self.test, self.inside, self.other, self.size, repr(self.value)))


@dataclass(slots=True)
class Call:
    """One call. `bindings` has one entry for each argument leaf."""

    id: str
    symbol: Symbol
    bindings: dict[Path, Binding]
    examples: list[Json] = field(default_factory=list[Json])  # results seen, for guards
    writes: bool = True
    kinds: dict[Path, str] = field(default_factory=dict[Path, str])  # of the words of a command that vary

    @property
    def tool(self) -> str:
        """The tool's name."""
        return tool_of(self.symbol[0])

    @property
    def noun(self) -> str:
        """What it is called in names: the tool, or the command with what it does."""
        return noun_of(self.symbol[0])


@dataclass(slots=True)
class Loop:
    """For each element of the list at `source`, in order.

    With `otherwise` the source is a parameter, and where the caller gives no list, it is that one.
    """

    id: str
    source: Place
    body: Block
    always_filled: bool  # the list was never empty
    otherwise: Each | None = None
    examples: list[Json] = field(default_factory=list[Json])  # elements seen, for guards


@dataclass(slots=True)
class Choice:
    """Steps that happen only where the condition holds."""

    condition: Condition
    body: Block
    rivals: tuple[Condition, ...] = ()  # conditions that did as well on all runs; code checks that they agree


@dataclass(slots=True)
class Repeat:
    """A call made again while a condition on its own last result holds: paging, or waiting for something.

    `call` stands for the calls after the first; its result takes the place of the first one's, `first`. What all of
    them answered is the collected root of `first`.
    """

    id: str
    first: str
    call: Call
    condition: Condition
    rivals: tuple[Condition, ...]
    pages: bool  # every answer matters (paging), not only the last


Node: TypeAlias = "Call | Loop | Choice | Repeat"
Block: TypeAlias = "list[Node]"


@dataclass(slots=True)
class Declared:
    """A parameter of the procedure with the values it had; a run that skipped its step has none."""

    name: str
    argument: str
    tool: str
    by_run: dict[int, Json]  # the value in each run that used it
    hole: str = ""  # why its value is a choice the runs do not explain; empty for a plain input
    leaf: Path = ()
    default: Json = MISSING  # what it is where the caller says nothing; MISSING: the caller must give it
    kind: str = ""  # what it is as a word of a command, see druse_sandbox.commands
    command: str = ""  # the command in which it was first used
    derived: bool = False  # where the caller says nothing, it is worked out; the default is None
    usual: str = ""  # what it is worked out from, in words

    @property
    def values(self) -> list[Json]:
        """The values it had, in the order of the runs."""
        return [self.by_run[run] for run in sorted(self.by_run)]


@dataclass(slots=True)
class Procedure:
    """The program: nodes, parameters in order of first use, and the run ids it was made from."""

    nodes: Block
    parameters: dict[str, Declared]
    runs: tuple[str, ...]
    exclusions: tuple[Exclusion, ...] = ()  # because of runs that were set aside


def calls_of(block: Block) -> list[Call]:
    """All calls of a block, in order."""
    found: list[Call] = []
    for node in block:
        if isinstance(node, Call):
            found.append(node)
        elif isinstance(node, Repeat):
            found.append(node.call)
        else:
            found.extend(calls_of(node.body))
    return found
