from __future__ import annotations

import asyncio
import json
import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from druse.governance import SigningKey, verify_export
from druse.governance.entries import GENESIS, TILE, hash_of
from druse.governance.exports import export_lines
from druse.model import Invalid, StoreDamaged, canonical
from governance.bench import AGENT, PERSON, Bench, chain_over


async def first_bad(bench: Bench) -> str:
    with pytest.raises(StoreDamaged) as caught:
        await chain_over(bench.store, bench.folder, bench.clock).verify()
    assert caught.value.first_bad in str(caught.value) or caught.value.first_bad.startswith("r")
    return caught.value.first_bad


@pytest.mark.requirement("N-07", "N-33")
async def test_an_entry_names_who_did_what_in_which_session_and_instance_behind_which_entry(bench: Bench) -> None:
    first = await bench.chain.record("call.begin", "shop__pay", AGENT, {"arguments": "sha256:1"})
    second = await bench.chain.record("call.end", "shop__pay", AGENT, {"status": "ok"}, cause=first)
    one, two = await bench.chain.newest()
    assert (first, second, two["cause"]) == ("a1", "a2", "a1")
    assert one["prev"] == GENESIS
    assert two["prev"] == one["hash"]
    assert {key: one[key] for key in ("actor", "session", "client", "action", "subject")} == {
        "actor": "agent",
        "session": "s1",
        "client": "claude-code 2.1",
        "action": "call.begin",
        "subject": "shop__pay",
    }
    assert one["instance"] == bench.chain.key.instance
    stored = (await bench.store.audit.page(0, 1))[0]
    assert stored.entry == canonical(json.loads(stored.entry))
    assert stored.hash == hash_of(stored.entry)


@pytest.mark.requirement("N-34")
async def test_a_whole_chain_verifies_with_every_signed_root(bench: Bench) -> None:
    await bench.write(TILE * 2 + 10)
    await bench.chain.close()
    found = await bench.chain.verify()
    assert (found.entries, found.roots, found.unsigned) == (TILE * 2 + 10, 3, 0)
    await bench.write(3)
    assert (await bench.chain.verify()).unsigned == 3


async def test_an_empty_chain_verifies_and_nothing_is_signed(bench: Bench) -> None:
    await bench.chain.close()
    assert await bench.chain.seal() is None
    assert (await bench.chain.verify()).entries == 0


async def test_closing_signs_nothing_twice(bench: Bench) -> None:
    await bench.write(5)
    await bench.chain.close()
    await bench.chain.close()
    assert [root.size for root in await bench.store.audit.roots()] == [5]


@pytest.mark.requirement("N-34")
@pytest.mark.parametrize(
    ("edit", "bad"),
    [
        ("UPDATE audit SET entry = replace(entry, 'tool_4', 'tool_5') WHERE seq = 12", "a12"),
        ("UPDATE audit SET entry = entry || ' ' WHERE seq = 40", "a40"),
        ("UPDATE audit SET entry = 'nothing' WHERE seq = 1", "a1"),
        ("UPDATE audit SET hash = 'sha256:00' WHERE seq = 7", "a7"),
        ("DELETE FROM audit WHERE seq = 20", "a20"),
        ("DELETE FROM audit WHERE seq = 1", "a1"),
        ("DELETE FROM audit WHERE seq > 30", "a31"),
        ("DELETE FROM audit", "a1"),
        ("UPDATE audit_root SET signature = replace(signature, substr(signature, 1, 4), '0000')", "r40"),
        ("UPDATE audit_root SET statement = replace(statement, '\"size\":40', '\"size\":39')", "r40"),
    ],
)
async def test_an_edit_by_hand_is_found_and_its_first_entry_named(bench: Bench, edit: str, bad: str) -> None:
    await bench.write(40)
    await bench.chain.seal()
    bench.tamper(edit)
    assert await first_bad(bench) == bad


