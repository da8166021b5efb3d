"""Work that a stranger wrote down before looking at the other workflows: what agents do all day in other domains.

Diaries, tickets, builds, repositories, invoices, contacts, projects, listings, a wiki, a fleet, a mail box.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any
from urllib.parse import parse_qs, urlparse

from benchmarks.induction.shop import FIRST, LAST
from benchmarks.induction.workflows import Agent, Refusal, Service, read, workflow, write


def person(r: Any) -> str:
    return f"{r.choice(FIRST)} {r.choice(LAST)}"


def coded(r: Any, p: str, n: int = 5) -> str:
    return p + "".join(r.choice("0123456789abcdef") for _ in range(n))


def some_day(r: Any) -> str:
    return (dt.date(2026, 1, 1) + dt.timedelta(days=r.randint(0, 600))).isoformat()


class Stateful(Service):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        self.n = 0
        self.setup(rng)

    def setup(self, r: Any) -> None:
        pass

    def new(self, p: str) -> str:
        self.n += 1
        return coded(random.Random(f"{self.rng.random()}"), p, 8)


class Agenda(Stateful):
    def setup(self, r: Any) -> None:
        self.people = []
        for i in range(6):
            n = person(r)
            self.people.append(
                {
                    "id": coded(r, "u_"),
                    "name": n,
                    "email": n.lower().replace(" ", ".") + f"{i}@corp.example",
                    "tz": "Europe/Berlin",
                }
            )
        self.events = {}

    @read
    def find_person(self, name: Any) -> Any:
        m = [p for p in self.people if p["name"] == name]
        if not m:
            raise Refusal("nobody")
        return m[0]

    @read
    def list_busy(self, person_id: Any, day: Any) -> Any:
        return {"person_id": person_id, "day": day, "busy": []}

    @write
    def create_event(self, **a: Any) -> Any:
        i = self.new("ev_")
        self.events[i] = a
        return {"id": i, "link": f"https://cal.example/e/{i}", "status": "confirmed"}

    @write
    def invite(self, event_id: Any, emails: Any) -> Any:
        return {"sent": len(emails)}


def cal_inputs(w: Any, r: Any) -> dict[str, Any]:
    p = r.choice(w.cal.people)
    d = some_day(r)
    h = r.randint(8, 16)
    m = r.choice([0, 15, 30, 45])
    return {
        "name": p["name"],
        "topic": r.choice(["Budget review", "Hiring sync", "Roadmap", "1:1 chat", "Postmortem", "Design critique"]),
        "start": f"{d}T{h:02}:{m:02}:00",
    }


@workflow("Book a {topic} with {name} at {start}", cal_inputs, "date template parameter", cal=Agenda)
def cal_meeting(do: Agent, name: Any, topic: Any, start: Any) -> None:
    p = do("cal.find_person", name=name)
    do("cal.list_busy", person_id=p["id"], day=start[:10])
    end = (dt.datetime.fromisoformat(start) + dt.timedelta(minutes=30)).isoformat()
    e = do("cal.create_event", title=f"{topic} with {p['name'].split()[0]}", start=start, end=end, organizer=p["id"])
    do("cal.invite", event_id=e["id"], emails=[p["email"]])


class Tickets(Stateful):
    def setup(self, r: Any) -> None:
        prods = ["billing", "search", "mobile", "export", "login"]
        self.teams = [
            {"product": p, "team_id": coded(r, "t_"), "lead": {"name": person(r), "slack": coded(r, "U", 6)}}
            for p in prods
        ]
        r.shuffle(self.teams)
        self.tickets = {}
        for _ in range(9):
            i = r.randint(10000, 99999)
            self.tickets[i] = {
                "id": i,
                "product": r.choice(prods),
                "severity": r.choice(["critical", "normal", "low"]),
                "subject": r.choice(["Cannot pay", "No results", "App crashes", "CSV is empty", "2FA fails"])
                + f" #{r.randint(2, 99)}",
                "reporter": person(r),
                "tags": [],
            }

    @read
    def get_ticket(self, ticket_id: Any) -> Any:
        if ticket_id not in self.tickets:
            raise Refusal("no ticket")
        return self.tickets[ticket_id]

    @read
    def list_teams(self) -> Any:
        return {"teams": self.teams}

    @write
    def assign(self, ticket_id: Any, team_id: Any) -> Any:
        self.tickets[ticket_id]["team"] = team_id
        return {"ok": True}

    @write
    def page_oncall(self, user: Any, message: Any) -> Any:
        return {"page_id": self.new("pg_")}

    @write
    def set_priority(self, ticket_id: Any, priority: Any) -> Any:
        return {"ok": True}

    @write
    def comment(self, ticket_id: Any, text: Any) -> Any:
        return {"ok": True}

    @write
    def set_flags(self, ticket_id: Any, urgent: Any) -> Any:
        return {"ok": True}


def tick_inputs(w: Any, r: Any) -> dict[str, Any]:
    return {"ticket": r.choice(list(w.desk.tickets))}


@workflow("Set the priority of ticket {ticket}", tick_inputs, "lookup typed_equal", desk=Tickets)
def enum_priority(do: Agent, ticket: Any) -> None:
    t = do("desk.get_ticket", ticket_id=ticket)
    do("desk.set_priority", ticket_id=ticket, priority={"critical": "P1", "normal": "P3", "low": "P4"}[t["severity"]])


@workflow("Mark ticket {ticket} by urgency", tick_inputs, "lookup typed_equal", desk=Tickets)
def bool_derived(do: Agent, ticket: Any) -> None:
    t = do("desk.get_ticket", ticket_id=ticket)
    do("desk.set_flags", ticket_id=ticket, urgent=t["severity"] == "critical")


class Builds(Stateful):
    def setup(self, r: Any) -> None:
        self.runs = {}
        for _ in range(4):
            i = r.randint(10**9, 10**10)
            names = r.sample(["lint", "unit", "e2e", "docs", "build-linux", "build-mac", "wheel"], r.randint(3, 6))
            jobs = [
                {
                    "job_id": r.randint(10**10, 10**11),
                    "name": n,
                    "conclusion": r.choice(["success", "failure", "failure", "cancelled"]),
                    "attempt": 1,
                }
                for n in names
            ]
            self.runs[i] = {
                "run_id": i,
                "branch": "feature/" + coded(r, "x"),
                "head_sha": coded(r, "", 12),
                "jobs": jobs,
            }
        self.polls = r.randint(1, 3)

    @write
    def dispatch(self, workflow: Any, ref: Any) -> Any:
        self.left = self.polls
        self.cur = self.new("wr_")
        return {"id": self.cur, "status": "queued"}

    @read
    def get_dispatch(self, id: Any) -> Any:
        if self.left > 0:
            self.left -= 1
            return {"id": id, "status": "in_progress", "artifact": None}
        return {
            "id": id,
            "status": "completed",
            "artifact": {"url": f"https://ci.example/a/{id}.zip", "size": sized(id)},
        }

    @write
    def comment(self, sha: Any, body: Any) -> Any:
        return {"ok": True}


def sized(i: str) -> int:
    return random.Random(i).randint(1000, 99999)


@workflow(
    "Build {workflow} for {ref} and say where the artifact is on {sha}",
    lambda w, r: {
        "workflow": r.choice(["release.yml", "nightly.yml", "docs.yml"]),
        "ref": "refs/heads/" + coded(r, "b"),
        "sha": coded(r, "", 12),
    },
    "polling server_made template",
    ci=Builds,
)
def ci_poll(do: Agent, workflow: Any, ref: Any, sha: Any) -> None:
    d = do("ci.dispatch", workflow=workflow, ref=ref)
    while True:
        s = do("ci.get_dispatch", id=d["id"])
        if s["status"] == "completed":
            break
    do("ci.comment", sha=sha, body=f"Artifact: {s['artifact']['url']}")


class Repositories(Stateful):
    def setup(self, r: Any) -> None:
        self.repos = {}
        for _ in range(5):
            owner, kind = r.choice(["acme", "globex", "initech"]), r.choice(["api", "web", "cli", "infra"])
            n = f"{owner}/{kind}-{r.randint(1, 99)}"
            self.repos[n] = {
                "full_name": n,
                "default_branch": r.choice(["main", "master", "trunk"]),
                "private": r.random() < 0.5,
                "owner": {"login": n.split("/")[0]},
            }

    @read
    def get_repo(self, owner: Any, repo: Any) -> Any:
        k = f"{owner}/{repo}"
        if k not in self.repos:
            raise Refusal("404")
        return self.repos[k]

    @write
    def create_branch(self, repo: Any, name: Any, base: Any) -> Any:
        return {"ref": f"refs/heads/{name}", "sha": self.new("")}

    @write
    def open_pull(self, **a: Any) -> Any:
        return {"number": self.rng.randint(100, 999)}

    @write
    def label(self, repo: Any, number: Any, labels: Any) -> Any:
        return {"ok": True}


def rel_inputs(w: Any, r: Any) -> dict[str, Any]:
    return {"full": r.choice(list(w.git.repos)), "version": f"{r.randint(0, 9)}.{r.randint(0, 20)}.{r.randint(0, 9)}"}


@workflow("Open the release {version} of {full}", rel_inputs, "template constant path", git=Repositories)
def git_release(do: Agent, full: Any, version: Any) -> None:
    owner, repo = full.split("/")
    g = do("git.get_repo", owner=owner, repo=repo)
    do("git.create_branch", repo=g["full_name"], name=f"release/{version}", base=g["default_branch"])
    p = do(
        "git.open_pull",
        repo=full,
        title=f"Release {version}",
        head=f"release/{version}",
        base=g["default_branch"],
        draft=True,
    )
    do("git.label", repo=full, number=p["number"], labels=["release", "automated"])


class Invoices(Stateful):
    def setup(self, r: Any) -> None:
        self.inv = {}
        for _ in range(6):
            i = f"INV-{r.randint(2024, 2026)}-{r.randint(1000, 9999)}"
            lines = [
                {"sku": coded(r, "SKU"), "qty": r.randint(1, 9), "unit_price": r.randint(100, 99999) / 100}
                for _ in range(r.randint(1, 4))
            ]
            tot = round(sum(line["qty"] * line["unit_price"] for line in lines), 2)
            self.inv[i] = {
                "number": i,
                "customer": {"id": coded(r, "c_"), "name": person(r), "country": "DE"},
                "lines": lines,
                "net": tot,
                "currency": "EUR",
                "issued": some_day(r),
                "status": r.choice(["open", "paid", "void"]),
            }

    @read
    def get_invoice(self, number: Any) -> Any:
        return self.inv[number]

    @write
    def create_credit_note(self, **a: Any) -> Any:
        return {"number": self.new("CN-")}

    @write
    def email(self, **a: Any) -> Any:
        return {"queued": True}

    @write
    def schedule(self, **a: Any) -> Any:
        return {"ok": True}


def inv_inputs(w: Any, r: Any) -> dict[str, Any]:
    return {"number": r.choice(list(w.inv.inv))}


@workflow("Credit invoice {number}", inv_inputs, "arithmetic path", inv=Invoices)
def inv_vat(do: Agent, number: Any) -> None:
    v = do("inv.get_invoice", number=number)
    c = do(
        "inv.create_credit_note",
        invoice=number,
        customer_id=v["customer"]["id"],
        net=v["net"],
        gross=round(v["net"] * 1.19, 2),
        currency=v["currency"],
    )
    do("inv.email", customer_id=v["customer"]["id"], subject=f"Credit note {c['number']} for {number}")


@workflow("Return everything of invoice {number}", inv_inputs, "each list_argument nested_object", inv=Invoices)
def inv_lines(do: Agent, number: Any) -> None:
    v = do("inv.get_invoice", number=number)
    do(
        "inv.create_credit_note",
        invoice=number,
        items=[{"sku": line["sku"], "quantity": line["qty"]} for line in v["lines"]],
        reason="return",
    )


@workflow("Remind of invoice {number}", inv_inputs, "date path", inv=Invoices)
def inv_due(do: Agent, number: Any) -> None:
    v = do("inv.get_invoice", number=number)
    due = dt.date.fromisoformat(v["issued"]) + dt.timedelta(days=14)
    do("inv.schedule", invoice=number, on=due.isoformat(), kind="reminder")


class Contacts(Stateful):
    def setup(self, r: Any) -> None:
        self.c = []
        for k in range(8):
            n = person(r)
            first, last = n.split()
            self.c.append(
                {
                    "contact_id": r.randint(10**5, 10**6),
                    "Full Name": n,
                    "first": first,
                    "last": last,
                    "email": f"{first}.{last}{k}@{r.choice(['acme', 'globex', 'umbrella', 'wayne'])}.example".lower(),
                    "phone": f"+49 {r.randint(150, 179)} {r.randint(1000000, 9999999)}",
                    "sys.owner": coded(r, "own_"),
                    "manager": {"id": coded(r, "m_"), "email": coded(r, "boss") + "@corp.example"}
                    if r.random() < 0.5
                    else None,
                    "plan": r.choice(["free", "team", "enterprise"]),
                    "vip": r.random() < 0.5,
                    "notes": None,
                }
            )
        self.companies = {
            d + ".example": {
                "domain": d + ".example",
                "company_id": coded(r, "co_"),
                "segment": r.choice(["smb", "mid"]),
            }
            for d in ["acme", "globex", "umbrella", "wayne"]
        }

    @read
    def search_contacts(self, query: Any) -> Any:
        return {"results": [c for c in self.c if query in (c["email"], c["Full Name"])], "query": query}

    @read
    def get_contact(self, contact_id: Any) -> Any:
        return next(c for c in self.c if c["contact_id"] == contact_id)

    @read
    def find_company(self, domain: Any) -> Any:
        return self.companies[domain]

    @write
    def send_mail(self, **a: Any) -> Any:
        return {"id": self.new("ml_")}

    @write
    def create_contact(self, **a: Any) -> Any:
        i = self.rng.randint(10**5, 10**6)
        return {"contact_id": i, "created": True}

    @write
    def update_contact(self, contact_id: Any, fields: Any) -> Any:
        return {"contact_id": contact_id, "created": False}

    @write
    def log_activity(self, **a: Any) -> Any:
        return {"ok": True}

    @write
    def link(self, contact_id: Any, company_id: Any) -> Any:
        return {"ok": True}


def crm_inputs(w: Any, r: Any) -> dict[str, Any]:
    return {"cid": r.choice(w.crm.c)["contact_id"]}


@workflow(
    "Save {first} {last} <{email}> as a contact",
    lambda w, r: (
        lambda c, new: {
            "first": c["first"],
            "last": c["last"],
            "email": coded(r, "new") + "@acme.example" if new else c["email"],
        }
    )(r.choice(w.crm.c), r.random() < 0.5),
    "either_or empty_list",
    crm=Contacts,
)
def upsert(do: Agent, first: Any, last: Any, email: Any) -> None:
    f = do("crm.search_contacts", query=email)["results"]
    if f:
        do("crm.update_contact", contact_id=f[0]["contact_id"], fields={"First Name": first, "Last Name": last})
    else:
        do("crm.create_contact", email=email, first=first, last=last)


@workflow("Link contact {cid} with its company", crm_inputs, "extraction path", crm=Contacts)
def email_domain(do: Agent, cid: Any) -> None:
    c = do("crm.get_contact", contact_id=cid)
    o = do("crm.find_company", domain=c["email"].split("@")[1])
    do("crm.link", contact_id=cid, company_id=o["company_id"])


@workflow("Tell {cid} and the manager if any", crm_inputs, "optional path", crm=Contacts)
def optional_present(do: Agent, cid: Any) -> None:
    c = do("crm.get_contact", contact_id=cid)
    do("crm.send_mail", to=c["email"], template="renewal", owner=c["sys.owner"])
    if c["manager"]:
        do("crm.send_mail", to=c["manager"]["email"], template="renewal-cc", owner=c["sys.owner"])
    do("crm.log_activity", contact_id=cid, kind="renewal", note=None)


@workflow("Greet {cid}", crm_inputs, "either_or path", crm=Contacts)
def cond_value(do: Agent, cid: Any) -> None:
    c = do("crm.get_contact", contact_id=cid)
    do("crm.send_mail", to=c["email"], template="gold" if c["vip"] else "standard", owner=c["sys.owner"])


class Projects(Stateful):
    def setup(self, r: Any) -> None:
        self.team = {coded(r, "team_"): [] for _ in range(4)}
        self.tasks = {}
        self.people = [person(r) for _ in range(3)]
        for t in self.team:
            for _ in range(r.randint(1, 3)):
                p = coded(r, "p_")
                self.team[t].append({"project_id": p, "title": r.choice(["Alpha", "Beta", "Gamma"]) + coded(r, "")})
                self.tasks[p] = [
                    {
                        "task_id": coded(r, "tk_"),
                        "state": r.choice(["open", "open", "done"]),
                        "assignee": r.choice(self.people),
                        "estimate": r.randint(1, 13),
                        "due": some_day(r),
                    }
                    for _ in range(r.randint(0, 4))
                ]

    @read
    def list_projects(self, team_id: Any) -> Any:
        return self.team[team_id]

    @read
    def list_tasks(self, project_id: Any) -> Any:
        return {"tasks": self.tasks[project_id]}

    @write
    def close_task(self, task_id: Any) -> Any:
        return {"ok": True}

    @write
    def report(self, team_id: Any, text: Any) -> Any:
        return {"ok": True}


def team_inputs(w: Any, r: Any) -> dict[str, Any]:
    return {"team": r.choice(list(w.pj.team))}


@workflow("Close open tasks of team {team}", team_inputs, "nested_each filter", pj=Projects)
def nested_filter(do: Agent, team: Any) -> None:
    for p in do("pj.list_projects", team_id=team):
        for t in do("pj.list_tasks", project_id=p["project_id"])["tasks"]:
            if t["state"] == "open":
                do("pj.close_task", task_id=t["task_id"])


@workflow("Report the titles of team {team}", team_inputs, "each collected template", pj=Projects)
def join_names(do: Agent, team: Any) -> None:
    ps = do("pj.list_projects", team_id=team)
    do("pj.report", team_id=team, text=", ".join(p["title"] for p in ps))


class Listing(Stateful):
    def setup(self, r: Any) -> None:
        self.items = {
            a: [{"id": coded(r, "it_"), "active": r.random() < 0.6} for _ in range(r.randint(1, 11))]
            for a in [coded(r, "acc_") for _ in range(4)]
        }
        self.acc = list(self.items)
        self.hidden = {}

    @read
    def list_page(self, account: Any, page: Any) -> Any:
        s = (page - 1) * 3
        return {
            "items": self.items[account][s : s + 3],
            "page": page,
            "pages": -(-len(self.items[account]) // 3),
            "has_more": s + 3 < len(self.items[account]),
        }

    @read
    def fetch(self, url: Any) -> Any:
        q = parse_qs(urlparse(url).query)
        a = q["account"][0]
        p = int(q.get("p", ["1"])[0])
        s = (p - 1) * 3
        n = f"https://api.example/items?account={a}&p={p + 1}" if s + 3 < len(self.items[a]) else None
        return {"data": self.items[a][s : s + 3], "links": {"next": n, "self": url}}

    @write
    def archive(self, id: Any) -> Any:
        return {"ok": True}


def pg_inputs(w: Any, r: Any) -> dict[str, Any]:
    return {"account": r.choice(w.pg.acc)}


@workflow("Archive everything of {account} (pages)", pg_inputs, "paging each", pg=Listing)
def page_number(do: Agent, account: Any) -> None:
    p = 1
    al = []
    while True:
        got = do("pg.list_page", account=account, page=p)
        al += got["items"]
        if not got["has_more"]:
            break
        p += 1
    for i in al:
        do("pg.archive", id=i["id"])


@workflow(
    "Archive everything at {url}",
    lambda w, r: {"url": "https://api.example/items?account=" + r.choice(w.pg.acc)},
    "paging each",
    pg=Listing,
)
def page_link(do: Agent, url: Any) -> None:
    got = do("pg.fetch", url=url)
    al = got["data"]
    while got["links"]["next"]:
        got = do("pg.fetch", url=got["links"]["next"])
        al = al + got["data"]
    for i in al:
        do("pg.archive", id=i["id"])


class Wiki(Stateful):
    def setup(self, r: Any) -> None:
        self.docs = {}
        for _ in range(6):
            t = " ".join(
                r.sample("Quick Guide Setup Cloud Team Notes Über Café Naïve Plan Map Data".split(), r.randint(2, 4))
            )
            i = coded(r, "d_")
            oid = r.randint(100000, 999999)
            self.docs[i] = {
                "id": i,
                "title": t,
                "author": {"name": person(r), "handle": "@" + coded(r, "h")},
                "body": "lorem ipsum dolor sit amet " * r.randint(400, 900)
                + f"\nOrder number: {oid}\nRegards, "
                + person(r)
                + "\n"
                + "x y z " * r.randint(200, 500),
                "tags": r.sample(["a1", "b2", "c3", "dd", "ee"], r.randint(1, 4)),
                "date": some_day(r),
            }

    @read
    def get_doc(self, doc_id: Any) -> Any:
        return self.docs[doc_id]

    @write
    def publish(self, **a: Any) -> Any:
        return {"url": "https://w.example/" + self.new("")}


def doc_inputs(w: Any, r: Any) -> dict[str, Any]:
    return {"doc": r.choice(list(w.wiki.docs))}


@workflow("Publish {doc}", doc_inputs, "format path", wiki=Wiki)
def slug(do: Agent, doc: Any) -> None:
    d = do("wiki.get_doc", doc_id=doc)
    do("wiki.publish", doc_id=doc, slug=d["title"].lower().replace(" ", "-"), author=d["author"]["handle"])


class Fleet(Stateful):
    def setup(self, r: Any) -> None:
        self.svc = [coded(r, "svc-") for _ in range(4)]
        self.m = {
            s: {
                "cpu": r.randint(1, 99),
                "replicas": r.randint(1, 9),
                "version": f"{r.randint(1, 3)}.{r.randint(0, 9)}",
                "owner": coded(r, "team-"),
            }
            for s in self.svc
        }

    @read
    def get_metrics(self, service: Any) -> Any:
        return {
            "service": service,
            "cpu_percent": self.m[service]["cpu"],
            "replicas": self.m[service]["replicas"],
            "max_replicas": 10,
        }

    @read
    def get_deploy(self, service: Any) -> Any:
        return {"service": service, "version": self.m[service]["version"], "replicas": self.m[service]["replicas"]}

    @read
    def get_owner(self, service: Any) -> Any:
        return {"team": self.m[service]["owner"], "channel": "#" + self.m[service]["owner"]}

    @read
    def get_status_page(self) -> Any:
        return {"status": "green", "incidents": [], "replicas": 3}

    @write
    def scale(self, service: Any, replicas: Any) -> Any:
        return {"ok": True}

    @write
    def notify(self, channel: Any, text: Any) -> Any:
        return {"ok": True}


@workflow(
    "Scale {service} up by one", lambda w, r: {"service": r.choice(w.d.svc)}, "parallel retry_noise arithmetic", d=Fleet
)
def plus_one(do: Agent, service: Any) -> None:
    m, _, o = do.together(
        ("d.get_metrics", {"service": service}),
        ("d.get_deploy", {"service": service}),
        ("d.get_owner", {"service": service}),
    )
    if do.rng.random() < 0.4:
        do.stray("d.get_status_page")
    do("d.scale", service=service, replicas=m["replicas"] + 1)
    do("d.notify", channel=o["channel"], text=f"Scaled {service} to {m['replicas'] + 1}")


class Inbox(Stateful):
    def setup(self, r: Any) -> None:
        self.box = {
            coded(r, "m_"): {
                "from": coded(r, "a") + "@x.example",
                "subject": "Re: " + person(r),
                "unread": r.random() < 0.5,
                "labels": r.sample(["inbox", "work", "bills"], r.randint(1, 2)),
            }
            for _ in range(8)
        }

    @write
    def add_label(self, id: Any, label: Any) -> Any:
        return {"ok": True}


@workflow(
    "Label the mails {ids} as {label}",
    lambda w, r: {"ids": r.sample(list(w.m.box), r.randint(2, 5)), "label": r.choice(["urgent", "later", "family"])},
    "each_parameter list_argument",
    m=Inbox,
)
def user_list(do: Agent, ids: Any, label: Any) -> None:
    for i in ids:
        do("m.add_label", id=i, label=label)
