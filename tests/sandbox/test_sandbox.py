"""The sandbox through its host: what runs, what is refused, what cannot get out."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from druse.model import JsonObject, Outcome, OutcomeStatus
from druse.runtime import EndRun, Limits, SandboxHost, SandboxResult, ToolCallFailed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def broker(tool: str, arguments: JsonObject) -> Any:
    if tool == "fail":
        raise ToolCallFailed("it is broken", kind="tool_error")
    if tool == "stop":
        raise EndRun(Outcome(OutcomeStatus.DENIED, message="no", kind="denied"))
    return {"tool": tool, **arguments}


async def script(host: SandboxHost, source: str, **arguments: Any) -> SandboxResult:
    return await host.run(source, arguments, call=broker, mode="script")


LEGITIMATE = [
    (
        "def kind(v):\n    match v:\n        case {'id': str(i), **rest}:\n            return [i, rest]\n"
        "        case [a, *more] if a > 1:\n            return more\n        case int() | float():\n            return 'n'\n"
        "        case 'x' | None:\n            return 'x'\n        case _:\n            return '?'\n"
        "[kind({'id': 'q', 'z': 1}), kind([2, 3]), kind(5), kind(None), kind([0])]",
        [["q", {"z": 1}], [3], "n", "x", "?"],
    ),
    ("def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    g()\n    g()\n    return n\nf()", 2),
    (
        "class Bag:\n    def __init__(self, items):\n        self.items = list(items)\n    def __len__(self):\n"
        "        return len(self.items)\n    def __iter__(self):\n        return iter(self.items)\n    def __getitem__(self, i):\n"
        "        return self.items[i]\n    def __repr__(self):\n        return 'Bag'\n    def __enter__(self):\n        return self\n"
        "    def __exit__(self, a, b, c):\n        return False\nwith Bag([1, 2]) as b:\n    r = [len(b), list(b), b[0], repr(b)]\nr",
        [2, [1, 2], 1, "Bag"],
    ),
    ("sum(x * x for x in range(10) if x % 2)", 165),
    ("sorted({'b': 1, 'a': 2}.items(), key=lambda p: p[1])", [["b", 1], ["a", 2]]),
    ("d = {}\nfor w in 'a b a'.split():\n    d[w] = d.get(w, 0)\n    d[w] += 1\nd", {"a": 2, "b": 1}),
    ("import math\nmath.floor(math.sqrt(17))", 4),
    ("from datetime import date, timedelta\n(date(2026, 2, 28) + timedelta(days=1)).isoformat()", "2026-03-01"),
    ("import json\njson.loads(json.dumps({'a': [1, None]}))", {"a": [1, None]}),
    ("import re\nre.sub(r'(\\d+)', r'<\\1>', 'a1b22')", "a<1>b<22>"),
    ("import re\n[m.group(1) for m in re.finditer(r'(\\w)=', 'a=1,b=2')]", ["a", "b"]),
    ("from collections import Counter, defaultdict\nc = Counter('abca')\nc.most_common(1)", [["a", 2]]),
    ("from itertools import chain, groupby\nlist(chain.from_iterable([[1], [2, 3]]))", [1, 2, 3]),
    ("import statistics\nstatistics.mean([1, 2, 3])", 2),
    ("'{:>5}|{}'.format('x', 3)", "    x|3"),
    ("'%s-%03d' % ('a', 7)", "a-007"),
    ("f'{3.14159:.2f} {\"x\":>3}'", "3.14   x"),
    (
        "class P:\n    def __init__(self, a):\n        self.a = a\n    def twice(self):\n        return self.a * 2\np = P(4)\np.a += 1\np.twice()",
        10,
    ),
    ("def f(*a, **k):\n    return len(a) + len(k)\nf(1, 2, x=3)", 3),
    ("try:\n    int('x')\nexcept ValueError as e:\n    r = str(e)[:7]\nfinally:\n    s = 1\nr", "invalid"),
    ("a, *b = [1, 2, 3]\n[a, b]", [1, [2, 3]]),
    ("x: int = 3\ny: list = []\ny.append(x)\ny", [3]),
    ("if (n := 5) > 3:\n    r = n\nr", 5),
    ("def g():\n    yield 1\n    yield 2\nlist(g())", [1, 2]),
    ("any(x > 2 for x in [1, 3]) and all([True])", True),
    ("list(map(lambda x: x + 1, filter(None, [0, 1, 2])))", [2, 3]),
    ("max([3, 1], default=0), min('b', 'a'), round(2.567, 1), abs(-3)", [3, "a", 2.6, 3]),
    ("'a,b'.split(',') + list('xy') + [s.upper() for s in ('q',)]", ["a", "b", "x", "y", "Q"]),
    ("isinstance(3, int) and isinstance('x', (str, bytes))", True),
    ("import hashlib\nhashlib.sha256(b'x').hexdigest()[:8]", "2d711642"),
    ("import base64\nbase64.b64encode(b'hi').decode()", "aGk="),
    ("import textwrap\ntextwrap.shorten('a b c d', 5)", "[...]"),
    ("import random\nrandom.seed(1)\n0 <= random.random() < 1", True),
    ("from functools import reduce\nreduce(lambda a, b: a + b, [1, 2, 3])", 6),
    ("from urllib.parse import quote\nquote('a b')", "a%20b"),
    ("from decimal import Decimal\nstr(Decimal('1.10') + Decimal('2'))", "3.10"),
    ("{'a': 1} | {'b': 2}", {"a": 1, "b": 2}),
    ("[list(range(3))[i:j] for i, j in [(0, 2), (1, 3)]]", [[0, 1], [1, 2]]),
    ("g = 0\ndef h():\n    global g\n    g += 2\nh()\ng", 2),
    ("call('echo', a=1)['a']", 1),
    ("[r['x'] for r in call_all([('echo', {'x': n}) for n in range(3)])]", [0, 1, 2]),
    ("one([{'id': 1, 'v': 'a'}, {'id': 2, 'v': 'b'}], 'id', 2)['v']", "b"),
    ("assert 1 == 1\nwith_default = getattr({}, 'get', None)\nwith_default is not None", True),
    (
        "sorted([3, 1, 2], reverse=True), list(reversed([1, 2])), list(zip('ab', [1, 2]))",
        [[3, 2, 1], [2, 1], [["a", 1], ["b", 2]]],
    ),
]


@pytest.mark.parametrize(("source", "value"), LEGITIMATE)
async def test_ordinary_code_runs(host: SandboxHost, source: str, value: Any) -> None:
    result = await script(host, source)

    assert (result.status, result.value) == ("ok", value), result


HOSTILE = [
    "import os",
    "import sys",
    "import subprocess",
    "import builtins",
    "import ctypes",
    "import importlib",
    "from os import path",
    "__import__('os')",
    "open('/etc/passwd')",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "globals()",
    "locals()",
    "vars()",
    "().__class__",
    "''.__class__.__mro__",
    "(1).__class__.__bases__",
    "[].__class__.__base__.__subclasses__()",
    "getattr((), '__class__')",
    "getattr('', '__' + 'class__')",
    "hasattr.__self__",
    "print.__self__",
    "'{0.__class__}'.format(1)",
    "'{x.__class__}'.format_map({'x': 1})",
    "str.format('{0.__class__}', 1)",
    "str.format_map",
    "import string\nstring.Formatter().format('{0.__class__}', 1)",
    "from collections import UserString\nUserString('{0.__class__}')",
    "import json\njson.codecs.open('/etc/passwd')",
    "import json\njson.decoder",
    "import re\nre.enum",
    "import statistics\nstatistics.sys",
    "import datetime\ndatetime.sys",
    "import math\nmath.__loader__",
    "import random\nrandom._os",
    "import textwrap\ntextwrap.re",
    "def g():\n    yield 1\ng().gi_frame",
    "(x for x in []).gi_frame.f_back",
    "(lambda: 0).__globals__",
    "(lambda: 0).func_globals",
    "try:\n    {}.x\nexcept AttributeError as e:\n    e.obj",
    "try:\n    b'\\xff'.decode()\nexcept Exception as e:\n    e.object",
    "try:\n    1/0\nexcept Exception as e:\n    e.__traceback__",
    "try:\n    1/0\nexcept Exception as e:\n    e.with_traceback",
    "def f(_getattr_):\n    return 1",
    "def f(_write_, /):\n    return 1",
    "_getattr_ = getattr",
    "__builtins__",
    "_print_",
    "class X:\n    pass\nX.__slots__",
    "class X(str):\n    pass",
    "class X(type):\n    pass",
    "class X(dict):\n    pass",
    "class X:\n    def __getattr__(self, n):\n        return 1",
    "class X:\n    def __del__(self):\n        pass",
    "type(1).mro()",
    "type('X', (), {})",
    "type(print)",
    "type(call)",
    "type(lambda: 0)",
    "object.__subclasses__()",
    "int.mro()",
    "from functools import update_wrapper",
    "import operator\noperator.attrgetter('__class__')",
    "import functools\nfunctools.partial.func",
    "match 1:\n    case int(real=x):\n        pass",
    "match 1:\n    case __x:\n        pass",
    "match call:\n    case object(__class__=c):\n        pass",
    "match 1:\n    case call.x:\n        pass",
    "def f():\n    nonlocal __builtins__",
    "class X:\n    def __getattribute__(self, n):\n        return 1",
    "class X:\n    def __new__(cls):\n        return 1",
    "class X:\n    def __class_getitem__(cls, k):\n        return 1",
    "try:\n    pass\nexcept* ValueError:\n    pass",
    "import math as m\nm.sqrt.__self__",
    "async def f():\n    pass",
    "call.__closure__",
    "setattr(call, 'x', 1)",
    "del call.__code__",
    "help()",
    "input()",
    "breakpoint()",
    "memoryview(b'x')",
    "import pickle",
    "import threading",
    "import socket",
    "import inspect",
    "import gc",
    "import warnings",
    "''.join.__self__.__class__",
    "[].append.__self__",
    "(1).real.__class__",
    "Exception.__subclasses__()",
    "ToolError.mro()",
]


@pytest.mark.requirement("H-16")
@pytest.mark.parametrize("source", HOSTILE)
async def test_hostile_code_is_refused_or_contained(host: SandboxHost, source: str) -> None:
    result = await script(host, source)

    assert result.status in ("rejected", "error", "killed"), result


WALL = [
    "result = open('/etc/passwd').read()",
    "import os\nresult = os.listdir('/')",
    "import socket\nresult = socket.socket()",
    "import os\nresult = os.fork()",
    "import os\nos.kill(os.getppid(), 9)\nresult = 1",
    "import subprocess\nresult = subprocess.run(['id'])",
    "import os\nresult = os.open('/tmp/x', os.O_CREAT | os.O_WRONLY)",
    "import mmap\nresult = mmap.mmap(-1, 4096, prot=7)",
    "result = len(bytearray(1 << 30))",
    "import os\nresult = os.execv('/bin/sh', ['sh'])",
    "import os\nos.chmod('/tmp', 0o777)\nresult = 1",
    "import ctypes\nresult = 1 if ctypes.CDLL(None).syscall(57) >= 0 else 1 / 0",
    "import os\nresult = os.memfd_create('x')",
    "import os\nos.setuid(0)\nresult = 1",
    "import os\nresult = os.pipe()",
    "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))\nresult = 1",
    "import ctypes\nresult = ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0 or 1/0",
    "import os\nresult = os.stat('/etc/passwd').st_size",
]


@pytest.mark.requirement("H-16")
@pytest.mark.parametrize("source", WALL)
async def test_the_wall_holds_without_the_language_layer(host: SandboxHost, source: str) -> None:
    result = await host.run(source, {}, mode="script", os_only=True)

    assert result.status in ("error", "killed"), result


@pytest.mark.requirement("H-16")
async def test_a_tool_call_inside_the_wall_has_no_effect_without_permission(host: SandboxHost) -> None:
    result = await host.run("def run(call):\n    return call('Write', file_path='x')", {})

    assert result.status == "ended" and result.outcome is not None and result.outcome.status == "denied"


@pytest.mark.requirement("S-29")
@pytest.mark.parametrize(
    "source",
    [
        "while True:\n    pass",
        "x = [0] * (10 ** 9)",
        "x = 'a' * (10 ** 10)",
        "x = 9 ** 9 ** 9",
        "def f():\n    return f()\nf()",
        "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
        "for i in range(1000):\n    call('echo', n=i)",
        "'x' * 3000000",
        "'{:>99999999}'.format(1)",
        "f'{1:>{10 ** 9}}'",
        "x = []\nx.append(x)\nx",
    ],
)
async def test_every_limit_is_hit_and_the_host_goes_on(host: SandboxHost, source: str) -> None:
    result = await script(host, source)
    after = await script(host, "1 + 1")

    assert result.status in ("killed", "error", "rejected")
    assert after.value == 2


@pytest.mark.requirement("H-18")
async def test_what_a_tool_raises_is_a_typed_error_without_host_paths(host: SandboxHost) -> None:
    result = await host.run("def run(call):\n    x = 1\n    return {}['nope']", {})

    assert result.status == "error" and result.error is not None
    assert (result.error.kind, result.error.line) == ("KeyError", 3)
    assert "/" not in result.error.message


async def test_a_guard_cannot_be_caught_and_tells_what_differed(host: SandboxHost) -> None:
    source = "def run(call):\n    try:\n        expect({'a': 1}, {'a': 'str'})\n    except Exception:\n        return 1"
    result = await host.run(source, {})

    assert result.status == "diverged" and result.error is not None
    assert result.error.message.startswith("a is int (1), expected str")


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    require(False, 'no')\nfinally:\n    result = 1",
        "def f():\n    try:\n        require(False, 'no')\n    finally:\n        return 1\nresult = f()",
        "while True:\n    try:\n        expect(1, 'str')\n    finally:\n        break\nresult = 1",
        "class S:\n    def __enter__(self):\n        return self\n    def __exit__(self, a, b, c):\n        return True\n"
        "with S():\n    require(False, 'no')\nresult = 1",
        "def g():\n    try:\n        yield 1\n    finally:\n        require(False, 'no')\nfor x in g():\n    break\nresult = 1",
    ],
)
async def test_no_construct_of_the_language_goes_on_behind_a_guard(host: SandboxHost, source: str) -> None:
    assert (await script(host, source)).status == "diverged"


async def test_the_end_of_a_run_by_the_host_cannot_be_caught(host: SandboxHost) -> None:
    result = await script(host, "try:\n    call('stop')\nexcept Exception:\n    result = 1")

    assert result.status == "ended"


async def test_a_failing_call_is_an_error_that_tool_code_may_handle(host: SandboxHost) -> None:
    result = await script(host, "try:\n    call('fail')\nexcept ToolError as e:\n    r = [str(e), e.kind]\nr")

    assert result.value == ["it is broken", "tool_error"]


@pytest.mark.requirement("H-14")
async def test_what_is_refused_says_the_line_and_what_to_write(host: SandboxHost) -> None:
    report = await host.check("def run(call):\n    x = 1\n    try:\n        x = 2\n    except:\n        pass")

    assert not report.ok and report.problems[0].line == 5 and "except Exception" in report.problems[0].message


async def test_the_tools_a_source_names_are_read_off_the_code(host: SandboxHost) -> None:
    report = await host.check("def run(call, *, a: str) -> dict:\n    call('x__y', a=a)\n    return call('z')")

    assert report.tools == ("x__y", "z") and not report.dynamic_calls


async def test_two_runs_share_nothing(host: SandboxHost) -> None:
    await script(host, "import math\nfrom collections import Counter\nCounter.x = 1")
    result = await script(host, "from collections import Counter\nhasattr(Counter, 'x')")

    assert result.value is False


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_many_runs_leave_no_process_and_no_descriptor_behind() -> None:
    before = open_descriptors()
    async with SandboxHost.open(ready=1) as host:
        for number in range(60):
            assert (await script(host, f"{number} + 1")).value == number + 1
    assert open_descriptors() <= before + 2


def sandbox_processes() -> list[int]:
    """Every process of the sandboxes that this process started: zygotes and their workers."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    zygotes = {pid for pid, parent in parents.items() if parent == os.getpid() and _is_zygote(pid)}
    return sorted({pid for pid, parent in parents.items() if parent in zygotes} | zygotes)


def _is_zygote(pid: int) -> bool:
    try:
        return b"druse_sandbox" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def test_a_killed_sandbox_is_an_error_and_the_next_run_works() -> None:
    others = set(sandbox_processes())
    async with SandboxHost.open(Limits(cpu_seconds=20), ready=1) as own:
        assert (await script(own, "1")).value == 1

        async def slow(tool: str, arguments: JsonObject) -> Any:
            for pid in set(sandbox_processes()) - others:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return 1

        killed = await own.run("call('x')\nwhile True:\n    pass", {}, call=slow, mode="script")
        assert killed.status == "killed" and killed.error is not None and killed.error.kind == "killed"
        assert (await script(own, "2")).value == 2
