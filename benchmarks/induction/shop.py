"""A shop: customers, orders, products, rates; twenty things a shop assistant does with it."""

from __future__ import annotations

from typing import Any

from benchmarks.induction.workflows import Agent, Free, Refusal, Service, read, workflow, write

FIRST = "Ana Ben Cleo Dan Eva Finn Gus Hana Ivo Jana Kai Lea Mia Noa Otto Pia Quin Rosa Sami Tara".split()
LAST = "Abel Bauer Costa Dietz Engel Falk Gomez Huber Ilic Jansen Koch Lopez Moreau Novak Olsen Petit".split()
CITIES = "Lisbon Vienna Oslo Ghent Turin Malmo Porto Graz Lyon Bergen Krakow Aarhus".split()
GOODS = "lamp desk chair kettle mug sofa shelf vase clock rug tray stool mirror basket".split()
CURRENCIES = ["EUR", "USD", "GBP", "SEK", "CHF", "PLN"]


class Shop(Service):
    """Customers with orders; an order is pending, delivered, cancelled or lost."""

    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        self.products = {
            f"P{rng.randint(10000, 99999)}": {
                "name": name,
                "price": rng.randint(300, 20000) / 100,
                "stock": rng.randint(1, 60),
                "category": rng.choice(["home", "office", "garden"]),
            }
            for name in rng.sample(GOODS, 10)
        }
        self.customers: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        for first, last in zip(rng.sample(FIRST, 8), rng.sample(LAST, 8), strict=True):
            self._customer(first, last)
        self.log: list[Any] = []

    def _customer(self, first: str, last: str) -> None:
        r = self.rng
        id = f"{first.lower()}_{last.lower()}_{r.randint(1000, 9999)}"
        city = r.choice(CITIES)
        customer: dict[str, Any] = {
            "id": id,
            "name": {"first": first, "last": last},
            "email": f"{first.lower()}.{last.lower()}{r.randint(10, 99)}@mail.example",
            "zip": str(r.randint(10000, 99999)),
            "tier": r.choice(["basic", "silver", "gold", "gold"]),
            "balance": r.randint(-4000, 9000) / 100,
            "addresses": [
                {"label": label, "street": f"{r.choice(LAST)}strasse {r.randint(1, 99)}", "city": town}
                for label, town in zip(
                    r.sample(["home", "work", "parents", "boat"], 3), r.sample(CITIES, 3), strict=True
                )
            ],
            "cards": [
                {"id": f"card_{r.randint(100000, 999999)}", "brand": brand, "primary": False}
                for brand in r.sample(["visa", "master", "amex", "diners"], r.randint(2, 4))
            ],
            "orders": [],
            "city": city,
        }
        r.choice(customer["cards"])["primary"] = True
        for _ in range(r.randint(1, 5)):
            order = self._order(id)
            customer["orders"].append(order)
        self.customers[id] = customer

    def _order(self, customer: str) -> str:
        r = self.rng
        id = f"#W{r.randint(1000000, 9999999)}"
        items = [
            {
                "sku": sku,
                "name": self.products[sku]["name"],
                "price": self.products[sku]["price"],
                "quantity": r.randint(1, 4),
                "returnable": r.random() < 0.6,
            }
            for sku in r.sample(sorted(self.products), r.randint(1, 4))
        ]
        self.orders[id] = {
            "order_id": id,
            "customer_id": customer,
            "status": r.choice(["pending", "pending", "delivered", "delivered", "cancelled", "lost"]),
            "placed_at": self.stamp(),
            "items": items,
            "total": round(sum(item["price"] * item["quantity"] for item in items), 2),
            "address": {"city": r.choice(CITIES), "country": r.choice(["at", "pt", "no", "be", "it"])},
            **({"gift_note": f"For {r.choice(FIRST)}"} if r.random() < 0.5 else {}),
        }
        return id

    @read
    def find_customer(self, email: str) -> Any:
        for customer in self.customers.values():
            if customer["email"] == email:
                return {"id": customer["id"], "tier": customer["tier"], "known_since": "2019"}
        raise Refusal(f"no customer with {email}")

    @read
    def find_by_name(self, first: str, last: str, zip: str) -> Any:
        for customer in self.customers.values():
            if (customer["name"], customer["zip"]) == ({"first": first, "last": last}, zip):
                return customer["id"]
        raise Refusal("nobody of that name")

    @read
    def get_customer(self, customer_id: str) -> Any:
        if customer_id not in self.customers:
            raise Refusal("no such customer")
        return self.customers[customer_id]

    @read
    def list_orders(self, customer_id: str, limit: int) -> Any:
        orders = [self.orders[id] for id in self.customers[customer_id]["orders"]][:limit]
        latest = max(orders, key=lambda order: order["placed_at"])
        return {"orders": orders, "latest": {"order_id": latest["order_id"], "total": latest["total"]}}

    @read
    def get_order(self, order_id: str) -> Any:
        if order_id not in self.orders:
            raise Refusal(f"no order {order_id}")
        return self.orders[order_id]

    @read
    def get_product(self, sku: str) -> Any:
        return {"sku": sku, **self.products[sku], "supplier": {"code": f"S-{sku[1:4]}", "city": "Ghent"}}

    @read
    def count_products(self, category: str) -> Any:
        return {"count": 10, "category": category}

    @read
    def list_products(self, category: str, page_size: int) -> Any:
        found = [{"sku": sku, **p} for sku, p in sorted(self.products.items()) if p["category"] == category]
        return {"products": found[:page_size]}

    @read
    def search_products(self, text: str) -> Any:
        return {"hits": [{"sku": s, "name": p["name"], "price": p["price"]} for s, p in sorted(self.products.items())]}

    @read
    def rates(self, base: str) -> Any:
        return {"base": base, "rates": {code: round(self.rng.uniform(0.5, 12), 4) for code in CURRENCIES}}

    @read
    def shipping_options(self, city: str) -> Any:
        r = self.rng
        return [
            {"carrier": carrier, "price": r.randint(300, 2900) / 100, "service": f"svc-{r.randint(1000, 9999)}"}
            for carrier in r.sample(["dhl", "ups", "post", "gls"], 4)
        ]

    @write
    def refund_quote(self, order_id: str, currency: str) -> Any:
        return {"quote": self.uuid(), "amount": self.orders[order_id]["total"], "currency": currency}

    @write
    def accept_quote(self, quote: str) -> Any:
        return {"accepted": quote, "at": self.stamp()}

    @write
    def cancel_order(self, order_id: str, reason: str) -> Any:
        if self.orders[order_id]["status"] != "pending":
            raise Refusal("only pending orders can be cancelled")
        self.orders[order_id]["status"] = "cancelled"
        return self.orders[order_id]

    @write
    def restock(self, sku: str, quantity: int) -> Any:
        self.products[sku]["stock"] += quantity
        return {"sku": sku, "stock": self.products[sku]["stock"]}

    @write
    def open_return(self, order_id: str, sku: str) -> Any:
        return {"return_id": self.uuid(), "order_id": order_id, "sku": sku}

    @write
    def message(self, to: str, text: str) -> Any:
        self.log.append((to, text))
        return {"sent": True}

    @write
    def set_address(self, order_id: str, street: str, city: str) -> Any:
        self.orders[order_id]["address"] = {"street": street, "city": city}
        return {"ok": True, "order_id": order_id}

    @write
    def charge(self, card_id: str, amount: float, order_id: str) -> Any:
        return {"charge": self.uuid(), "amount": amount}

    @write
    def grant_perk(self, customer_id: str, perk: str) -> Any:
        return {"granted": perk}

    @write
    def ship(self, order_id: str, service: str) -> Any:
        self.orders[order_id]["status"] = "shipped"
        return {"tracking": self.uuid()}

    @write
    def print_note(self, order_id: str, note: str) -> Any:
        return {"printed": True}

    @write
    def price_in(self, sku: str, currency: str, rate: float) -> Any:
        return {"sku": sku, "currency": currency, "price": round(self.products[sku]["price"] * rate, 2)}

    @write
    def invoice(self, customer_id: str, amount: float, day: str) -> Any:
        return {"invoice": self.uuid()}

    @write
    def label(self, order_id: str, country: str) -> Any:
        return {"label": self.uuid()}

    @write
    def order_from_supplier(self, code: str, sku: str, quantity: int) -> Any:
        return {"purchase": self.uuid()}