@pytest.mark.requirement("N-34")
async def test_a_kept_root_of_a_tile_that_was_changed_is_found(bench: Bench) -> None:
    """The next root would be signed over it."""
    await bench.write(TILE * 3 + 10)
    bench.tamper("UPDATE audit_tile SET root = x'00' WHERE number = 1")
    assert await first_bad(bench) == f"a{TILE + 1}"


@pytest.mark.requirement("N-34")
async def test_two_rows_that_changed_places_are_found(bench: Bench) -> None:
    await bench.write(10)
    bench.tamper(
        "UPDATE audit SET seq = 1000 WHERE seq = 4",
        "UPDATE audit SET seq = 4 WHERE seq = 6",
        "UPDATE audit SET seq = 6 WHERE seq = 1000",
    )
    assert await first_bad(bench) == "a4"


@pytest.mark.requirement("N-34")
async def test_a_tail_cut_off_with_its_signed_roots_is_found_by_the_copy_of_the_roots(bench: Bench) -> None:
    await bench.write(10)
    await bench.chain.seal()
    await bench.write(10)
    await bench.chain.seal()
    bench.tamper(
        "DELETE FROM audit WHERE seq > 10",
        "DELETE FROM audit_root WHERE size > 10",
        "UPDATE sqlite_sequence SET seq = 10 WHERE name = 'audit'",
    )
    assert await first_bad(bench) == "a11"


async def test_a_tail_nobody_had_signed_yet_is_missed_all_the_same(bench: Bench) -> None:
    """The database remembers the highest number it gave out."""
    await bench.write(10)
    bench.tamper("DELETE FROM audit WHERE seq > 8")
    assert await first_bad(bench) == "a9"


async def test_what_is_written_behind_a_cut_does_not_heal_it(bench: Bench) -> None:
    await bench.write(10)
    bench.tamper("DELETE FROM audit WHERE seq > 8")
    await bench.write(50)
    assert await first_bad(bench) == "a9"


@pytest.mark.requirement("N-33", "N-34")
async def test_a_chain_written_anew_with_right_hashes_contradicts_its_signed_root(bench: Bench) -> None:
    await bench.write(4)
    await bench.chain.seal()
    await bench.write(4)
    await bench.chain.seal()
    rows = await bench.store.audit.page(0, 100)
    previous, statements = rows[4].hash, list[str]()
    for row in rows[5:]:
        entry = json.loads(row.entry) | {"prev": previous, "subject": "something harmless"}
        text = canonical(entry)
        previous = hash_of(text)
        statements.append(f"UPDATE audit SET entry = '{text}', hash = '{previous}' WHERE seq = {row.seq}")
    bench.tamper(*statements)
    assert await first_bad(bench) == "a5"  # the last root that still agrees covers four


async def test_roots_signed_with_another_key_do_not_count(bench: Bench) -> None:
    await bench.write(4)
    await bench.chain.seal()
    (bench.folder / "keys" / "audit.key").unlink()
    assert await first_bad(bench) == "r4"


@pytest.mark.requirement("N-34")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_changed_byte_is_found(chain_lines: list[str], data: st.DataObject) -> None:
    """Over an export, which holds every byte of the chain: the entry that changed is named, or the one behind it."""
    number = data.draw(st.integers(2, len(chain_lines) - 1))
    row = json.loads(chain_lines[number])
    place = data.draw(st.integers(0, len(row["entry"]) - 1))
    letter = data.draw(st.sampled_from('aZ0 {}"\\é\u0000'))
    changed = row["entry"][:place] + letter + row["entry"][place + 1 :]
    if changed == row["entry"]:
        return
    row["entry"] = changed
    lines = [*chain_lines[:number], json.dumps(row), *chain_lines[number + 1 :]]
    with pytest.raises(StoreDamaged) as caught:
        verify_export(lines)
    assert caught.value.first_bad == f"a{row['seq']}"


