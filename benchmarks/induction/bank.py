"""A bank: accounts with numbers that look like numbers, invoices, paged transactions, secrets."""

from __future__ import annotations

from typing import Any

from benchmarks.induction.workflows import Agent, Free, Refusal, Service, read, workflow, write

FIRMS = "Alder Birch Cedar Dogwood Elm Fir Ginkgo Hazel Ivy Juniper Larch Maple".split()
SECRET = "secret://0f3a9c51d27be8640f3a9c51"


class Bank(Service):
    """Accounts, invoices and transactions; pages of three."""

    annotated = False

    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        r = rng
        self.accounts = {
            f"{r.randint(0, 99999999):08}": {
                "kind": kind,
                "owner": r.choice(FIRMS),
                "balance": r.randint(0, 900000) / 100,
                "currency": r.choice(["EUR", "CHF", "NOK"]),
                "limit": r.choice([500, 1000, 2000]),
                "branch": r.randint(100, 999),
                "overdrafts": [
                    {"day": self.stamp()[:10], "amount": r.randint(1, 900)} for _ in range(r.choice([0, 0, 2]))
                ],
                **({"frozen_by": r.choice(FIRMS)} if r.random() < 0.4 else {}),
            }
            for kind in ["current", "savings", "business", "current", "savings"]
        }
        self.invoices = {
            f"{number}": {
                "number": number,
                "state": r.choice(["due", "due", "paid", "disputed"]),
                "amount": r.randint(1000, 99999) / 100,
                "payee": {"name": r.choice(FIRMS), "iban": f"AT{r.randint(10**17, 10**18 - 1)}"},
                "account": r.choice(sorted(self.accounts)),
                "issued": self.stamp(),
            }
            for number in r.sample(range(2000, 9000), 8)
        }
        self.transactions = {
            account: [
                {
                    "id": f"t{r.randint(10000, 99999)}",
                    "amount": r.randint(1, 5000),
                    "flag": r.choice(["ok", "ok", "suspicious"]),
                }
                for _ in range(r.randint(1, 11))
            ]
            for account in self.accounts
        }

    @read
    def session(self, user: str, password: str) -> Any:
        return {"token": self.uuid(), "user": user}

    @read
    def get_account(self, account: str) -> Any:
        if account not in self.accounts:
            raise Refusal("no such account")
        return {"account": account, **self.accounts[account]}

    @read
    def my_accounts(self, token: str) -> Any:
        return {"accounts": [{"account": id, "kind": a["kind"]} for id, a in self.accounts.items()]}

    @read
    def list_invoices(self, account: str) -> Any:
        return {"invoices": [i for i in self.invoices.values() if i["account"] == account]}

    @read
    def get_invoice(self, number: str) -> Any:
        return self.invoices[number]

    @read
    def transactions_page(self, account: str, cursor: str | None = None) -> Any:
        start = int(cursor[1:]) if cursor else 0
        rows = self.transactions[account]
        more = start + 3 < len(rows)
        return {"rows": rows[start : start + 3], "next_cursor": f"c{start + 3}" if more else None}

    @read
    def fx(self, base: str) -> Any:
        return {"quotes": {c: round(self.rng.uniform(0.2, 9), 4) for c in ("EUR", "CHF", "NOK", "USD")}}

    @write
    def transfer(self, source: str, target: str, amount: float) -> Any:
        self.accounts[source]["balance"] -= amount
        return {"transfer": self.uuid(), "booked_at": self.stamp()}

    @write
    def debit(self, account: str, amount: float) -> Any:
        return {"entry": self.uuid()}

    @write
    def credit(self, account: str, amount: float) -> Any:
        return {"entry": self.uuid()}

    @write
    def pay(self, iban: str, amount: float, reference: str) -> Any:
        return {"payment": self.uuid(), "at": self.stamp()}

    @write
    def receipt(self, payment: str, at: str) -> Any:
        return {"receipt": self.uuid()}

    @write
    def flag(self, id: str, why: str) -> Any:
        return {"flagged": id}

    @write
    def open_case(self, account: str, days: int) -> Any:
        return {"case": self.rng.randint(10000, 99999)}

    @write
    def set_limit(self, account: str, limit: int) -> Any:
        self.accounts[account]["limit"] = limit
        return {"ok": True}

    @write
    def unfreeze(self, account: str, by: str) -> Any:
        return {"ok": True}

    @write
    def exchange(self, account: str, rate: float, to: str) -> Any:
        return {"deal": self.uuid()}

    @write
    def file(self, reference: str, folder: str, branch: int) -> Any:
        return {"filed": True}

    @write
    def charge_cents(self, account: str, cents: int) -> Any:
        return {"entry": self.uuid()}


def any_account(w: Any, r: Any) -> dict[str, Any]:
    return {"account": r.choice(sorted(w.bank.accounts))}


def two_accounts(w: Any, r: Any) -> dict[str, Any]:
    one, two = r.sample(sorted(w.bank.accounts), 2)
    return {"giver": one, "taker": two, "amount": r.randint(100, 9999)}