def customer(w: Any, r: Any) -> Any:
    return r.choice(sorted(w.shop.customers.values(), key=lambda c: c["id"]))


def by_email(w: Any, r: Any) -> dict[str, Any]:
    return {"email": customer(w, r)["email"]}


def by_order(w: Any, r: Any) -> dict[str, Any]:
    return {"order_id": r.choice(sorted(w.shop.orders))}


def in_status(*statuses: str) -> Any:
    def inputs(w: Any, r: Any) -> dict[str, Any]:
        return {"order_id": r.choice(sorted(id for id, o in w.shop.orders.items() if o["status"] in statuses))}

    return inputs


@workflow("Quote a refund of the latest order of {email}", by_email, "constant parameter path", shop=Shop)
def refund_latest(do: Agent, email: str) -> None:
    found = do("shop.find_customer", email=email)
    orders = do("shop.list_orders", customer_id=found["id"], limit=10)
    quote = do("shop.refund_quote", order_id=orders["latest"]["order_id"], currency="EUR")
    do("shop.accept_quote", quote=quote["quote"])


def by_name(w: Any, r: Any) -> dict[str, Any]:
    c = customer(w, r)
    return {**c["name"], "zip": c["zip"]}


@workflow("Cancel what is pending of {first} {last}, zip {zip}", by_name, "each filter parameter", shop=Shop)
def cancel_pending(do: Agent, first: str, last: str, zip: str) -> None:
    id = do("shop.find_by_name", first=first, last=last, zip=zip)
    for order_id in do("shop.get_customer", customer_id=id)["orders"]:
        if do("shop.get_order", order_id=order_id)["status"] == "pending":
            do("shop.cancel_order", order_id=order_id, reason="no longer needed")


