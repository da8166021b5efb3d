"""A calendar, a mail box and a customer file, used together: meetings, contacts, deals."""

from __future__ import annotations

from typing import Any

from benchmarks.induction.shop import FIRST, LAST
from benchmarks.induction.workflows import Agent, Free, Refusal, Service, read, workflow, write

ROOMS = ["Ada", "Babbage", "Curie", "Dirac", "Euler"]
TOPICS = "budget roadmap hiring launch audit retro pricing security onboarding".split()


class Calendar(Service):
    """People and events on days."""

    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        r = rng
        self.people = {
            f"u-{r.randint(100, 999)}{letter}": {
                "name": f"{first} {last}",
                "mail": f"{first}.{last}@firm.example".lower(),
                "team": r.choice(["red", "blue", "green"]),
                "timezone": r.choice(["Europe/Vienna", "Europe/Oslo", "Asia/Tokyo"]),
            }
            for letter, first, last in zip("abcdefgh", r.sample(FIRST, 8), r.sample(LAST, 8), strict=True)
        }
        self.days = [f"2026-{r.randint(1, 12):02}-{day:02}" for day in r.sample(range(1, 29), 4)]
        self.events = {
            f"ev{r.randint(1000, 9999)}": {
                "title": r.choice(TOPICS),
                "day": r.choice(self.days),
                "start": f"{r.randint(8, 17):02}:00",
                "room": r.choice(ROOMS),
                "organizer": r.choice(sorted(self.people)),
                "state": r.choice(["confirmed", "tentative"]),
                "sprint": r.randint(3, 60),
                "invited": [
                    {"person": p, "answer": r.choice(["yes", "no", "none"])}
                    for p in r.sample(sorted(self.people), r.randint(1, 5))
                ],
            }
            for _ in range(14)
        }

    @read
    def find_person(self, name: str) -> Any:
        for id, person in self.people.items():
            if person["name"] == name:
                return {"person_id": id, "mail": person["mail"]}
        raise Refusal("nobody")

    @read
    def get_person(self, person_id: str) -> Any:
        return {"person_id": person_id, **self.people[person_id]}

    @read
    def directory(self, team: str) -> Any:
        return [{"id": id, **p} for id, p in sorted(self.people.items())]

    @read
    def events_on(self, day: str) -> Any:
        return {"day": day, "events": [{"id": id, **e} for id, e in sorted(self.events.items()) if e["day"] == day]}

    @read
    def get_event(self, event: str) -> Any:
        return {"id": event, **self.events[event]}

    @read
    def free_slots(self, day: str, room: str) -> Any:
        return {"slots": [f"{day}T{hour:02}:00" for hour in sorted(self.rng.sample(range(8, 18), 4))]}

    @write
    def book(self, title: str, attendees: list[str], day: str) -> Any:
        return {"event": f"ev{self.rng.randint(1000, 9999)}", "created_at": self.stamp()}

    @write
    def book_slot(self, slot: str, room: str, title: str) -> Any:
        return {"event": f"ev{self.rng.randint(1000, 9999)}"}

    @write
    def move(self, event: str, room: str) -> Any:
        self.events[event]["room"] = room
        return {"id": event, "room": room}

    @write
    def rename(self, event: str, title: str) -> Any:
        return {"id": event, "title": title}

    @write
    def remind(self, event: str, people: list[str]) -> Any:
        return {"reminded": len(people)}

    @write
    def confirm(self, event: str) -> Any:
        self.events[event]["state"] = "confirmed"
        return {"id": event, "state": "confirmed"}


class Mail(Service):
    """Sends mail."""

    annotated = False

    @write
    def send(self, to: str, subject: str, body: str) -> Any:
        return {"message_id": self.uuid(), "queued_at": self.stamp()}

    @write
    def send_many(self, to: list[str], subject: str) -> Any:
        return {"message_id": self.uuid()}

    @write
    def file_under(self, message_id: str, folder: str, when: str) -> Any:
        return {"ok": True}


