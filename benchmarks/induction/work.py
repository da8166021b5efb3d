"""Issues, files, travel and machines: the work of people who build and run things."""

from __future__ import annotations

from typing import Any

from benchmarks.induction.office import Mail
from benchmarks.induction.shop import CITIES, FIRST, LAST
from benchmarks.induction.workflows import Agent, Free, Refusal, Service, read, workflow, write

PARTS = "parser cache login search export upload queue report index theme".split()


class Tickets(Service):
    """Issues in queues; creating one answers a sentence."""

    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        r = rng
        self.leads = {queue: f"{r.choice(FIRST).lower()}{r.randint(10, 99)}" for queue in ("web", "core", "infra")}
        numbers = r.sample(range(101, 999), 12)
        self.tickets = {
            number: {
                "number": number,
                "title": f"{r.choice(PARTS)} {r.choice(['is slow', 'fails', 'looks odd'])}",
                "queue": r.choice(sorted(self.leads)),
                "author": f"{r.choice(FIRST).lower()}.{r.choice(LAST).lower()}",
                "label": r.choice(["bug", "bug", "idea", "question"]),
                "state": r.choice(["open", "open", "stale", "closed"]),
                "duplicates": r.sample(numbers, r.randint(0, 3)),
                "severity": r.choice(["low", "high"]),
                "comments": [{"id": r.randint(10000, 99999), "by": r.choice(FIRST)} for _ in range(r.randint(0, 3))],
            }
            for number in numbers
        }

    @read
    def get_ticket(self, number: int) -> Any:
        if number not in self.tickets:
            raise Refusal("no such ticket")
        return self.tickets[number]

    @read
    def open_tickets(self, queue: str) -> Any:
        return {"queue": queue, "tickets": [t for t in self.tickets.values() if t["queue"] == queue]}

    @read
    def get_queue(self, queue: str) -> Any:
        return {"name": queue, "lead": self.leads[queue], "size": len(self.open_tickets(queue)["tickets"])}

    @read
    def get_author(self, author: str) -> Any:
        return {"login": author, "mail": f"{author}@dev.example", "karma": len(author) * 11}

    @write
    def assign(self, number: int, owner: str) -> Any:
        return {"number": number, "owner": owner}

    @write
    def comment(self, number: int, text: str) -> Any:
        return {"comment": self.rng.randint(10000, 99999)}

    @write
    def close(self, number: int, reason: str) -> Any:
        self.tickets[number]["state"] = "closed"
        return {"number": number, "state": "closed"}

    @write
    def close_many(self, numbers: list[int]) -> Any:
        return {"closed": len(numbers)}

    @write
    def create(self, title: str, queue: str) -> Any:
        number = self.rng.randint(1000, 9999)
        self.tickets[number] = {"number": number, "title": title, "queue": queue}
        return f"Created ticket {number}: {title}"

    @write
    def label(self, number: int, label: str) -> Any:
        return {"number": number, "label": label}

    @write
    def hide_comment(self, number: int, comment: int) -> Any:
        return {"hidden": comment}


class Files(Service):
    """Folders of files with contents."""

    annotated = False

    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        r = rng
        self.folders = {
            f"{r.choice(PARTS)}/{name.lower()}": [
                {
                    "name": f"{part}_{r.randint(1, 99)}.{kind}",
                    "kind": kind,
                    "size": r.randint(10, 9000),
                }
                for part, kind in [
                    (r.choice(PARTS), r.choice(["log", "md", "py", "log"])) for _ in range(r.randint(2, 6))
                ]
            ]
            for name in r.sample(LAST, 6)
        }

    @read
    def list_folder(self, path: str) -> Any:
        if path not in self.folders:
            raise Refusal("no such folder")
        return {"path": path, "entries": self.folders[path]}

    @read
    def read_file(self, path: str) -> Any:
        folder, _, name = path.rpartition("/")
        if not any(entry["name"] == name for entry in self.folders.get(folder, [])):
            raise Refusal("no such file")
        return {"path": path, "content": f"# {name}\n{abs(hash_of(path)) % 10**9}\n", "lines": 2}

    @write
    def write_file(self, path: str, content: str) -> Any:
        return {"path": path, "bytes": len(content)}

    @write
    def delete_file(self, path: str) -> Any:
        return {"deleted": path}


