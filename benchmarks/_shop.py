"""A small shop as an MCP server over stdio, its state one JSON file: `python -m benchmarks._shop STATE [--carriers]`.

The same class without the server says what the end state of a job must be.
"""

from __future__ import annotations

import copy
import json
import random
import sys
from pathlib import Path
from typing import Any

TEXT = {"type": "string"}
READS = {
    "find_customer": ["email"],
    "list_orders": ["customer_id"],
    "get_order": ["order_id"],
    "get_stock": ["sku"],
    "list_tickets": ["customer_id"],
}
WRITES = {
    "cancel_order": ["order_id", "reason"],
    "ship_order": ["order_id", "warehouse"],
    "add_note": ["order_id", "text"],
    "close_ticket": ["ticket_id"],
    "set_tier": ["customer_id", "tier"],
    "order_stock": ["sku", "amount"],
}


class Shop:
    """Customers, orders, tickets and stock. `state` is all there is."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def call(self, tool: str, **given: Any) -> Any:
        """One call. Raises KeyError for what is not there, ValueError for what cannot be done."""
        return copy.deepcopy(getattr(self, f"_{tool}")(**given))

    def _find_customer(self, email: str) -> Any:
        return next(c for c in self.state["customers"].values() if c["email"] == email)

    def _list_orders(self, customer_id: str) -> Any:
        own = [o for o in self.state["orders"].values() if o["customer_id"] == customer_id]
        return {"orders": [{"id": o["id"], "status": o["status"]} for o in own]}

    def _get_order(self, order_id: str) -> Any:
        return self.state["orders"][order_id]

    def _get_stock(self, sku: str) -> Any:
        return self.state["stock"][sku]

    def _list_tickets(self, customer_id: str) -> Any:
        return {"tickets": [t for t in self.state["tickets"].values() if t["customer_id"] == customer_id]}

    def _cancel_order(self, order_id: str, reason: str) -> Any:
        return self._moved(order_id, "cancelled", reason=reason)

    def _ship_order(self, order_id: str, warehouse: str, carrier: str = "post") -> Any:
        return self._moved(order_id, "shipped", warehouse=warehouse, carrier=carrier)

    def _moved(self, order_id: str, status: str, **more: Any) -> Any:
        order = self.state["orders"][order_id]
        if order["status"] != "pending":
            raise ValueError(f"{order_id} is {order['status']}")
        order.update(status=status, **more)
        return order

    def _add_note(self, order_id: str, text: str) -> Any:
        self.state["orders"][order_id]["notes"].append(text)
        return {"notes": len(self.state["orders"][order_id]["notes"])}

    def _close_ticket(self, ticket_id: str) -> Any:
        self.state["tickets"][ticket_id]["open"] = False
        return {"closed": ticket_id}

    def _set_tier(self, customer_id: str, tier: str) -> Any:
        self.state["customers"][customer_id]["tier"] = tier
        return {"id": customer_id, "tier": tier}

    def _order_stock(self, sku: str, amount: str) -> Any:
        self.state["stock"][sku]["ordered"] = amount
        return {"sku": sku, "ordered": amount}


def fresh(seed: int, customers: int) -> dict[str, Any]:
    """A state to begin with."""
    chance = random.Random(seed)
    state: dict[str, Any] = {"customers": {}, "orders": {}, "tickets": {}, "stock": {}}
    for _ in range(20):
        sku = f"SKU-{chance.randrange(10**5):05}"
        warehouse = chance.choice(["north", "south", "harbour"])
        state["stock"][sku] = {"sku": sku, "count": chance.randrange(90), "warehouse": warehouse}
    for number in range(customers):
        cid = f"C{chance.randrange(10**6):06}"
        email = (
            f"{chance.choice(['ann', 'bo', 'cy', 'dee', 'eve'])}{number}@{chance.choice(['x', 'yy', 'zed'])}.example"
        )
        state["customers"][cid] = {"id": cid, "email": email, "tier": "basic"}
        for _ in range(chance.randrange(2, 5)):
            oid = f"W{chance.randrange(10**7):07}"
            status = chance.choice(["pending", "pending", "delivered"])
            order = {"id": oid, "customer_id": cid, "status": status, "sku": chance.choice(list(state["stock"]))}
            state["orders"][oid] = {**order, "notes": []}
        for _ in range(chance.randrange(1, 4)):
            tid = f"T{chance.randrange(10**5):05}"
            state["tickets"][tid] = {"id": tid, "customer_id": cid, "open": chance.random() < 0.7}
    return state


def tools(*, carriers: bool) -> list[dict[str, Any]]:
    """What the server declares; with `carriers` its next release."""
    listed: list[dict[str, Any]] = []
    for name, arguments in {**READS, **WRITES}.items():
        properties = dict.fromkeys(arguments, TEXT)
        if carriers and name == "ship_order":
            properties["carrier"] = TEXT
        schema = {"type": "object", "properties": properties, "required": arguments}
        hint = {"readOnlyHint": name in READS}
        about = name.replace("_", " ").capitalize() + "."
        listed.append({"name": name, "description": about, "inputSchema": schema, "annotations": hint})
    return listed


def main() -> None:
    path, carriers = Path(sys.argv[1]), "--carriers" in sys.argv
    shop = Shop(json.loads(path.read_text(encoding="utf-8")))
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result: dict[str, Any] = {}
        if message["method"] == "initialize":
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
            result["serverInfo"] = {"name": "shop", "version": "2" if carriers else "1"}
        elif message["method"] == "tools/list":
            result = {"tools": tools(carriers=carriers)}
        elif message["method"] == "tools/call":
            name = message["params"]["name"]
            try:
                data = shop.call(name, **message["params"].get("arguments", {}))
                result = {"content": [{"type": "text", "text": json.dumps(data)}], "structuredContent": data}
            except (KeyError, ValueError, StopIteration) as error:
                result = {"content": [{"type": "text", "text": repr(error)}], "isError": True}
            if name in WRITES:
                path.write_text(json.dumps(shop.state), encoding="utf-8")
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
