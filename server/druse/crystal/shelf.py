"""The tools in service: published, loaded from disk, swapped, rolled back, retired.

What is in service is a version whose status is active in the store and whose files still hash to what a person
approved. A file that is broken or changed never replaces a working version: it is reported, and the old one stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from druse.crystal.crystallize import publishable
from druse.crystal.versions import VersionFiles
from druse.governance import Approval, AuditChain
from druse.model import Caller, CallerKind, Invalid, NotFound, ToolVersion, VersionStatus
from druse.store import Store, Transaction, VersionRecord

_NEVER_SERVED = (VersionStatus.PROPOSED, VersionStatus.REJECTED)


class Shelf:
    """The crystallized tools of one workspace."""

    def __init__(self, store: Store, files: VersionFiles, audit: AuditChain, *, clock: Callable[[], float]) -> None:
        self._store = store
        self.files = files
        self._audit = audit
        self._clock = clock
        self._loaded: dict[str, ToolVersion] = {}
        self._earlier: dict[tuple[str, int], str] = {}  # versions before those in service: their approval hashes
        self._read: dict[tuple[str, int], ToolVersion | None] = {}  # of them, those that a session asked for
        self._unasked: set[tuple[str, int]] = set()  # versions that the trust level alone put in service
        self.reloaded: list[Callable[[], Awaitable[bool]]] = []  # who looks again as well; whether it saw a change
        self.serving = True  # False: crystallization is switched off, and nothing is in service
        self.turn = asyncio.Lock()  # of whoever reloads and tells of it
        self._touched = 0  # when what is loaded was last told to be out of date
        self.swaps = 0  # moves whenever what is in service changed: what is derived from it is kept until then
        self.problems: dict[str, str] = {}  # tool -> why a version on disk is not in service
        self.retired: dict[str, str] = {}  # tool -> what became of it

    @property
    def active(self) -> dict[str, ToolVersion]:
        """The version in service of each tool."""
        return dict(self._loaded)

    def get(self, name: str) -> ToolVersion | None:
        """The version in service of one tool."""
        return self._loaded.get(name)

    def version(self, name: str, number: int) -> ToolVersion | None:
        """A version that may run: the one in service, or one before it that a session may go on with.

        None where there is none: the tool is out of service, somebody went back from that version, or its files are
        not what a person approved.
        """
        serving = self._loaded.get(name)
        if serving is None or serving.version == number:
            return serving
        key = (name, number)
        if key not in self._read and key in self._earlier:
            self._read[key] = self._approved(name, number, self._earlier[key])
        return self._read.get(key)

    def _approved(self, name: str, number: int, approval_hash: str) -> ToolVersion | None:
        try:
            version = self.files.read(name, number)
        except Invalid:
            return None
        return replace(version, status=VersionStatus.SUPERSEDED) if version.approval_hash == approval_hash else None

    def approved_by_person(self, name: str, number: int) -> bool:
        """Whether a person approved this version."""
        return (name, number) not in self._unasked

    async def publish(self, approval: Approval, caller: Caller) -> ToolVersion:
        """Write an approved version to disk and put it in service; the one before stays on disk, superseded."""
        version = publishable(approval.details)
        if approval.status != "approved" or version.approval_hash != approval.subject_hash:
            raise Invalid(
                f"Cannot publish {version.name} v{version.version}: the approval is {approval.status}, or is for other "
                "content. Propose the tool anew."
            )
        self.files.write(version)
        now = self._clock()
        async with self._store.database.transaction(durable=True) as transaction:
            held = await self._store.tools.get(version.name, version.version, transaction)
            if held is not None and held.status not in _NEVER_SERVED:
                return version  # published before; whoever went back from it or retired it since meant it
            before = await self._in_service(version.name, transaction)
            await self._supersede(transaction, before, f"replaced by v{version.version}")
            await self._store.tools.set_status(
                transaction, version.name, version.version, VersionStatus.ACTIVE, now=now
            )
            by = "trust" if approval.decided_how == "trust" else "person"
            await self._store.tools.set_approved_by(transaction, version.name, version.version, by)
            workflow = str(approval.details.get("workflow") or "")
            await self._store.runs.crystallized(transaction, workflow, version.name, version.version)
            await self._audit.append(
                transaction,
                "tool.published",
                f"{version.name} v{version.version}",
                caller,
                {"approval": approval.id, "hash": version.approval_hash},
                cause=approval.decided_entry,
            )
        self.files.touch()
        return version

    async def decided(self, approval: Approval, caller: Caller) -> None:
        """What follows from a decision about a tool; doing it twice does no harm."""
        if approval.status == "approved":
            await self.publish(approval, caller)
        else:
            await self.reject(approval, caller)

    async def reject(self, approval: Approval, caller: Caller) -> None:
        """Note that a person did not want a proposed version."""
        version = publishable(approval.details)
        async with self._store.database.transaction() as transaction:
            held = await self._store.tools.get(version.name, version.version, transaction)
            if held is not None and held.status is not VersionStatus.PROPOSED:
                return  # noted before, or the no was turned round since
            await self._store.tools.set_status(
                transaction,
                version.name,
                version.version,
                VersionStatus.REJECTED,
                now=self._clock(),
                reason=approval.note,
            )
            await self._audit.append(
                transaction,
                "tool.rejected",
                f"{version.name} v{version.version}",
                caller,
                {"approval": approval.id},
                cause=approval.decided_entry,
            )

    async def reload(self) -> bool:
        """Bring what is in service up to date with store and disk; whether anything changed. Load, check, then swap."""
        before, touched = (self._hashes(), self._earlier), self.files.touched()
        try:
            await self._load()
        finally:
            changed = (self._hashes(), self._earlier) != before
            self.swaps += changed
        changed = any([changed, *[await look() for look in self.reloaded]])
        self._touched = touched
        return changed

    @property
    def stale(self) -> bool:
        """Whether somebody, in this process or another, changed what is in service since the last reload."""
        return self.files.touched() != self._touched

    def _hashes(self) -> dict[str, str]:
        return {name: version.approval_hash for name, version in self._loaded.items()}

    async def _load(self) -> None:
        if not self.serving:
            self._loaded.clear()
            return
        records = await self._store.tools.all()
        on_disk = self.files.numbers()
        problems: dict[str, str] = {}
        wanted: dict[str, VersionRecord] = {r.name: r for r in records if r.status is VersionStatus.ACTIVE}
        for name, record in wanted.items():
            if record.version not in on_disk.get(name, []):
                await self._files_removed(record)
                self._loaded.pop(name, None)
                continue
            try:
                version = self.files.read(name, record.version)
                if version.approval_hash != record.approval_hash:
                    raise Invalid("its files are not what a person approved")
            except Invalid as error:
                problems[name] = f"{name} v{record.version} on disk is not used: {error}"
                held = self._loaded.get(name)
                if held is not None and held.version != record.version:
                    self._loaded.pop(name)
                continue
            self._loaded[name] = replace(version, status=VersionStatus.ACTIVE)
        for name in set(self._loaded) - set(wanted):
            del self._loaded[name]
        problems |= self._unapproved(on_disk, {(record.name, record.version) for record in records})
        self._read = {}
        self._earlier = {
            (record.name, record.version): record.approval_hash
            for record in records
            if record.status is VersionStatus.SUPERSEDED and not record.withdrawn
            if record.name in wanted and record.version < wanted[record.name].version
        }
        self._unasked = {(record.name, record.version) for record in records if record.approved_by != "person"}
        self.problems = problems
        self.retired = _retired(await self._store.tools.all(), set(self._loaded))

    async def retire(self, name: str, caller: Caller, reason: str) -> None:
        """Take a tool out of service; its files stay. Raises NotFound."""
        if not await self._retired(name, caller, reason):
            raise NotFound(f'No tool {name!r} is in service. List them with "druse tools list".')

    async def _retired(self, name: str, caller: Caller, reason: str, number: int | None = None) -> bool:
        """Take out of service what serves at this moment; False where that is nothing, or not version `number`."""
        async with self._store.database.transaction(durable=True) as transaction:
            serving = await self._in_service(name, transaction)
            if not serving or number not in (None, serving[0].version):
                return False
            record = serving[0]
            await self._store.tools.set_status(
                transaction, name, record.version, VersionStatus.RETIRED, now=self._clock(), reason=reason
            )
            await self._store.runs.uncrystallized(transaction, name)
            await self._audit.append(
                transaction, "tool.retired", f"{name} v{record.version}", caller, {"reason": reason}
            )
        self.files.touch()
        return True

    async def retirement_decided(self, approval: Approval, caller: Caller) -> None:
        """What follows from a decision about a retirement; a version that was replaced meanwhile stays."""
        name, number = str(approval.details.get("name")), approval.details.get("version")
        if approval.status == "approved" and isinstance(number, int):
            await self._retired(name, caller, str(approval.details.get("reason") or "retired"), number)

    async def rollback(self, name: str, number: int, caller: Caller) -> ToolVersion:
        """Put an earlier version, which was in service once, in service again. Raises NotFound and Invalid."""
        record = await self._store.tools.get(name, number)
        allowed = (VersionStatus.SUPERSEDED, VersionStatus.RETIRED, VersionStatus.ACTIVE, VersionStatus.SUSPENDED)
        if record is None or record.status not in allowed:
            known = ", ".join(f"v{r.version} ({r.status})" for r in await self._store.tools.versions(name)) or "none"
            raise NotFound(f"Cannot roll {name} back to v{number}: its versions are {known}.")
        version = self.files.read(name, number)
        if version.approval_hash != record.approval_hash:
            raise Invalid(
                f"Cannot roll {name} back to v{number}: its files are not what was approved. Restore them from git."
            )
        now = self._clock()
        async with self._store.database.transaction(durable=True) as transaction:
            before = await self._in_service(name, transaction)
            await self._supersede(transaction, before, f"rolled back to v{number}")
            await self._store.tools.withdraw(transaction, name, after=number)
            await self._store.tools.set_status(transaction, name, number, VersionStatus.ACTIVE, now=now)
            await self._store.runs.crystallized(transaction, record.workflow, name, number)
            await self._audit.append(transaction, "tool.rolled_back", f"{name} v{number}", caller, {})
        self.files.touch()
        return version

    async def give_up(self, name: str, number: int, caller: Caller, reason: str) -> str:
        """Replace a version that keeps failing by the last one a person approved, or retire it; what was done.

        An earlier version, which only sessions that began with it run, is given to them no longer.
        """
        serving = await self._in_service(name)
        if serving and serving[0].version != number:
            async with self._store.database.transaction(durable=True) as transaction:
                await self._store.tools.withdraw(transaction, name, after=number - 1, until=number)
            await self.reload()
            return f"{name} v{number} {reason}; sessions that began with it go on with v{serving[0].version}"
        known = [r for r in await self._store.tools.versions(name) if r.approved_by == "person"]
        earlier = [r.version for r in known if r.status is VersionStatus.SUPERSEDED]
        if earlier:
            await self.rollback(name, earlier[-1], caller)
            done = f"{name} v{serving[0].version} {reason}; v{earlier[-1]} is in service again"
        else:
            await self.retire(name, caller, reason)
            done = f"{name} v{serving[0].version} {reason}; it is out of service"
        await self.reload()
        return done

    async def _in_service(self, name: str, transaction: Transaction | None = None) -> list[VersionRecord]:
        return [r for r in await self._store.tools.versions(name, transaction) if r.status is VersionStatus.ACTIVE]

    async def _supersede(self, transaction: Transaction, records: list[VersionRecord], reason: str) -> None:
        for record in records:
            await self._store.tools.set_status(
                transaction, record.name, record.version, VersionStatus.SUPERSEDED, now=self._clock(), reason=reason
            )

    async def _files_removed(self, record: VersionRecord) -> None:
        """A person took the files away: that retires the tool (seed id N-16)."""
        async with self._store.database.transaction() as transaction:
            await self._store.tools.set_status(
                transaction,
                record.name,
                record.version,
                VersionStatus.RETIRED,
                now=self._clock(),
                reason="files removed",
            )
            await self._store.runs.uncrystallized(transaction, record.name)
            await self._audit.append(
                transaction,
                "tool.retired",
                f"{record.name} v{record.version}",
                Caller(CallerKind.JOB, client="druse"),
                {"reason": "files removed"},
            )

    def _unapproved(self, on_disk: dict[str, list[int]], known: set[tuple[str, int]]) -> dict[str, str]:
        return {
            name: f"{name} v{number} is on disk but nobody approved it here, so it is not used"
            for name, numbers in on_disk.items()
            for number in numbers
            if (name, number) not in known
        }


def _retired(records: list[VersionRecord], active: set[str]) -> dict[str, str]:
    gone: dict[str, str] = {}
    for record in records:
        if record.status is VersionStatus.RETIRED and record.name not in active:
            gone[record.name] = f"it was retired at v{record.version} ({record.reason or 'no reason given'})."
    return gone
