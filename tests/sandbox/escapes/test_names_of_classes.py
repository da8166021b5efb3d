"""What classes, context managers and named tuples of tool code could reach or pass over."""

from __future__ import annotations

import pytest

from druse.runtime import SandboxHost

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("H-16")]

RUN = "\ndef run(call):\n    return str(attempt())\n"


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def f(self):\n        return self.__held__\ndef attempt():\n    return A().f()",
        "class A:\n    __getattribute__ = len\ndef attempt():\n    return A().x",
        "class A:\n    __class__ = dict\ndef attempt():\n    return A()",
        "class A:\n    __del__ = print\ndef attempt():\n    return A()",
        "__eq__ = len\ndef attempt():\n    return __eq__",
        "class A:\n    def f(self):\n        return super().__class__\ndef attempt():\n    return A().f()",
        "class A:\n    def f(self):\n        return super().__getattribute__('__dict__')\ndef attempt():\n    return A().f()",
        "def attempt():\n    return [].__class__",
    ],
)
async def test_a_magic_name_that_reaches_the_host_does_not_compile(host: SandboxHost, source: str) -> None:
    assert (await host.run(source + RUN, {})).status == "rejected"


@pytest.mark.parametrize(
    "body",
    [
        "import contextlib\ndef attempt():\n    return getattr(contextlib.suppress(), '__kinds__')",
        "from functools import cached_property\ndef attempt():\n    return getattr(cached_property(len), '_function')",
        "from string import Template\ndef attempt():\n    return getattr(Template(''), 'pattern')",
        "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\ndef attempt():\n    return P.row_extras",
        "def attempt():\n    return getattr((x for x in []), 'gi_frame')",
        "def attempt():\n    return getattr(attempt, '__globals__')",
        "class A:\n    def f(self):\n        return super().__init__\ndef attempt():\n    return getattr(A().f(), '_function')",
    ],
)
async def test_what_a_host_object_holds_is_no_attribute(host: SandboxHost, body: str) -> None:
    result = await host.run(body + RUN, {})
    assert result.error is not None and result.error.kind == "AttributeError"


@pytest.mark.parametrize(
    "body",
    [
        "from contextlib import suppress\ndef attempt():\n    with suppress(Exception):\n        deep(0)",
        "from contextlib import suppress\nclass S(suppress):\n    pass\ndef attempt():\n    with S(Exception):\n        deep(0)",
        "from contextlib import contextmanager\n@contextmanager\ndef c():\n    try:\n        yield\n"
        "    except Exception:\n        pass\ndef attempt():\n    with c():\n        deep(0)",
    ],
)
async def test_no_context_manager_passes_over_a_limit(host: SandboxHost, body: str) -> None:
    result = await host.run("def deep(n):\n    return deep(n + 1)\n" + body + RUN, {})
    assert result.error is not None and result.error.kind == "recursion"


async def test_the_text_of_a_guard_tells_no_address(host: SandboxHost) -> None:
    code = (
        "class A:\n    def f(self):\n        return super().__init__\ndef attempt():\n    return [A.__init__, A().f()]"
    )
    result = await host.run(code + RUN, {})
    assert result.value == "[<function __init__>, <function __init__>]"


async def test_the_interpreter_gets_its_own_modules_and_tool_code_does_not(host: SandboxHost) -> None:
    """`strftime` imports `time` through the `__import__` that tool code sees."""
    body = "import datetime\ndef attempt():\n    day = datetime.date(2024, 2, 29)\n"
    assert (await host.run(body + "    return day.strftime('%j')" + RUN, {})).value == "060"
    refused = await host.run(body + "    day.strftime('%j')\n    import time\n    return time" + RUN, {})
    assert refused.error is not None and refused.error.kind == "ImportError"


async def test_an_object_of_a_frozen_or_named_class_does_not_change(host: SandboxHost) -> None:
    body = (
        "from typing import NamedTuple\nfrom dataclasses import dataclass, FrozenInstanceError\n"
        "class P(NamedTuple):\n    x: int\n    def double(self):\n        return self.x * 2\n"
        "@dataclass(frozen=True)\nclass D:\n    x: int\n"
        "def attempt():\n    kept = []\n    for thing in (P(1), D(1)):\n        try:\n            thing.x = 5\n"
        "        except AttributeError:\n            kept.append(thing.x)\n    return kept"
    )
    assert (await host.run(body + RUN, {})).value == "[1, 1]"