def hash_of(text: str) -> int:
    return sum((index + 1) * ord(letter) * 7919 for index, letter in enumerate(text))


class Travel(Service):
    """Flights, travellers and reservations."""

    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        r = rng
        self.travellers = {
            f"{first.lower()}_{r.randint(1000, 9999)}": {
                "saved": [
                    {
                        "first_name": a,
                        "last_name": b,
                        "dob": f"19{r.randint(50, 99)}-0{r.randint(1, 9)}-1{r.randint(0, 9)}",
                    }
                    for a, b in zip(r.sample(FIRST, 3), r.sample(LAST, 3), strict=True)
                ],
                "cards": {f"cc{r.randint(1000, 9999)}": {"last4": str(r.randint(1000, 9999))} for _ in range(2)},
                "member": r.choice(["regular", "silver", "gold"]),
            }
            for first in r.sample(FIRST, 6)
        }
        self.reservations = {
            f"R{r.randint(10000, 99999)}": {
                "traveller": r.choice(sorted(self.travellers)),
                "payments": [
                    {"payment_id": f"pay{r.randint(1000, 9999)}", "amount": r.randint(50, 900)}
                    for _ in range(r.randint(1, 3))
                ],
                "flights": [
                    {"number": f"DR{r.randint(100, 999)}", "day": self.stamp()[:10], "seats": r.randint(1, 4)}
                    for _ in range(r.randint(1, 3))
                ],
                "insured": r.choice(["yes", "no"]),
            }
            for _ in range(7)
        }

    @read
    def search(self, origin: str, destination: str, day: str) -> Any:
        r = self.rng
        return [
            {"number": f"DR{n}", "price": r.randint(60, 900), "stops": r.randint(0, 2), "seats": r.randint(0, 9)}
            for n in sorted(FLIGHTS)
        ]

    @read
    def get_traveller(self, traveller: str) -> Any:
        return {"traveller": traveller, **self.travellers[traveller]}

    @read
    def get_reservation(self, reservation: str) -> Any:
        return {"reservation": reservation, **self.reservations[reservation]}

    @read
    def flight_status(self, number: str, day: str) -> Any:
        return {"number": number, "status": ["on time", "late", "cancelled"][hash_of(number + day) % 3]}

    @write
    def book(self, flight: str, price: int, passengers: list[dict[str, Any]], traveller: str) -> Any:
        return {"reservation": f"R{self.rng.randint(10000, 99999)}"}

    @write
    def refund(self, payment_id: str, amount: int) -> Any:
        return {"refund": self.uuid()}

    @write
    def cancel(self, reservation: str) -> Any:
        return {"reservation": reservation, "cancelled_at": self.stamp()}

    @write
    def voucher(self, traveller: str, amount: int) -> Any:
        return {"voucher": self.uuid()}

    @write
    def rebook(self, reservation: str, number: str, day: str) -> Any:
        return {"ok": True}


FLIGHTS = [110, 220, 330, 440, 550]


