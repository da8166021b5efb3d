"""`subscriptions/listen` with tasks: besides what the SDK's handler serves, each change of the tasks a client names."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import mcp_types as types
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY, ListenHandler

from druse.front.extensions import require_tasks
from druse.front.guests import guest_of
from druse.front.interaction import capabilities_of
from druse.model import JsonObject

if TYPE_CHECKING:
    from druse.front.deferred import Deferred

_MOST = 100  # tasks watched by one stream


class _TaskNotification(types.Notification[dict[str, Any], Literal["notifications/tasks"]]):
    """What `tasks/get` would answer at that moment."""

    method: Literal["notifications/tasks"] = "notifications/tasks"
    params: dict[str, Any]


class _Acknowledging:
    """The session of a listen request; its acknowledgement names the tasks as well."""

    def __init__(self, session: Any, ids: list[str]) -> None:
        self._session = session
        self._ids = ids
        self.acknowledged = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def send_notification(self, notification: Any, related_request_id: Any = None) -> None:
        """Send it, the acknowledgement with the ids."""
        if isinstance(notification, types.SubscriptionsAcknowledgedNotification):
            honored = notification.params.notifications.model_dump(by_alias=True, exclude_none=True)
            told = types.SubscriptionFilter.model_validate({**honored, "taskIds": self._ids}, by_name=False)
            notification.params.notifications = told
        await self._session.send_notification(notification, related_request_id=related_request_id)
        self.acknowledged.set()


def task_ids(params: types.SubscriptionsListenRequestParams) -> list[str]:
    """The tasks that a listen request names."""
    asked = (params.notifications.model_extra or {}).get("taskIds")
    return [str(one) for one in cast("list[Any]", asked)[:_MOST]] if isinstance(asked, list) else []


async def listen_with_tasks(
    listener: ListenHandler, deferred: Deferred, context: Any, params: types.SubscriptionsListenRequestParams
) -> Any:
    """Serve one stream until the client leaves it. Raises MCPError -32021 where it did not declare the extension."""
    require_tasks(capabilities_of(context))
    identity = guest_of(context).identity
    own = [one for one in task_ids(params) if await deferred.belongs(one, identity)]
    with deferred.watch(own) as (known, changes):
        session = _Acknowledging(context.session, known)

        async def tell() -> None:
            await session.acknowledged.wait()
            while True:
                state: JsonObject = await changes.get()
                told = {**state, "_meta": {SUBSCRIPTION_ID_META_KEY: context.request_id}}
                notification: Any = _TaskNotification(params=told)
                await context.session.send_notification(notification, related_request_id=context.request_id)

        async with asyncio.TaskGroup() as group:
            telling = group.create_task(tell())
            try:
                return await listener(replace(context, session=session), params)
            finally:
                telling.cancel()
