"""What the policy knows no word for, said in words that it knows: before it sees the tree.

`d[k] += v`, `o.a += v`, `x: T = v`, `import a.b as c`, names with two underscores, and what only the reader or the
interpreter of a whole program needs (`__slots__`, `__all__`, `__main__`).
"""

from __future__ import annotations

import ast
from typing import Any


class Desugar(ast.NodeTransformer):
    """`d[k] += v`, `o.a += v` and `x: T = v` in terms of what the policy knows. Targets are evaluated once."""

    def __init__(self) -> None:
        self._number = 0
        self._classes: list[str] = []  # the names of the classes around

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        self.generic_visit(node)
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        """The annotated names of a class body, in order, as `desugared_fields`: what `@dataclass` reads."""
        fields = [
            part.target.id
            for part in node.body
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and not _of_class(part.annotation)
        ]
        # What `__slots__` would save is not worth a difference: an object here always has its attributes.
        node.body = [part for part in node.body if not _binds(part, "__slots__")] or [
            ast.copy_location(ast.Pass(), node)
        ]
        self._classes.append(node.name)
        self.generic_visit(node)
        self._classes.pop()
        if fields:
            listed = ast.Tuple([ast.Constant(name) for name in fields], ast.Load())
            node.body.insert(0, ast.copy_location(assign("desugared_fields", listed, node), node.body[0]))
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        self.generic_visit(node)
        node.attr = self._mangled(node.attr)
        return node

    def visit_Name(self, node: ast.Name) -> Any:
        node.id = self._mangled(node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.name = self._mangled(node.name)
        self.generic_visit(node)
        return node

    def _mangled(self, name: str) -> str:
        """`__x` in a class as Python has it, `_Class__x`: a name that guards, which get it as a text, know as well."""
        title = self._classes[-1].lstrip("_") if self._classes else ""
        private = name.startswith("__") and not name.endswith("_") and bool(title)
        return f"_{title}{name}" if private else name

    def visit_If(self, node: ast.If) -> Any:
        """`if __name__ == "__main__":` is never so here."""
        self.generic_visit(node)
        test = node.test
        if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__":
            given = test.comparators[0]
            if isinstance(test.ops[0], ast.Eq) and isinstance(given, ast.Constant) and given.value == "__main__":
                return node.orelse or ast.copy_location(ast.Pass(), node)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        return ast.copy_location(ast.Pass(), node) if not self._classes and _binds(node, "__all__") else node

    def visit_Import(self, node: ast.Import) -> Any:
        """`import a.b as c` as `from a import b as c`, which finds `b` without an attribute."""
        made: list[ast.stmt] = []
        for alias in node.names:
            holder, dot, last = alias.name.rpartition(".")
            if dot and alias.asname:
                made.append(ast.ImportFrom(holder, [ast.alias(last, alias.asname)], 0))
            else:
                made.append(ast.Import([alias]))
        return [ast.copy_location(ast.fix_missing_locations(ast.copy_location(part, node)), node) for part in made]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        """`from __future__ import annotations` changes nothing here: annotations are never evaluated."""
        if node.module == "__future__" and all(alias.name == "annotations" for alias in node.names):
            return ast.copy_location(ast.Pass(), node)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        self.generic_visit(node)
        target = node.target
        if isinstance(target, ast.Name):
            return node
        holder = self._fresh()
        before: list[ast.stmt] = [assign(holder, target.value, node)]
        base = ast.Name(holder, ast.Load())
        if isinstance(target, ast.Attribute):
            read: ast.expr = ast.Attribute(base, target.attr, ast.Load())
            write: ast.expr = ast.Attribute(ast.Name(holder, ast.Load()), target.attr, ast.Store())
        else:
            key = self._fresh()
            before.append(assign(key, target.slice, node))
            read = ast.Subscript(base, ast.Name(key, ast.Load()), ast.Load())
            write = ast.Subscript(ast.Name(holder, ast.Load()), ast.Name(key, ast.Load()), ast.Store())
        changed = self._fresh()
        # Through a plain name, so that `+=` keeps its in-place meaning.
        before.append(assign(changed, read, node))
        before.append(ast.copy_location(ast.AugAssign(ast.Name(changed, ast.Store()), node.op, node.value), node))
        before.append(ast.copy_location(ast.Assign([write], ast.Name(changed, ast.Load())), node))
        return before

    def _fresh(self) -> str:
        self._number += 1
        return f"desugared_{self._number}"


def assign(name: str, value: ast.expr, near: ast.stmt) -> ast.stmt:
    """`name = value`, at the place of another statement."""
    return ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), near)


def _binds(node: ast.stmt, name: str) -> bool:
    """Whether a statement gives a value to this name alone, and calls nothing for it."""
    if not isinstance(node, ast.Assign) or any(isinstance(part, ast.Call) for part in ast.walk(node.value)):
        return False
    return [part.id for part in node.targets if isinstance(part, ast.Name)] == [name]


def _of_class(annotation: ast.expr) -> bool:
    """`ClassVar` and `ClassVar[int]`, also behind `typing.`: no field of a dataclass."""
    named = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return getattr(named, "id", getattr(named, "attr", "")) == "ClassVar"
