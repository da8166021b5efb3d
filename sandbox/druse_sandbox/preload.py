"""What a worker needs is imported and used once before it is locked: afterwards it cannot open a file."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import codecs
import contextlib
import gc
import platform
from importlib import import_module

# Encodings that data is met in; each is a module of its own.
_ENCODINGS = (
    "utf-8 utf-8-sig utf-16 utf-16-le utf-16-be utf-32 ascii latin-1 iso8859-2 iso8859-15 cp1250 cp1251 cp1252 cp437 "
    "cp850 mac-roman koi8-r unicode-escape"
).split()


def preload() -> None:
    """Import and warm up everything."""
    from druse_sandbox.builtins import names_for
    from druse_sandbox.language import compile_source
    from druse_sandbox.plain import plain

    import_module("druse_sandbox.worker").prepare()
    with contextlib.suppress(ImportError):  # Windows has none
        import_module("resource")
    platform.machine()  # reads what the interpreter is, once
    names = names_for(lambda *_: None, lambda *_: [], lambda *_: None)
    warm = (
        "import math, json, re, datetime\nfrom collections import Counter\nx = {'a': 1}\nx['a'] += 1\n"
        "class A:\n    def __init__(self):\n        self.b = 1\nfor i in [1]:\n    print(f'{i:>3}', A().b)\n"
        "try:\n    one([], 'a', 1)\nexcept ValueError as e:\n    pass\n"
    )
    compiled = compile_source(warm.replace("one([], 'a', 1)", "int('x')"), script=True)
    assert compiled.code is not None, compiled.problems
    exec(compiled.code, names)
    for name in _ENCODINGS:  # looked up once, an encoding is known for good
        codecs.lookup(name)
    datetime_text = names["__builtins__"]["__import__"]("datetime").members["datetime"]
    datetime_text.strptime("2026-01-01", "%Y-%m-%d")
    assert plain({"a": (1, 2)}) == {"a": [1, 2]}
    gc.collect()
    gc.freeze()