class Crm(Service):
    """Contacts, companies and deals."""

    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        r = rng
        self.companies = {
            f"co-{r.randint(1000, 9999)}": {
                "name": f"{name} {kind}",
                "manager_mail": "",
                "deal": r.choice([None, f"d{r.randint(100, 999)}"]),
                "segment": r.choice(["small", "large"]),
            }
            for name, kind in zip(r.sample(LAST, 6), ["Ltd", "GmbH", "AG", "Oy", "SpA", "AS"], strict=True)
        }
        self.contacts = [
            {
                "contact_id": r.randint(100000, 999999),
                "first": first,
                "email": f"{first.lower()}@{r.choice(LAST).lower()}.example",
                "company": r.choice(sorted(self.companies)),
                "opted_in": r.random() < 0.6,
            }
            for first in r.sample(FIRST, 12)
        ]
        self.reps = [
            {"rep": f"rep-{r.randint(100, 999)}", "mail": f"{name.lower()}@firm.example", "region": region}
            for name, region in zip(r.sample(FIRST, 4), r.sample(["north", "south", "east", "west"], 4), strict=True)
        ]
        for company in self.companies.values():
            company["manager_mail"] = r.choice(self.reps)["mail"]

    @read
    def find_company(self, name: str) -> Any:
        for id, company in self.companies.items():
            if company["name"] == name:
                return {"company_id": id, **company}
        raise Refusal("no such company")

    @read
    def contacts_of(self, company_id: str) -> Any:
        return {"contacts": [c for c in self.contacts if c["company"] == company_id]}

    @read
    def all_reps(self) -> Any:
        return {"reps": self.reps}

    @read
    def deal_value(self, contact_id: int) -> Any:
        return {"contact_id": contact_id, "value": random_value(contact_id)}

    @write
    def create_deal(self, company_id: str, stage: str) -> Any:
        return {"deal": f"d{self.rng.randint(100, 999)}"}

    @write
    def update_deal(self, deal: str, stage: str) -> Any:
        return {"deal": deal, "stage": stage}

    @write
    def log_call(self, company_id: str, rep: str, note: str) -> Any:
        return {"activity": self.uuid(), "logged_at": self.stamp()}

    @write
    def report(self, company_id: str, total: int, count: int) -> Any:
        return {"report": self.uuid()}

    @write
    def save_contact(self, company_id: str, contact: dict[str, Any]) -> Any:
        return {"contact_id": self.rng.randint(100000, 999999)}


def random_value(contact: int) -> int:
    return (contact * 7919) % 9973 + 100


def people(w: Any, r: Any) -> dict[str, Any]:
    names = [p["name"] for p in w.calendar.people.values()]
    return {
        "title": f"{r.choice(TOPICS)} talk",
        "names": r.sample(names, r.randint(1, 4)),
        "day": r.choice(w.calendar.days),
    }


def busy_day(w: Any, r: Any) -> dict[str, Any]:
    return {"day": r.choice(sorted({e["day"] for e in w.calendar.events.values()}))}


def an_event(w: Any, r: Any) -> dict[str, Any]:
    return {"event": r.choice(sorted(w.calendar.events))}


def a_company(w: Any, r: Any) -> dict[str, Any]:
    return {"name": r.choice(sorted(c["name"] for c in w.crm.companies.values()))}


@workflow("Book {title} on {day} with {names}", people, "each_parameter each collected parameter", calendar=Calendar)
def book_with_people(do: Agent, title: str, names: list[str], day: str) -> None:
    ids = [do("calendar.find_person", name=name)["person_id"] for name in names]
    do("calendar.book", title=title, attendees=ids, day=day)


@workflow(
    "Everything in {room} on {day} moves to {other}",
    lambda w, r: {**busy_day(w, r), **dict(zip(("room", "other"), r.sample(ROOMS, 2), strict=True))},
    "each filter parameter same_names",
    calendar=Calendar,
)
def move_out_of_room(do: Agent, day: str, room: str, other: str) -> None:
    do("calendar.free_slots", day=day, room=room)
    for event in do("calendar.events_on", day=day)["events"]:
        if event["room"] == room:
            do("calendar.move", event=event["id"], room=other)


@workflow("Give {event} its proper title", an_event, "template_number template", calendar=Calendar)
def sprint_title(do: Agent, event: str) -> None:
    found = do("calendar.get_event", event=event)
    do("calendar.rename", event=event, title=f"Sprint {found['sprint']} {found['title']} (20 min)")


@workflow("Remind those who did not answer {event}", an_event, "each filter list_argument", calendar=Calendar)
def remind_silent(do: Agent, event: str) -> None:
    found = do("calendar.get_event", event=event)
    do("calendar.remind", event=event, people=[i["person"] for i in found["invited"] if i["answer"] == "none"])


@workflow("Remind everybody invited to {event}", an_event, "each list_argument", calendar=Calendar)
def remind_all(do: Agent, event: str) -> None:
    found = do("calendar.get_event", event=event)
    do("calendar.remind", event=event, people=[i["person"] for i in found["invited"]])


