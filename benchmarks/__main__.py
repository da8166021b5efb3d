"""`scripts/bench NAME`: runs `benchmarks.<name>.main()`; without a name, lists what there is."""

import importlib
import pkgutil
import sys
from pathlib import Path


def names() -> list[str]:
    return sorted(
        m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.ispkg and not m.name.startswith("_")
    )


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in {"-h", "--help"}:
        print("usage: scripts/bench NAME [ARGS]\nbenchmarks:", *names())
        raise SystemExit(0 if len(sys.argv) > 1 else 2)
    name = sys.argv.pop(1).replace("-", "_")
    if name not in names():
        raise SystemExit(f"scripts/bench: no benchmark called {name!r}; there are: {', '.join(names())}")
    importlib.import_module(f"benchmarks.{name}").main()
