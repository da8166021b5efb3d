"""What is done with skills: create, approve, promote, retire, import. What needs a person becomes an approval.

An agent's skill is a draft until a person approves exactly that text. A promotion is a branch in the farther volume;
approving it merges it there. Both decisions may be told twice and then change nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from druse.governance import Approval, Approvals
from druse.model import Caller, Invalid, JsonObject, digest_text
from druse.skills.access import Actor, VolumeKind, VolumeRef
from druse.skills.document import SkillDocument, parse, render
from druse.skills.exchange import Incoming
from druse.skills.finding import SkillFinder
from druse.skills.library import SkillLibrary
from druse.skills.likeness import ALIKE, nearest
from druse.skills.volume import Message, check_skill_id
from druse.skills.volumes import Volumes
from druse.store import Store

MAX_DRAFT = 15 * 1024  # bytes of a text made by an agent or by evolution
DRAFT, PROMOTION, RETIREMENT = "skill", "promotion", "retirement"
UNOFFERED_DAYS = 30
_DONE = {"Create": "created", "Edit": "edited"}


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a text: `created`, `edited`, `unchanged` or `pending` (then with an approval)."""

    status: str
    volume: str
    skill: str
    commit: str = ""
    approval_id: str = ""
    message: str = ""

    def as_dict(self) -> JsonObject:
        """For answers."""
        return {key: value for key, value in asdict(self).items() if value != ""}