class Machines(Service):
    """Services, builds, pods and keys."""

    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        r = rng
        self.nodes = [f"node-{letter}{r.randint(1, 9)}" for letter in "abc"]
        self.apps = {
            name: {
                "app": name,
                "replicas": r.randint(2, 40),
                "build": {"id": f"b{r.randint(10000, 99999)}", "commit": r.randbytes(4).hex()},
                "region": r.choice(["eu", "us"]),
                "healthy": r.random() < 0.5,
                "pods": [
                    {"pod": f"{name}-{r.randbytes(3).hex()}", "node": r.choice(self.nodes)}
                    for _ in range(r.randint(2, 7))
                ],
                "keys": [{"key": r.randbytes(3).hex(), "age": r.randint(1, 200)} for _ in range(r.randint(1, 5))],
            }
            for name in r.sample(PARTS, 6)
        }
        self.polls: dict[str, int] = {}

    @read
    def get_app(self, app: str) -> Any:
        return self.apps[app]

    @read
    def list_pods(self, app: str) -> Any:
        return {"pods": self.apps[app]["pods"]}

    @read
    def deployment(self, id: str) -> Any:
        self.polls[id] = self.polls.get(id, self.rng.randint(1, 4)) - 1
        return {"id": id, "state": "running" if self.polls[id] > 0 else "done"}

    @write
    def deploy(self, app: str, build: str, env: str) -> Any:
        return {"deployment": self.uuid()}

    @write
    def scale(self, app: str, replicas: int) -> Any:
        return {"app": app, "replicas": replicas}

    @write
    def restart(self, pod: str) -> Any:
        return {"restarted": pod, "at": self.stamp()}

    @write
    def page(self, team: str, text: str) -> Any:
        return {"page": self.uuid()}

    @write
    def announce(self, channel: str, text: str) -> Any:
        return {"ok": True}


def a_ticket(w: Any, r: Any) -> dict[str, Any]:
    return {"number": r.choice(sorted(w.tickets.tickets))}


def a_queue(w: Any, r: Any) -> dict[str, Any]:
    return {"queue": r.choice(sorted({t["queue"] for t in w.tickets.tickets.values()}))}


def a_folder(w: Any, r: Any) -> dict[str, Any]:
    return {"path": r.choice(sorted(w.files.folders))}


def a_reservation(w: Any, r: Any) -> dict[str, Any]:
    return {"reservation": r.choice(sorted(w.travel.reservations))}


def an_app(w: Any, r: Any) -> dict[str, Any]:
    return {"app": r.choice(sorted(w.machines.apps))}


@workflow("Give the bugs of {queue} to the lead", a_queue, "each filter path template", tickets=Tickets)
def triage(do: Agent, queue: str) -> None:
    lead = do("tickets.get_queue", queue=queue)["lead"]
    for ticket in do("tickets.open_tickets", queue=queue)["tickets"]:
        if ticket["label"] == "bug":
            do("tickets.assign", number=ticket["number"], owner=lead)
            do("tickets.comment", number=ticket["number"], text=f"@{lead} please look at #{ticket['number']}")


@workflow(
    "File in {queue} that {title}",
    lambda w, r: {"queue": r.choice(sorted(w.tickets.leads)), "title": f"{r.choice(PARTS)} of {r.choice(LAST)} breaks"},
    "extraction sentence parameter",
    tickets=Tickets,
)
def create_and_label(do: Agent, queue: str, title: str) -> None:
    text = do("tickets.create", title=title, queue=queue)
    number = int(text.split("ticket ")[1].split(":")[0])
    do("tickets.label", number=number, label="bug")


@workflow("Close the duplicates of {number}", a_ticket, "each template empty_list", tickets=Tickets)
def close_duplicates(do: Agent, number: int) -> None:
    for other in do("tickets.get_ticket", number=number)["duplicates"]:
        do("tickets.close", number=other, reason=f"duplicate of #{number}")


@workflow("Close what is stale in {queue}", a_queue, "each filter list_argument", tickets=Tickets)
def close_stale(do: Agent, queue: str) -> None:
    found = do("tickets.open_tickets", queue=queue)["tickets"]
    do("tickets.close_many", numbers=[ticket["number"] for ticket in found if ticket["state"] == "stale"])


