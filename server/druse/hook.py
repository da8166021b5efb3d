"""`druse hook CLIENT [EVENT]`, as a client starts it: what just happened is written down, and nothing else.

A client runs it as `python -I -S .../druse/hook.py CLIENT` with the event as JSON on stdin and waits for its end. It
prints nothing, ends with exit code 0 whatever happens, and takes no longer than `_SECONDS`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_SECONDS = 2.0  # then the client goes on without the record


def main() -> NoReturn:
    """Record one event and end the process."""
    try:
        _bound()
        if "druse" not in sys.modules:
            # Behind the standard library's own folders: nothing beside this package can stand in for a module of it.
            sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        from druse.spool import record

        record(sys.argv[1:])
    except BaseException:  # the client goes on, whatever went wrong here; a traceback would end up on its screen
        pass
    os._exit(0)


def _bound() -> None:
    """End in time even where stdin stays open or a disk does not answer."""
    if sys.platform == "win32":
        return
    signals = __import__("_signal")  # the module around it takes long to import
    signals.signal(signals.SIGALRM, _end)
    signals.setitimer(signals.ITIMER_REAL, _SECONDS)


def _end(*_: object) -> None:
    os._exit(0)


if __name__ == "__main__":
    main()