@workflow("Tell the customer about order {order_id}", by_order, "template path template_number", shop=Shop)
def tell_about_order(do: Agent, order_id: str) -> None:
    order = do("shop.get_order", order_id=order_id)
    who = do("shop.get_customer", customer_id=order["customer_id"])
    text = f"Dear {who['name']['first']}, order {order_id} ({order['total']} EUR) goes to {order['address']['city']}."
    do("shop.message", to=who["email"], text=text)


@workflow(
    "What does {sku} cost in {currency}?",
    lambda w, r: {"sku": r.choice(sorted(w.shop.products)), "currency": r.choice(CURRENCIES)},
    "dictionary parameter constant",
    shop=Shop,
)
def price_in_currency(do: Agent, sku: str, currency: str) -> None:
    do("shop.get_product", sku=sku)
    table = do("shop.rates", base="EUR")
    do("shop.price_in", sku=sku, currency=currency, rate=table["rates"][currency])


def order_and_city(w: Any, r: Any) -> dict[str, Any]:
    id = in_status("pending")(w, r)["order_id"]
    return {"order_id": id, "city": r.choice(w.shop.customers[w.shop.orders[id]["customer_id"]]["addresses"])["city"]}


@workflow("Send {order_id} to the customer's address in {city}", order_and_city, "lookup parameter path", shop=Shop)
def send_to_known_address(do: Agent, order_id: str, city: str) -> None:
    order = do("shop.get_order", order_id=order_id)
    who = do("shop.get_customer", customer_id=order["customer_id"])
    address = next(a for a in who["addresses"] if a["city"] == city)
    do("shop.set_address", order_id=order_id, street=address["street"], city=city)


@workflow("Put the goods of every order of {email} back", by_email, "each nested_each path", shop=Shop)
def restock_all(do: Agent, email: str) -> None:
    found = do("shop.find_customer", email=email)
    for order in do("shop.list_orders", customer_id=found["id"], limit=50)["orders"]:
        for item in order["items"]:
            do("shop.restock", sku=item["sku"], quantity=item["quantity"])


@workflow("Open returns for what {email} may send back", by_email, "nested_each filter each", shop=Shop)
def return_returnable(do: Agent, email: str) -> None:
    found = do("shop.find_customer", email=email)
    for order_id in do("shop.get_customer", customer_id=found["id"])["orders"]:
        order = do("shop.get_order", order_id=order_id)
        if order["status"] == "delivered":
            for item in order["items"]:
                if item["returnable"]:
                    do("shop.open_return", order_id=order_id, sku=item["sku"])


@workflow("Thank {email}", by_email, "optional template", shop=Shop)
def thank_customer(do: Agent, email: str) -> None:
    found = do("shop.find_customer", email=email)
    who = do("shop.get_customer", customer_id=found["id"])
    if who["tier"] == "gold":
        do("shop.grant_perk", customer_id=found["id"], perk="free shipping")
    do("shop.message", to=email, text=f"Thank you, {who['name']['first']}!")


@workflow("Get {order_id} ready", by_order, "optional path", shop=Shop)
def print_gift_note(do: Agent, order_id: str) -> None:
    order = do("shop.get_order", order_id=order_id)
    if "gift_note" in order:
        do("shop.print_note", order_id=order_id, note=order["gift_note"])
    do("shop.label", order_id=order_id, country=order["address"]["country"])


@workflow(
    "Look through {category}",
    lambda w, r: {"category": r.choice(["home", "office", "garden"])},
    "coincidence constant",
    shop=Shop,
)
def coincident_page_size(do: Agent, category: str) -> None:
    do("shop.count_products", category=category)
    do("shop.list_products", category=category, page_size=10)