@workflow(
    "{wish} {number}",
    lambda w, r: {**a_ticket(w, r), "wish": r.choice(["Take care of", "Get rid of"])},
    "shared_prefix path",
    tickets=Tickets,
)
def two_with_one_beginning(do: Agent, number: int, wish: str) -> None:
    # Two workflows that begin alike, recorded as one; the words of the user tell them apart, no data does.
    ticket = do("tickets.get_ticket", number=number)
    queue = do("tickets.get_queue", queue=ticket["queue"])
    if wish == "Take care of":
        do("tickets.assign", number=Free(number), owner=Free(queue["lead"]))
    else:
        do("tickets.close", number=Free(number), reason=Free("not ours"))


@workflow("Who wrote {number}?", a_ticket, "retry_noise path", tickets=Tickets, mail=Mail)
def read_twice(do: Agent, number: int) -> None:
    ticket = do("tickets.get_ticket", number=number)
    if do.rng.random() < 0.5:
        do.stray("tickets.get_ticket", number=number)
    author = do("tickets.get_author", author=ticket["author"])
    if do.rng.random() < 0.4:
        do.stray("tickets.get_author", author=ticket["author"])
    do("mail.send", to=author["mail"], subject=f"Re: {ticket['title']}", body="We are on it.")


@workflow("Collect what is known about {number}", a_ticket, "parallel path", tickets=Tickets)
def collect_in_any_order(do: Agent, number: int) -> None:
    ticket = do("tickets.get_ticket", number=number)
    queue, author = do.together(
        ("tickets.get_queue", {"queue": ticket["queue"]}), ("tickets.get_author", {"author": ticket["author"]})
    )
    do("tickets.comment", number=number, text=f"{author['login']} / {queue['lead']} / {queue['size']} in the queue")


@workflow("Hide all comments of {number}", a_ticket, "each empty_list same_names", tickets=Tickets)
def hide_comments(do: Agent, number: int) -> None:
    for comment in do("tickets.get_ticket", number=number)["comments"]:
        do("tickets.hide_comment", number=number, comment=comment["id"])


@workflow("Sum up {number}", a_ticket, "free_text hole", tickets=Tickets)
def summarize(do: Agent, number: int) -> None:
    ticket = do("tickets.get_ticket", number=number)
    r = do.rng
    text = f"{r.choice(FIRST)} says the {ticket['title'].split()[0]} {r.choice(['needs', 'wants'])} {r.choice(PARTS)}"
    do("tickets.comment", number=number, text=Free(text))


@workflow(
    "Back up {path}",
    lambda w, r: {
        "path": (f := r.choice(sorted(w.files.folders))) + "/" + r.choice(w.files.folders[f])["name"],
    },
    "template path",
    files=Files,
)
def back_up(do: Agent, path: str) -> None:
    content = do("files.read_file", path=path)["content"]
    do("files.write_file", path=f"{path}.bak", content=content)


@workflow("Delete the logs in {path}", a_folder, "each filter template", files=Files)
def delete_logs(do: Agent, path: str) -> None:
    for entry in do("files.list_folder", path=path)["entries"]:
        if entry["kind"] == "log":
            do("files.delete_file", path=f"{path}/{entry['name']}")


@workflow("Copy {path} to the archive", a_folder, "each nested_each template path", files=Files)
def archive_folder(do: Agent, path: str) -> None:
    for entry in do("files.list_folder", path=path)["entries"]:
        found = do("files.read_file", path=f"{path}/{entry['name']}")
        do("files.write_file", path=f"archive/{path}/{entry['name']}", content=found["content"])


@workflow("Write up what is in {path}", a_folder, "free_text each", files=Files)
def write_up(do: Agent, path: str) -> None:
    entries = do("files.list_folder", path=path)["entries"]
    for entry in entries:
        do("files.read_file", path=f"{path}/{entry['name']}")
    words = " ".join(do.rng.sample(PARTS, 5))
    do("files.write_file", path=f"{path}/SUMMARY.md", content=Free(words))


