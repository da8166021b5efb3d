"""The dialect: RestrictedPython with a few safe additions, and refusals that say what to write instead.

Added by desugaring: `d[k] += v`, `o.a += v`, `x: T = v`, `import a.b as c`, `super().x`. Iteration, unpacking, items
and calls are left to Python: a guard there has nothing to refuse, and a second reading of a value is a second effect.
The language layer is lint and capability discipline; the wall is the operating system (see docs/sandbox.md).
"""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any

from RestrictedPython.compile import compile_restricted_exec
from RestrictedPython.transformer import INSPECT_ATTRIBUTES, RestrictingNodeTransformer, copy_locations

from druse_sandbox.desugared import Desugar
from druse_sandbox.guards import is_private

MAX_SOURCE = 128 * 1024
MAX_NESTING = 80
MAX_LITERAL = 64 * 1024
POLICY_VERSION = 4  # part of the key of cached code: raise it with every change of the dialect

# Statements that are refused, and what to write instead.
INSTEAD = {
    "AsyncFunctionDef": "write a plain `def`",
    "Await": "calls need no `await`",
    "AsyncFor": "write a plain `for`",
    "AsyncWith": "write a plain `with`",
    "TryStar": "write a plain `except`",
    "TypeAlias": "leave the alias out",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a source is refused. `line` and `column` count from 1; 0 where there is no one place."""

    line: int
    column: int
    message: str

    def as_dict(self) -> dict[str, Any]:
        """For the pipe."""
        return {"line": self.line, "column": self.column, "message": self.message}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled source, or its problems. `tools` are the literal names in `call(...)`."""

    code: CodeType | None
    problems: tuple[Problem, ...] = ()
    tools: tuple[str, ...] = ()
    dynamic_calls: bool = False  # a call whose tool name is no literal


def compile_source(source: str, *, script: bool) -> Compiled:
    """Check and compile. A tool must define `run`; a script's last expression becomes its `result`."""
    if len(source) > MAX_SOURCE:
        return _refused(0, 0, f"the source is longer than {MAX_SOURCE} characters")
    shallow = _nesting(source)
    if shallow is not None:
        return Compiled(None, (shallow,))
    try:
        tree = ast.parse(source, "tool.py")
    except SyntaxError as error:
        return _refused(error.lineno or 0, error.offset or 0, f"it is not Python: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        return _refused(0, 0, f"it cannot be read: {error}")
    try:
        problems = [*_limits(tree), *_refusals(tree)]
        if not script and not any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            problems.append(Problem(1, 1, "it defines no function `run`; write def run(call, *, name: type) -> type:"))
        if problems:
            return Compiled(None, tuple(problems))
        if script:
            _keep_last(tree)
        tools, dynamic = _calls(tree)
        tree = ast.fix_missing_locations(Desugar().visit(tree))
        made = compile_restricted_exec(tree, "tool.py", policy=_Policy)
    except (RecursionError, MemoryError):
        return _refused(0, 0, "it is nested too deeply")
    except SyntaxError as error:  # what only the compiler sees: `return` outside of a function, a name twice
        return _refused(error.lineno or 0, error.offset or 0, f"it is not Python: {error.msg}")
    except ValueError as error:
        return _refused(0, 0, f"it cannot be compiled: {error}")
    if made.errors or made.code is None:
        return Compiled(None, tuple(_problem(text) for text in made.errors))
    return Compiled(made.code, tools=tools, dynamic_calls=dynamic)


# Methods that a class of tool code may define: they run as tool code, on objects of tool code.
METHODS = frozenset(
    (
        *("__init__", "__repr__", "__str__", "__len__", "__iter__", "__next__", "__getitem__", "__setitem__"),
        *("__contains__", "__call__", "__bool__", "__hash__", "__enter__", "__exit__", "__eq__", "__ne__", "__lt__"),
        *("__le__", "__gt__", "__ge__", "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__"),
        *(
            "__post_init__",
            "__reversed__",
            "__pos__",
            "__int__",
            "__float__",
            "__rtruediv__",
            "__iadd__",
            "__delitem__",
        ),
        *("__truediv__", "__floordiv__", "__mod__", "__neg__", "__abs__", "__and__", "__or__", "__xor__"),
        *("__matmul__", "__rmatmul__", "__invert__", "__format__", "__round__", "__lshift__", "__rshift__", "__pow__"),
        *("__rpow__", "__divmod__", "__rfloordiv__", "__rmod__", "__rand__", "__ror__", "__rxor__", "__isub__"),
        *("__imul__", "__itruediv__", "__iand__", "__ior__", "__ixor__", "__floor__", "__ceil__", "__trunc__"),
        *("__index__", "__bytes__", "__init_subclass__"),
    )
)
# Operators that are calls of a guard, which bounds their result before computing it.
BOUNDED: dict[type[ast.operator], str] = {
    ast.Pow: "_power_",
    ast.LShift: "_shift_",
    ast.Mult: "_times_",
    ast.Mod: "_modulo_",
}
_MATCHED_TYPES = frozenset(("int", "float", "str", "bool", "bytes", "list", "tuple", "dict", "set", "frozenset"))


class _Policy(RestrictingNodeTransformer):
    """RestrictedPython's own policy, a little wider where that is safe, with bare `except:` refused."""

    def check_name(self, node: Any, name: Any, allow_magic_methods: bool = False) -> None:
        if allow_magic_methods and name in METHODS and node.col_offset != 0:
            return
        # The names of guards end with an underscore, so a private name of tool code is none of them.
        if type(name) is str and is_private(name):
            return
        super().check_name(node, name, allow_magic_methods)

    def visit_Name(self, node: ast.Name) -> Any:
        # `print` is a function like others here; it may not be bound to something else.
        if node.id == "print" and isinstance(node.ctx, ast.Load):
            return node
        if self._in_class and node.id in METHODS:  # `__radd__ = __add__` in a class body
            return node
        self.check_name(node, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        name = node.attr
        special = name in ("__name__", "__init__") and isinstance(node.ctx, ast.Load)
        if name in METHODS and _is_super(node.value):
            special = isinstance(node.ctx, ast.Load)
        if name in INSPECT_ATTRIBUTES or (name.startswith("_") and not special and not is_private(name)):
            self.error(node, f"the attribute `{name}` is not available here")
            return node
        called = node.value
        if isinstance(called, ast.Call) and _is_super(called):
            return self._super(node, called)
        if name == "__name__" and (typed := _typed(called)) is not None:
            # The name of any value's type, though most types themselves are not handed out.
            made = ast.Call(ast.Name("_type_name_", ast.Load()), [self.visit(typed)], [])
            copy_locations(made, node)
            return made
        visited: Any = self.node_contents_visit(node)
        if isinstance(visited.ctx, ast.Load):
            made = ast.Call(ast.Name("_getattr_", ast.Load()), [visited.value, ast.Constant(name)], [])
            copy_locations(made, node)
            return made
        holder = ast.Call(ast.Name("_write_", ast.Load()), [visited.value], [])
        copy_locations(holder, node.value)
        visited.value = holder
        return visited

    def _super(self, node: ast.Attribute, called: ast.Call) -> Any:
        """`super().name` as a call that knows the class and the object, which Python finds for `super` alone."""
        first = self._first[-1] if self._first else ""
        if called.keywords or len(called.args) not in (0, 2) or not (called.args or first):
            self.error(node, "write `super().name` in a method whose first argument is the object")
            return node
        if called.args:
            places = [self.visit(part) for part in called.args]
        else:
            places = [ast.Name("__class__", ast.Load()), ast.Name(first, ast.Load())]
        made = ast.Call(ast.Name("_super_", ast.Load()), [*places, ast.Constant(node.attr)], [])
        copy_locations(made, node)
        return made

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        visited: Any = self.node_contents_visit(node)
        if not isinstance(visited.ctx, ast.Load):
            holder = ast.Call(ast.Name("_write_", ast.Load()), [visited.value], [])
            copy_locations(holder, node.value)
            visited.value = holder
        return visited

    def visit_Assign(self, node: ast.Assign) -> Any:
        return self.node_contents_visit(node)

    def visit_For(self, node: ast.For) -> Any:
        return self.node_contents_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        if node.is_async:
            self.error(node.target, "a comprehension cannot be asynchronous; calls need no `await`")
        return self.node_contents_visit(node)

    def visit_With(self, node: ast.With) -> Any:
        return self.node_contents_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id in ("exec", "eval", "super"):
            instead = "write `super().name`" if node.func.id == "super" else "it runs text as code"
            self.error(node, f"`{node.func.id}` is not available; {instead}")
        return self.node_contents_visit(node)

    def visit_Module(self, node: ast.Module) -> Any:
        return self.node_contents_visit(node)

    def visit_Try(self, node: ast.Try) -> Any:
        visited: Any = self.node_contents_visit(node)
        if visited.finalbody:
            visited.finalbody.insert(0, _limit_check(visited.finalbody[0]))
        return visited

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        # A power, a shift, a repetition or a padded text is bounded before it costs anything.
        visited: Any = self.node_contents_visit(node)
        guard = BOUNDED.get(type(node.op))
        if guard is None:
            return visited
        call = ast.Call(ast.Name(guard, ast.Load()), [visited.left, visited.right], [])
        copy_locations(call, node)
        return call

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        visited: Any = self.node_contents_visit(node)
        if visited.format_spec is None:
            return visited
        # `f"{x:>{n}}"` as `f"{_format_(x, f'>{n}')}"`: the width is seen before the text is made.
        value = visited.value
        if visited.conversion in (114, 115, 97):
            name = {114: "repr", 115: "str", 97: "repr"}[visited.conversion]
            value = ast.Call(ast.Name(name, ast.Load()), [value], [])
        call = ast.Call(ast.Name("_format_", ast.Load()), [value, visited.format_spec], [])
        copy_locations(call, node)
        made = ast.FormattedValue(call, -1, None)
        copy_locations(made, node)
        return made

    def visit_Nonlocal(self, node: ast.Nonlocal) -> Any:
        for name in node.names:
            self.check_name(node, name)
        return node

    def visit_Match(self, node: ast.Match) -> Any:
        return self.node_contents_visit(node)

    def visit_match_case(self, node: ast.match_case) -> Any:
        return self.node_contents_visit(node)

    def visit_MatchValue(self, node: ast.MatchValue) -> Any:
        if not all(isinstance(part, ast.Constant | ast.UnaryOp | ast.USub | ast.MatchValue) for part in ast.walk(node)):
            self.error(node, "a pattern compares with plain values only; compare names in an `if`")
        return node

    def visit_MatchSingleton(self, node: ast.MatchSingleton) -> Any:
        return node

    def visit_MatchSequence(self, node: ast.MatchSequence) -> Any:
        return self.node_contents_visit(node)

    def visit_MatchOr(self, node: ast.MatchOr) -> Any:
        return self.node_contents_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> Any:
        self._check_capture(node, node.name)
        return node

    def visit_MatchAs(self, node: ast.MatchAs) -> Any:
        self._check_capture(node, node.name)
        return self.node_contents_visit(node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> Any:
        self._check_capture(node, node.rest)
        if not all(isinstance(key, ast.Constant) for key in node.keys):
            self.error(node, "the keys of a pattern are plain values")
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> Any:
        # A class pattern reads attributes without the guard: only plain types, without attributes.
        plain = isinstance(node.cls, ast.Name) and node.cls.id in _MATCHED_TYPES
        if not plain or node.kwd_attrs or len(node.patterns) > 1:
            self.error(node, "a pattern names plain types only, such as `case int():`; check others in an `if`")
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        return node

    def _check_capture(self, node: Any, name: str | None) -> None:
        if name is not None:
            self.check_name(node, name)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> Any:
        if node.type is None:
            self.error(node, "a bare `except:` is not available; write `except Exception:`")
        self.check_name(node, node.name)
        visited: Any = self.node_contents_visit(node)
        visited.body.insert(0, _limit_check(visited.body[0]))
        return visited

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        # Annotations are for the reader: evaluating them would only add ways to fail.
        node.returns = None
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        for argument in (node.args.vararg, node.args.kwarg):
            if argument is not None:
                argument.annotation = None
        self.check_name(node, node.name, allow_magic_methods=True)
        self.check_function_argument_names(node)
        positional = [*node.args.posonlyargs, *node.args.args]
        self._first.append(positional[0].arg if positional else "")
        visited: Any = self._outside_class(lambda: self.node_contents_visit(node))
        self._first.pop()
        if node.name == "__exit__":
            visited.body.insert(0, _limit_check(visited.body[0]))
        return visited

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        self._first.append("")
        visited = self._outside_class(lambda: super(_Policy, self).visit_Lambda(node))
        self._first.pop()
        return visited

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        before, self._in_class = self._in_class, True
        visited = super().visit_ClassDef(node)
        self._in_class = before
        return visited

    def _outside_class(self, visit: Callable[[], Any]) -> Any:
        before, self._in_class = self._in_class, False
        visited = visit()
        self._in_class = before
        return visited

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._first: list[str] = []  # the first argument of each function around
        self._in_class = False  # whether a name stands in the body of a class itself


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def _typed(node: ast.expr) -> ast.expr | None:
    """The `x` of `type(x)` and of `x.__class__`."""
    if isinstance(node, ast.Attribute) and node.attr == "__class__":
        return node.value
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "type":
        return None
    return node.args[0] if len(node.args) == 1 and not node.keywords else None


def _limit_check(near: ast.stmt) -> ast.stmt:
    """What stands first wherever tool code may go on after an error: it ends the run if that error was a limit."""
    check = ast.Expr(ast.Call(ast.Name("_limits_", ast.Load()), [], []))
    ast.copy_location(check, near)
    ast.fix_missing_locations(check)
    return check


def _nesting(source: str) -> Problem | None:
    """Brackets and indentation nested so deeply that the parser itself is at risk."""
    depth = 0
    for line_number, line in enumerate(source.splitlines(), 1):
        if len(line) - len(line.lstrip()) > MAX_NESTING * 8:
            return Problem(line_number, 1, f"it is indented deeper than {MAX_NESTING} levels")
        for column, letter in enumerate(line, 1):
            if letter in "([{":
                depth += 1
                if depth > MAX_NESTING:
                    return Problem(line_number, column, f"brackets are nested deeper than {MAX_NESTING} levels")
            elif letter in ")]}":
                depth = max(0, depth - 1)
        if line.count("-") + line.count("~") + line.count("not ") > 400:
            return Problem(line_number, 1, "the line chains too many operators")
    return None


def _limits(tree: ast.AST) -> list[Problem]:
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_NESTING * 3:
            return [Problem(getattr(node, "lineno", 0), 1, "it is nested too deeply")]
        if isinstance(node, ast.Constant):
            value = node.value
            if isinstance(value, str | bytes) and len(value) > MAX_LITERAL:
                return [Problem(node.lineno, node.col_offset + 1, f"a text over {MAX_LITERAL} characters")]
            if isinstance(value, int) and value.bit_length() > 4096:
                return [Problem(node.lineno, node.col_offset + 1, "an integer of so many digits")]
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))
    return []


def _refusals(tree: ast.AST) -> list[Problem]:
    found: list[Problem] = []
    for node in ast.walk(tree):
        kind = type(node).__name__
        if kind in INSTEAD:
            text = f"`{kind}` is not available; {INSTEAD[kind]}"
            found.append(Problem(getattr(node, "lineno", 0), getattr(node, "col_offset", 0) + 1, text))
        for name in _names(node):
            if name.startswith("desugared_"):
                text = f"`{name}` is a name that the compiler makes; write another"
                found.append(Problem(getattr(node, "lineno", 0), getattr(node, "col_offset", 0) + 1, text))
    return found


def _names(node: ast.AST) -> list[str]:
    """Every identifier that stands in a node itself."""
    found: list[str] = []
    for _, value in ast.iter_fields(node):
        for part in value if isinstance(value, list) else (value,):
            if type(part) is str and not isinstance(node, ast.Constant):
                found.append(part)
    return found


def _keep_last(tree: ast.Module) -> None:
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("result", ast.Store())], last.value), last)


def _calls(tree: ast.AST) -> tuple[tuple[str, ...], bool]:
    tools: dict[str, None] = {}
    dynamic = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "call":
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                tools[first.value] = None
            else:
                dynamic = True
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "call_all":
            dynamic = True
    return tuple(tools), dynamic


def _problem(text: str) -> Problem:
    """`Line 3: message.` of RestrictedPython as a problem."""
    head, _, rest = str(text).partition(": ")
    line = int(head[5:]) if head.startswith("Line ") and head[5:].isdigit() else 0
    return Problem(line, 1, rest if line else str(text))


def _refused(line: int, column: int, message: str) -> Compiled:
    return Compiled(None, (Problem(line, column, message),))