@workflow(
    "Find me a time in {room} on {day}",
    lambda w, r: {"room": r.choice(ROOMS), "day": r.choice(w.calendar.days)},
    "user_turn path free_text",
    calendar=Calendar,
)
def slot_after_asking(do: Agent, room: str, day: str) -> None:
    do("calendar.events_on", day=day)
    slots = do("calendar.free_slots", day=day, room=room)["slots"]
    do.user(f"the {do.rng.choice(['first', 'second', 'late'])} one, please")
    do("calendar.book_slot", slot=do.rng.choice(slots), room=room, title="meeting")


@workflow("Confirm {event} and tell the organizer", an_event, "optional path template", calendar=Calendar, mail=Mail)
def confirm_if_tentative(do: Agent, event: str) -> None:
    found = do("calendar.get_event", event=event)
    if found["state"] == "tentative":
        do("calendar.confirm", event=event)
    who = do("calendar.get_person", person_id=found["organizer"])
    do("mail.send", to=who["mail"], subject=f"{found['title']} in {found['room']}", body="It takes place.")


@workflow("Prepare the meeting with {name}", a_company, "parallel path lookup", crm=Crm, mail=Mail)
def brief_manager(do: Agent, name: str) -> None:
    company = do("crm.find_company", name=name)
    reps, _ = do.together(("crm.all_reps", {}), ("crm.contacts_of", {"company_id": company["company_id"]}))
    rep = next(r["rep"] for r in reps["reps"] if r["mail"] == company["manager_mail"])
    do("crm.log_call", company_id=company["company_id"], rep=rep, note="briefing")


@workflow("Invite the people of {name} who want mail", a_company, "each filter template empty_list", crm=Crm, mail=Mail)
def invite_opted_in(do: Agent, name: str) -> None:
    company = do("crm.find_company", name=name)
    for contact in do("crm.contacts_of", company_id=company["company_id"])["contacts"]:
        if contact["opted_in"]:
            do(
                "mail.send",
                to=contact["email"],
                subject=f"{contact['first']}, come to our day",
                body="We look forward to it.",
            )


@workflow("One mail to all of {name}", a_company, "each list_argument template", crm=Crm, mail=Mail)
def mail_to_all(do: Agent, name: str) -> None:
    company = do("crm.find_company", name=name)
    contacts = do("crm.contacts_of", company_id=company["company_id"])["contacts"]
    do("mail.send_many", to=[contact["email"] for contact in contacts], subject=f"News for {name}")


@workflow("Move the deal of {name} to offer", a_company, "optional either_or", crm=Crm)
def deal_or_new_deal(do: Agent, name: str) -> None:
    company = do("crm.find_company", name=name)
    if company["deal"] is None:
        do("crm.create_deal", company_id=company["company_id"], stage="offer")
    else:
        do("crm.update_deal", deal=company["deal"], stage="offer")


@workflow("Report what {name} is worth", a_company, "arithmetic collected each", crm=Crm)
def report_total(do: Agent, name: str) -> None:
    company = do("crm.find_company", name=name)
    contacts = do("crm.contacts_of", company_id=company["company_id"])["contacts"]
    values = [do("crm.deal_value", contact_id=contact["contact_id"])["value"] for contact in contacts]
    do("crm.report", company_id=company["company_id"], total=sum(values), count=len(contacts))


@workflow("Log the call with {name} and file the mail", a_company, "server_made path free_text", crm=Crm, mail=Mail)
def log_and_file(do: Agent, name: str) -> None:
    company = do("crm.find_company", name=name)
    note = " ".join(do.rng.sample(TOPICS, 4))
    logged = do("crm.log_call", company_id=company["company_id"], rep="rep-000", note=Free(note))
    sent = do("mail.send", to=company["manager_mail"], subject=f"Call with {name}", body=f"See {logged['activity']}.")
    do("mail.file_under", message_id=sent["message_id"], folder="calls", when=logged["logged_at"])


@workflow(
    "Add {first} {last} of {name} in {city}",
    lambda w, r: {**a_company(w, r), "first": r.choice(FIRST), "last": r.choice(LAST), "city": r.choice(ROOMS)},
    "nested_object parameter constant template",
    crm=Crm,
)
def add_contact(do: Agent, name: str, first: str, last: str, city: str) -> None:
    company = do("crm.find_company", name=name)
    contact = {"name": {"first": first, "last": last}, "city": city, "tags": ["new", company["segment"]], "mail": None}
    do("crm.save_contact", company_id=company["company_id"], contact=contact)