@workflow("Answer {email} about their last order", by_email, "hole free_text", shop=Shop)
def answer_in_words(do: Agent, email: str) -> None:
    found = do("shop.find_customer", email=email)
    orders = do("shop.list_orders", customer_id=found["id"], limit=10)
    r = do.rng
    status = orders["orders"][-1]["status"]
    words = [
        r.choice(["Hello", "Hi there", "Good day"]),
        f"we looked into it ({status})",
        r.choice(GOODS),
        r.choice(LAST),
    ]
    do("shop.message", to=email, text=Free(", ".join(r.sample(words, 4))))


@workflow("Refund the most expensive thing in {order_id}", by_order, "min_max path", shop=Shop)
def return_most_expensive(do: Agent, order_id: str) -> None:
    order = do("shop.get_order", order_id=order_id)
    dearest = max(order["items"], key=lambda item: item["price"])
    do("shop.open_return", order_id=order_id, sku=Free(dearest["sku"]))


@workflow("Check the first order of {email}", by_email, "list_index path", shop=Shop)
def first_order(do: Agent, email: str) -> None:
    found = do("shop.find_customer", email=email)
    orders = do("shop.get_customer", customer_id=found["id"])["orders"]
    do("shop.get_order", order_id=Free(orders[0]))


@workflow("Charge {order_id} to the primary card", in_status("pending"), "lookup filter path", shop=Shop)
def charge_primary_card(do: Agent, order_id: str) -> None:
    order = do("shop.get_order", order_id=order_id)
    cards = do("shop.get_customer", customer_id=order["customer_id"])["cards"]
    card = next(card for card in cards if card["primary"])
    do("shop.charge", card_id=card["id"], amount=order["total"], order_id=order_id)


@workflow("Ship {order_id} with the post", in_status("pending"), "lookup constant filter", shop=Shop)
def ship_by_post(do: Agent, order_id: str) -> None:
    order = do("shop.get_order", order_id=order_id)
    options = do("shop.shipping_options", city=order["address"]["city"])
    do("shop.ship", order_id=order_id, service=next(o["service"] for o in options if o["carrier"] == "post"))


@workflow("Ship {order_id} the cheapest way", in_status("pending"), "min_max", shop=Shop)
def ship_cheapest(do: Agent, order_id: str) -> None:
    order = do("shop.get_order", order_id=order_id)
    options = do("shop.shipping_options", city=order["address"]["city"])
    do("shop.ship", order_id=order_id, service=Free(min(options, key=lambda o: o["price"])["service"]))


@workflow(
    "Order {quantity} of {sku} from its supplier for {email} and write the invoice",
    lambda w, r: {
        "sku": r.choice(sorted(w.shop.products)),
        "quantity": r.randint(2, 90),
        "email": customer(w, r)["email"],
    },
    "arithmetic date path parameter",
    shop=Shop,
)
def order_and_invoice(do: Agent, sku: str, quantity: int, email: str) -> None:
    product = do("shop.get_product", sku=sku)
    found = do("shop.find_customer", email=email)
    latest = do("shop.list_orders", customer_id=found["id"], limit=1)["orders"]
    do("shop.order_from_supplier", code=product["supplier"]["code"], sku=sku, quantity=quantity)
    amount = round(product["price"] * quantity, 2)
    do("shop.invoice", customer_id=found["id"], amount=amount, day=latest[0]["placed_at"][:10])


@workflow("Print a label for {order_id}", by_order, "format path", shop=Shop)
def label_in_capitals(do: Agent, order_id: str) -> None:
    order = do("shop.get_order", order_id=order_id)
    do("shop.label", order_id=order_id, country=order["address"]["country"].upper())


@workflow("Bill {email} for everything delivered lately", by_email, "arithmetic each", shop=Shop)
def bill_sum(do: Agent, email: str) -> None:
    found = do("shop.find_customer", email=email)
    orders = do("shop.list_orders", customer_id=found["id"], limit=50)["orders"]
    total = round(sum(order["total"] for order in orders), 2)
    do("shop.invoice", customer_id=found["id"], amount=total, day="2026-11-30")


@workflow("Why is {order_id} late?", by_order, "retry_noise failed_call path", shop=Shop)
def mistyped_order(do: Agent, order_id: str) -> None:
    if do.rng.random() < 0.6:
        do.stray("shop.get_order", order_id=order_id.removeprefix("#"))
    order = do("shop.get_order", order_id=order_id)
    if do.rng.random() < 0.4:
        do.stray("shop.get_customer", customer_id=order["customer_id"][:-1])
    who = do("shop.get_customer", customer_id=order["customer_id"])
    do("shop.message", to=who["email"], text="Your order is on its way.")