def a_trip(w: Any, r: Any) -> dict[str, Any]:
    one, two = r.sample(CITIES, 2)
    who = r.choice(sorted(w.travel.travellers))
    day = f"2026-1{r.randint(0, 2)}-{r.randint(1, 28):02}"
    return {"traveller": who, "origin": one, "destination": two, "day": day, "flight": f"DR{r.choice(FLIGHTS)}"}


@workflow(
    "Book {flight} from {origin} to {destination} on {day} for {traveller} and all saved travellers",
    a_trip,
    "lookup nested_object each parameter",
    travel=Travel,
)
def book_flight(do: Agent, traveller: str, origin: str, destination: str, day: str, flight: str) -> None:
    who = do("travel.get_traveller", traveller=traveller)
    do("travel.flight_status", number=flight, day=day)
    found = do("travel.search", origin=origin, destination=destination, day=day)
    price = next(f["price"] for f in found if f["number"] == flight)
    do("travel.book", flight=flight, price=price, passengers=who["saved"], traveller=traveller)


@workflow("Cancel {reservation} and pay everything back", a_reservation, "each path nested_object", travel=Travel)
def cancel_with_refunds(do: Agent, reservation: str) -> None:
    for payment in do("travel.get_reservation", reservation=reservation)["payments"]:
        do("travel.refund", payment_id=payment["payment_id"], amount=payment["amount"])
    do("travel.cancel", reservation=reservation)


@workflow("Are the flights of {reservation} on time?", a_reservation, "each parallel path", travel=Travel)
def check_flights(do: Agent, reservation: str) -> None:
    found = do("travel.get_reservation", reservation=reservation)
    calls = [("travel.flight_status", {"number": f["number"], "day": f["day"]}) for f in found["flights"]]
    do.together(*calls)


@workflow("Compensate {reservation}", a_reservation, "optional arithmetic path", travel=Travel)
def compensate_insured(do: Agent, reservation: str) -> None:
    found = do("travel.get_reservation", reservation=reservation)
    if found["insured"] == "yes":
        total = sum(payment["amount"] for payment in found["payments"])
        do("travel.voucher", traveller=found["traveller"], amount=total)
    do("travel.cancel", reservation=reservation)


@workflow("Roll {app} out", an_app, "constant path server_made", machines=Machines)
def roll_out(do: Agent, app: str) -> None:
    found = do("machines.get_app", app=app)
    made = do("machines.deploy", app=app, build=found["build"]["id"], env="production")
    do("machines.announce", channel="#deploys", text=f"{app} {found['build']['commit']}: {made['deployment']}")


@workflow("Roll {app} out and wait", an_app, "polling server_made", machines=Machines)
def roll_out_and_wait(do: Agent, app: str) -> None:
    found = do("machines.get_app", app=app)
    made = do("machines.deploy", app=app, build=found["build"]["id"], env="production")
    while do("machines.deployment", id=made["deployment"])["state"] != "done":
        pass
    do("machines.announce", channel="#deploys", text=f"{app} is out")


@workflow("Give {app} three more replicas", an_app, "arithmetic", machines=Machines)
def three_more(do: Agent, app: str) -> None:
    found = do("machines.get_app", app=app)
    do("machines.scale", app=app, replicas=found["replicas"] + 3)


@workflow(
    "Restart what {app} runs on {node}",
    lambda w, r: {**an_app(w, r), "node": r.choice(w.machines.nodes)},
    "each filter parameter",
    machines=Machines,
)
def restart_on_node(do: Agent, app: str, node: str) -> None:
    do("machines.announce", channel="#ops", text=f"Restarting {app} on {node}")
    for pod in do("machines.list_pods", app=app)["pods"]:
        if pod["node"] == node:
            do("machines.restart", pod=pod["pod"])


@workflow("Page somebody if {app} is down", an_app, "optional template constant", machines=Machines)
def page_if_down(do: Agent, app: str) -> None:
    found = do("machines.get_app", app=app)
    if not found["healthy"]:
        do("machines.page", team="sre", text=f"{app} in {found['region']} is down")