@pytest.fixture
async def chain_lines(bench: Bench) -> list[str]:
    await bench.write(12)
    await bench.chain.seal()
    return [line async for line in export_lines(bench.store, bench.chain)]


@pytest.mark.requirement("N-34")
def test_an_export_verifies_anywhere_and_a_shorter_or_reordered_one_does_not(chain_lines: list[str]) -> None:
    assert verify_export(chain_lines).entries == 12
    with pytest.raises(StoreDamaged, match="cut off before entry a12"):
        verify_export(chain_lines[:-1])
    with pytest.raises(StoreDamaged, match="entry a5 is missing"):
        verify_export([*chain_lines[:6], chain_lines[7], chain_lines[6], *chain_lines[8:]])
    with pytest.raises(StoreDamaged, match="signature"):
        verify_export(chain_lines, public="00" * 32)
    with pytest.raises(Invalid, match="no audit export"):
        verify_export(["{}"])
    with pytest.raises(Invalid, match="line 2"):
        verify_export([chain_lines[0], "{"])


async def test_several_instances_append_to_one_chain(bench: Bench) -> None:
    others = [chain_over(bench.store, bench.folder, bench.clock) for _ in range(3)]

    async def work(number: int) -> None:
        for step in range(100):
            await others[number].record("call.begin", f"tool{number}", AGENT, {"step": step})

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(work(number))
    found = await bench.chain.verify()
    assert (found.entries, found.roots) == (300, 1)


async def test_an_entry_of_an_undone_transaction_leaves_no_gap(bench: Bench) -> None:
    await bench.write(2)
    with pytest.raises(RuntimeError):
        async with bench.store.database.transaction() as transaction:
            await bench.chain.append(transaction, "call.begin", "lost", AGENT, {})
            raise RuntimeError
    await bench.write(2)
    assert (await bench.chain.verify()).entries == 4
    assert "lost" not in [entry["subject"] for entry in await bench.chain.newest()]


async def test_half_a_line_in_the_copy_of_the_roots_harms_nothing(bench: Bench) -> None:
    await bench.write(2)
    await bench.chain.seal()
    with (bench.folder / "audit.roots").open("a") as file:
        file.write('\n{"size": 3, "sta')
    await bench.write(2)
    await bench.chain.seal()
    assert (await bench.chain.verify()).roots == 2
    bench.tamper("DELETE FROM audit_root WHERE size = 4", "DELETE FROM audit WHERE seq = 4")
    assert await first_bad(bench) == "a4"


@pytest.mark.requirement("S-40")
async def test_entries_are_found_by_actor_action_tool_and_time(bench: Bench) -> None:
    await bench.write(5)
    then = bench.clock.now
    bench.clock.now += 60
    await bench.chain.record("approval.approved", "x7", PERSON, {})

    async def subjects(**matching: str | float) -> list[object]:
        return [entry["subject"] for entry in await bench.chain.newest(10, matching)]

    assert await subjects(actor="person") == ["x7"]
    assert await subjects(action="approval.*") == ["x7"]
    assert await subjects(subject="shop__tool_3") == ["shop__tool_3"]
    assert await subjects(since=then + 1) == ["x7"]
    assert len(await subjects(until=then, session="s1")) == 4
    bench.tamper("UPDATE audit SET entry = '{broken' WHERE seq = 2")
    assert len(await subjects(actor="agent")) == 4


@pytest.mark.requirement("N-38")
def test_the_key_is_for_its_owner_only_and_stays_the_same(tmp_path: os.PathLike[str]) -> None:
    from pathlib import Path

    path = Path(tmp_path) / "keys" / "audit.key"
    key = SigningKey.from_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = SigningKey.from_file(path)
    assert (again.public, again.instance) == (key.public, key.instance)
    path.with_suffix(".pub").write_text("nonsense")
    assert SigningKey.from_file(path).instance == key.instance
    path.write_bytes(b"short")
    with pytest.raises(Invalid, match="has 5 bytes, not 32"):
        SigningKey.from_file(path)