@workflow("Move {amount} from {giver} to {taker}", two_accounts, "same_names parameter numeric_ids", bank=Bank)
def move_money(do: Agent, giver: str, taker: str, amount: int) -> None:
    do("bank.debit", account=giver, amount=amount)
    do("bank.credit", account=taker, amount=amount)


@workflow("Pay what is due from {account}", any_account, "each filter empty_list template", bank=Bank)
def pay_due(do: Agent, account: str) -> None:
    for invoice in do("bank.list_invoices", account=account)["invoices"]:
        if invoice["state"] == "due":
            reference = f"Invoice {invoice['number']}"
            do("bank.pay", iban=invoice["payee"]["iban"], amount=invoice["amount"], reference=reference)


@workflow("Look for odd bookings on {account}", any_account, "paging filter each", bank=Bank)
def flag_suspicious_pages(do: Agent, account: str) -> None:
    page = do("bank.transactions_page", account=account)
    rows = list(page["rows"])
    while page["next_cursor"]:
        page = do("bank.transactions_page", account=account, cursor=page["next_cursor"])
        rows += page["rows"]
    for row in rows:
        if row["flag"] == "suspicious":
            do("bank.flag", id=row["id"], why="pattern")


@workflow("Read every page of {account}", any_account, "paging", bank=Bank)
def read_all_pages(do: Agent, account: str) -> None:
    page = do("bank.transactions_page", account=account)
    while page["next_cursor"]:
        page = do("bank.transactions_page", account=account, cursor=page["next_cursor"])


@workflow(
    "Pay invoice {number}",
    lambda w, r: {"number": r.choice(sorted(w.bank.invoices))},
    "server_made path numeric_ids",
    bank=Bank,
)
def pay_and_receipt(do: Agent, number: str) -> None:
    invoice = do("bank.get_invoice", number=number)
    paid = do("bank.pay", iban=invoice["payee"]["iban"], amount=invoice["amount"], reference=f"RF-{number}")
    do("bank.receipt", payment=paid["payment"], at=paid["at"])


@workflow(
    "File invoice {number}",
    lambda w, r: {"number": r.choice(sorted(w.bank.invoices))},
    "typed_equal template_number path",
    bank=Bank,
)
def file_invoice(do: Agent, number: str) -> None:
    # `number` is text here and a number in the result: both have the same digits in every run.
    invoice = do("bank.get_invoice", number=number)
    account = do("bank.get_account", account=invoice["account"])
    do("bank.file", reference=number, folder=f"2026-{invoice['number']}", branch=account["branch"])


@workflow(
    "Use my savings as {user}",
    lambda w, r: {"user": r.choice(FIRMS).lower()},
    "handle lookup constant",
    bank=Bank,
)
def with_password(do: Agent, user: str) -> None:
    token = do("bank.session", user=user, password=Free(SECRET))["token"]
    accounts = do("bank.my_accounts", token=token)["accounts"]
    business = next(a["account"] for a in accounts if a["kind"] == "business")
    do("bank.get_account", account=business)


@workflow("Check {account}", any_account, "optional empty_list", bank=Bank)
def case_on_overdraft(do: Agent, account: str) -> None:
    found = do("bank.get_account", account=account)
    if found["overdrafts"]:
        do("bank.open_case", account=account, days=14)
    do("bank.list_invoices", account=account)


@workflow("Release {account} if it is frozen", any_account, "optional path", bank=Bank)
def unfreeze_if_frozen(do: Agent, account: str) -> None:
    found = do("bank.get_account", account=account)
    if "frozen_by" in found:
        do("bank.unfreeze", account=account, by=found["frozen_by"])


@workflow("Double the limit of {account}", any_account, "arithmetic", bank=Bank)
def double_limit(do: Agent, account: str) -> None:
    found = do("bank.get_account", account=account)
    do("bank.set_limit", account=account, limit=found["limit"] * 2)


@workflow("Exchange {account} to dollars", any_account, "dictionary path", bank=Bank)
def exchange_by_currency(do: Agent, account: str) -> None:
    found = do("bank.get_account", account=account)
    quotes = do("bank.fx", base="USD")["quotes"]
    do("bank.exchange", account=account, rate=quotes[found["currency"]], to="USD")


@workflow(
    "Charge invoice {number} in cents",
    lambda w, r: {"number": r.choice(sorted(w.bank.invoices))},
    "arithmetic format",
    bank=Bank,
)
def charge_in_cents(do: Agent, number: str) -> None:
    invoice = do("bank.get_invoice", number=number)
    do("bank.charge_cents", account=invoice["account"], cents=round(invoice["amount"] * 100))


@workflow("Flag large bookings of {account}", any_account, "threshold", bank=Bank)
def flag_large(do: Agent, account: str) -> None:
    # Which amounts are large is in nobody's data: six runs cannot tell 3000 from 3100.
    for row in do("bank.transactions_page", account=account)["rows"]:
        if row["amount"] > 2500:
            do("bank.flag", id=Free(row["id"]), why=Free("large"))