class SkillDesk:
    """The use cases of one workspace over the user's volumes."""

    def __init__(
        self,
        library: SkillLibrary,
        volumes: Volumes,
        store: Store,
        approvals: Approvals,
        *,
        clock: Callable[[], float],
        finder: SkillFinder | None = None,
    ) -> None:
        self.library = library
        self.finder = finder or SkillFinder()
        self.volumes = volumes
        self._store = store
        self._approvals = approvals
        self._clock = clock
        for kind in (DRAFT, PROMOTION, RETIREMENT):
            approvals.on_decided(kind, self.decided)

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return self._clock()

    async def write(self, document: SkillDocument, actor: Actor, *, ref: VolumeRef, subject: str = "") -> Written:
        """Save a person's skill; it is in service at once. Raises Conflict, Invalid, NotAllowed."""
        text = render(document)
        volume = self.volumes.open(ref)
        known = {skill.id for skill in await asyncio.to_thread(volume.list_skills, actor)}
        verb = "Edit" if document.name in known else "Create"
        message = Message(subject or f"{verb} skill: {document.title}")
        commit = await asyncio.to_thread(volume.write_skill, document.name, text, message, actor)
        await self._store.skills.seen([f"{ref.kind}/{document.name}"], now=self._clock())
        return Written(_DONE[verb] if commit else "unchanged", str(ref), document.name, commit)

    async def draft(
        self,
        document: SkillDocument,
        actor: Actor,
        caller: Caller,
        *,
        message: Message | None = None,
        evidence: Sequence[str] = (),
    ) -> Written:
        """Save a draft in the user's volume and ask a person. A near-copy of another skill is refused with its name."""
        ref = self.volumes.layers()[0]
        text = render(document.with_own(status="draft"))
        if len(text.encode()) > MAX_DRAFT:
            raise Invalid(f"Cannot save the draft {document.name}: it is larger than {MAX_DRAFT} bytes. Shorten it.")
        others = [s for s in self.library.every() if s.document is not None and s.status in ("active", "draft")]
        same = next((s for s in others if s.name == document.name and s.origin == str(ref.kind)), None)
        close = nearest(document, [s.document for s in others if s.document and s.name != document.name])
        if same is None and close is not None and close[1] >= ALIKE:
            raise Invalid(
                f"Cannot save the draft {document.name}: it is {close[1]:.0%} alike to skill {close[0].name}. Propose "
                f"an edit of {close[0].name} instead (the same call with that name).",
                where="name",
                problem=f"near-copy of {close[0].name}",
            )
        if same is not None and same.usable:
            return await self._edit(document, actor, caller, same.text, message, evidence)
        subject = message or Message(f"Create skill: {document.title}")
        volume = self.volumes.open(ref)
        commit = await asyncio.to_thread(volume.write_skill, document.name, text, subject, actor)
        await self._store.skills.seen([f"{ref.kind}/{document.name}"], now=self._clock())
        details: JsonObject = {
            "volume": str(ref),
            "skill": document.name,
            "text": text,
            "alike": f"{close[1]:.0%} to {close[0].name}" if close else "to no other skill",
        }
        title = f"Put skill {document.name} into service: {document.description[:160]}"
        asked = await self._approvals.request(DRAFT, digest_text(text), title, details, caller, evidence=evidence)
        return Written("pending", str(ref), document.name, commit, asked.id, _how(asked))

    async def _edit(
        self,
        document: SkillDocument,
        actor: Actor,
        caller: Caller,
        before: str,
        message: Message | None,
        evidence: Sequence[str],
    ) -> Written:
        """An edit of a skill in service waits on a branch of its own volume; the text in service stays."""
        ref = self.volumes.layers()[0]
        text = render(document.with_own(status=""))
        if text == before:
            return Written("unchanged", str(ref), document.name)
        branch = f"pr/{ref.id}/{document.name}"
        subject = message or Message(f"Edit skill: {document.title}")
        volume = self.volumes.open(ref)
        commit = await asyncio.to_thread(
            volume.propose, branch, document.name, {"SKILL.md": text.encode()}, subject, actor
        )
        return await self._ask_merge(ref, branch, commit, f"Edit skill {document.name}", caller, evidence)

    async def promote(
        self,
        name: str,
        actor: Actor,
        caller: Caller,
        *,
        source: VolumeRef | None = None,
        target: VolumeRef | None = None,
        reason: str = "Useful for team",
    ) -> Written:
        """Propose a skill for the next farther volume. Raises Invalid for a draft, NotFound, NotAllowed."""
        check_skill_id(name)
        source = source or self.volumes.layers()[0]
        target = target or self.volumes.above(source)
        order = list(VolumeKind)
        if order.index(target.kind) <= order.index(source.kind):
            raise Invalid(f"Cannot promote from {source} to {target}: skills go from user to team to system.")
        origin, goal = self.volumes.open(source), self.volumes.open(target)
        files = await asyncio.to_thread(origin.skill_files, name, actor)
        document = parse(files["SKILL.md"].decode("utf-8"), where=f"{source}/{name}")
        if document.own("status") not in ("", "active"):
            raise Invalid(f"Cannot promote {name}: it is a {document.own('status')}. Approve it in {source} first.")
        log = await asyncio.to_thread(lambda: origin.get_git_log(1, actor, path=f"skills/{name}"))
        if not log:  # dropped there by hand and never committed
            await asyncio.to_thread(
                origin.commit_changes, Message(f"Create skill: {document.title}"), actor, [f"skills/{name}/SKILL.md"]
            )
            log = await asyncio.to_thread(lambda: origin.get_git_log(1, actor, path=f"skills/{name}"))
        files["SKILL.md"] = render(document).encode()
        there = {skill.id for skill in await asyncio.to_thread(goal.list_skills, actor)}
        if name in there and await asyncio.to_thread(goal.skill_files, name, actor) == files:
            return Written("unchanged", str(target), name, message=f"{target} has exactly this text already")
        subject = f"Promote '{name}' from {source} - Reason: {reason}"
        branch = f"pr/{source.id}/{name}"
        waiting = {p.branch: p for p in await asyncio.to_thread(goal.proposals, actor)}
        same = waiting.get(branch)
        origin_commit = f"{source}@{log[0].id if log else 'unknown'}"
        if same is not None and (await asyncio.to_thread(goal.files_at, same.commit, name, actor)) == files:
            commit = same.commit
        else:
            message = Message(subject, trailers=(("Origin", origin_commit),))
            commit = await asyncio.to_thread(goal.propose, branch, name, files, message, actor)
        return await self._ask_merge(target, branch, commit, subject, caller, (), origin_commit)

    async def propose_for(self, ref: VolumeRef, document: SkillDocument, caller: Caller, *, reason: str) -> Written:
        """Propose a new skill for a farther volume: a branch there, and an approval whose yes merges it."""
        actor = self.volumes.me(as_agent=caller.client)
        subject = f"Evolution: Create skill {document.name} - Reason: {reason}"
        branch = f"pr/{self.volumes.identity.user}/{document.name}"
        files = {"SKILL.md": render(document).encode()}
        commit = await asyncio.to_thread(
            self.volumes.open(ref).propose, branch, document.name, files, Message(subject), actor
        )
        return await self._ask_merge(ref, branch, commit, subject, caller, ())

    async def _ask_merge(
        self,
        ref: VolumeRef,
        branch: str,
        commit: str,
        subject: str,
        caller: Caller,
        evidence: Sequence[str],
        origin: str = "",
    ) -> Written:
        reader = self.volumes.me()
        waiting = await asyncio.to_thread(self.volumes.open(ref).proposals, reader)
        diff = next((p.diff for p in waiting if p.branch == branch), "")
        name = branch.rsplit("/", 1)[-1]
        details: JsonObject = {
            **{"volume": str(ref), "branch": branch, "commit": commit, "skill": name, "subject": subject},
            **{"origin": origin, "diff": diff},
        }
        asked = await self._approvals.request(
            PROMOTION,
            digest_text(f"{ref} {branch} {commit}"),
            f"{subject} (into {ref})",
            details,
            caller,
            evidence=evidence,
        )
        return Written("pending", str(ref), name, commit, asked.id, _how(asked))

    async def retire(self, name: str, ref: VolumeRef, actor: Actor, reason: str) -> Written:
        """Take a skill out of service; its text stays, with the reason."""
        volume = self.volumes.open(ref)
        text = await asyncio.to_thread(volume.read_skill, name, actor)
        document = parse(text, where=f"{ref}/{name}").with_own(status="retired", reason=reason[:300])
        message = Message(f"Retire skill: {document.title}", reason)
        commit = await asyncio.to_thread(volume.write_skill, name, render(document), message, actor, expected=text)
        return Written("retired" if commit else "unchanged", str(ref), name, commit)

    async def retirements(self, caller: Caller) -> list[Written]:
        """Ask a person about each of the user's skills that was offered to nobody for 30 days (X-02)."""
        ref, now = self.volumes.layers()[0], self._clock()
        counts = await self._store.skills.counts()
        asked: list[Written] = []
        for skill in self.library.every():
            count = counts.get(f"{skill.origin}/{skill.name}")
            if skill.ref != ref or not skill.usable or count is None or count.retire_asked_at:
                continue
            last = count.last_offered_at or count.made_at
            if now - last >= UNOFFERED_DAYS * 86400:
                details: JsonObject = {"volume": str(ref), "skill": skill.name, "text": skill.text}
                title = f"Retire skill {skill.name}: offered to nobody for {UNOFFERED_DAYS} days"
                subject = digest_text(f"{ref} {skill.name} {last}")
                approval = await self._approvals.request(RETIREMENT, subject, title, details, caller)
                await self._store.skills.retire_asked(f"{skill.origin}/{skill.name}", now=now)
                asked.append(Written("pending", str(ref), skill.name, approval_id=approval.id, message=_how(approval)))
        return asked

    async def take_in(self, found: Sequence[Incoming], actor: Actor, caller: Caller) -> list[JsonObject]:
        """Import what a folder held, each as a draft; a row for each file. Twice changes nothing."""
        rows: list[JsonObject] = []
        ref = self.volumes.layers()[0]
        volume = self.volumes.open(ref)
        for item in found:
            if item.document is None:
                rows.append({"source": item.source, "status": "skipped", "reason": item.skipped})
                continue
            document = item.document.with_own(origin=f"import {item.source}"[:200])
            known = {s.id: s.text for s in await asyncio.to_thread(volume.list_skills, actor)}
            there = known.get(document.name)
            if _body_known(there, document):
                rows.append({"source": item.source, "status": "unchanged", "skill": document.name})
                continue
            if there is not None and not _came_from(there, document.own("origin")):
                reason = f"a skill {document.name} of another origin is there; rename or retire one of the two"
                rows.append({"source": item.source, "status": "skipped", "reason": reason})
                continue
            text = render(document.with_own(status="draft"))
            message = Message(f"Import skill: {document.title}", trailers=(("Source", item.source),))
            for name, body in item.files:
                await asyncio.to_thread(volume.write_file, f"skills/{document.name}/{name}", body, message, actor)
            await asyncio.to_thread(volume.write_skill, document.name, text, message, actor)
            details: JsonObject = {"volume": str(ref), "skill": document.name, "text": text}
            if item.files:
                details["files"] = [f"{name} ({len(body)} bytes)" for name, body in item.files]
            title = f"Put imported skill {document.name} into service: {document.description[:120]}"
            asked = await self._approvals.request(DRAFT, digest_text(text), title, details, caller)
            rows.append({"source": item.source, "status": "draft", "skill": document.name, "approval_id": asked.id})
        return rows

    async def decided(self, approval: Approval, caller: Caller) -> None:
        """What follows from a person's decision on a draft, a promotion or a retirement."""
        details, approved = approval.details, approval.status == "approved"
        ref = VolumeRef.parse(str(details["volume"]))
        name = str(details["skill"])
        by = caller.client or "a person"
        maintainer = self.volumes.maintainer(ref, by.removesuffix(" (cli)").removesuffix(" (page)"))
        trailers = (("Approval", approval.id),)
        if approval.kind == PROMOTION:
            await asyncio.to_thread(self._merge, ref, details, maintainer, trailers, approved)
        elif approval.kind == RETIREMENT:
            if approved:
                await self.retire(name, ref, maintainer, f"offered to nobody for {UNOFFERED_DAYS} days")
        else:
            await asyncio.to_thread(self._settle, ref, name, str(details["text"]), maintainer, trailers, approved)

    def _merge(
        self, ref: VolumeRef, details: JsonObject, by: Actor, trailers: tuple[tuple[str, str], ...], approved: bool
    ) -> None:
        volume, branch, commit = self.volumes.open(ref), str(details["branch"]), str(details["commit"])
        waiting = {proposal.branch: proposal for proposal in volume.proposals(by)}
        if branch not in waiting:
            return  # merged or discarded before
        if waiting[branch].commit != commit:
            raise Invalid(
                f"Cannot merge {branch} into {ref}: it was changed after you were asked. Look at it again with "
                f'"druse volumes proposals {ref}" and promote it anew.'
            )
        if not approved:
            volume.discard(branch, by)
            return
        origin = str(details.get("origin") or "")
        more = (("Origin", origin),) if origin else ()
        volume.merge(branch, Message(str(details["subject"]), trailers=(*more, *trailers)), by)

    def _settle(
        self, ref: VolumeRef, name: str, text: str, by: Actor, trailers: tuple[tuple[str, str], ...], approved: bool
    ) -> None:
        volume = self.volumes.open(ref)
        now = volume.read_skill(name, by)
        document = parse(now, where=f"{ref}/{name}")
        if document.own("status") != "draft":
            return
        if now != text:
            raise Invalid(
                f"Cannot decide on skill {name} of {ref}: its text was changed after you were asked. Look at it with "
                f'"druse skills show {name}" and have it proposed again.'
            )
        status = "" if approved else "retired"
        verb = "Approve" if approved else "Reject"
        changed = render(document.with_own(status=status))
        volume.write_skill(
            name, changed, Message(f"{verb} skill: {document.title}", trailers=trailers), by, expected=now
        )


def proposer(volumes: Volumes, caller: Caller) -> Actor:
    """The actor behind a caller: the person itself, or an agent that works for it."""
    return volumes.me() if caller.kind == "person" else volumes.me(as_agent=caller.client or str(caller.kind))


def _how(approval: Approval) -> str:
    if approval.status == "rejected":
        return f"a person said no to exactly this before ({approval.id})"
    return f'a person decides: "druse approvals show {approval.id}"'


def _came_from(text: str, origin: str) -> bool:
    try:
        return parse(text).own("origin") == origin
    except Invalid:
        return False


def _body_known(text: str | None, document: SkillDocument) -> bool:
    if text is None:
        return False
    try:
        there = parse(text)
    except Invalid:
        return False
    return there.body == document.body and there.description == document.description
