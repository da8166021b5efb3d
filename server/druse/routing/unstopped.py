"""Work that is carried to its end even where whoever waits for it is stopped.

`asyncio.shield` makes a task of all that it is given: two more turns of the event loop, also for work that does not
wait for anything. Here the work runs at once, and only what waits becomes a task.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar, cast

T = TypeVar("T")


async def unstopped(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which must not ask for the task it runs in before it first waits."""
    try:
        waited = work.send(None)
    except StopIteration as finished:
        return cast("T", finished.value)

    async def rest() -> T:
        return await _from(work, waited)

    return await asyncio.shield(rest())


@types.coroutine
def _from(work: Coroutine[Any, Any, T], waited: Any) -> Generator[Any, Any, T]:
    """The rest of `work`, which is waiting for `waited`."""
    while True:
        step: Callable[[], Any]
        try:
            step = partial(work.send, (yield waited))
        except BaseException as error:  # handed on to the work
            step = partial(work.throw, error)
        try:
            waited = step()
        except StopIteration as finished:
            return cast("T", finished.value)
