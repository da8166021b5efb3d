"""Keys of the HTTP server: who may come over it in which role. Only a digest of each key is stored."""

from __future__ import annotations

from dataclasses import dataclass

from druse.store.database import Database, Row, Transaction

_COLUMNS = "id, name, role, team, made_at, expires_at, last_used_at, revoked_at"


@dataclass(frozen=True, slots=True)
class HttpKey:
    """One key. Times in seconds since the epoch; `team` is set for a team's administrator."""

    id: str
    name: str
    role: str
    team: str
    made_at: float
    expires_at: float | None = None
    last_used_at: float | None = None
    revoked_at: float | None = None


class HttpKeyRepository:
    """Reads and writes keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, transaction: Transaction, key: HttpKey, digest: str) -> None:
        """Insert a key under the digest of its secret."""
        await transaction.execute(
            "INSERT INTO http_key (id, name, role, team, digest, made_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key.id, key.name, key.role, key.team, digest, key.made_at, key.expires_at),
        )

    async def of(self, digest: str, *, now: float) -> HttpKey | None:
        """The key in force with this digest."""
        row = await self._database.one(
            f"SELECT {_COLUMNS} FROM http_key WHERE digest = ? AND revoked_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > ?)",
            (digest, now),
        )
        return _key(row) if row else None

    async def used(self, key_id: str, *, now: float) -> None:
        """Note that a key was used; once a minute is enough."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE http_key SET last_used_at = :now WHERE id = :key AND coalesce(last_used_at, 0) < :now - 60",
                {"key": key_id, "now": now},
            )

    async def revoke(self, transaction: Transaction, key_id: str, *, now: float) -> bool:
        """Take a key out of force; False where there is none in force."""
        changed = await transaction.execute(
            "UPDATE http_key SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, key_id)
        )
        return changed == 1

    async def all(self) -> list[HttpKey]:
        """Every key, oldest first."""
        return [_key(row) for row in await self._database.all(f"SELECT {_COLUMNS} FROM http_key ORDER BY made_at, id")]


def _key(row: Row) -> HttpKey:
    return HttpKey(*row)
