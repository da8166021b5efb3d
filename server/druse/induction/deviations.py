"""Learning from runs of which one went astray: what nothing used is left out, and one run that disagrees is set aside.

Recorded work has infrequent behaviour in it (Leemans, Fahland and van der Aalst 2013; Conforti, La Rosa and ter
Hofstede 2017, who filter it out before they discover a process; Hirsh 1994, version spaces with bounded inconsistency).
A program is made without each run in turn. Where leaving out exactly one makes the rest agree, that run is aligned with
their program. Reads that nothing used are struck from it, and it stays evidence. Otherwise it is set aside and named:
it is no evidence, and whatever told it apart from the rest stops the program (`exclusions`), for it may be a rare kind
of work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from druse.induction.alignment import Alignment, align, moments_of
from druse.induction.elements import surely_reads, symbol_of
from druse.induction.exclusions import MAX_EXCLUSIONS, telling
from druse.induction.guards import places
from druse.induction.induce import Induction, induce, macro_of, words_of
from druse.induction.knowledge import scalars
from druse.induction.procedure import Call, Choice, Exclusion, Procedure, Symbol, calls_of
from druse.induction.render import render
from druse.induction.values import Env, Root
from druse.model import Json, Run, Step, ToolSpec, canonical

MIN_RUNS = 5  # of which one may be set aside
_MAX_RUNS = 60  # a program is made without each of them in turn
_NOTHING = 1_000_000  # what a program that does not do the whole work lacks


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A run that was changed or set aside, and what it did otherwise than the rest."""

    run: str
    what: str
    set_aside: bool  # no evidence; else only reads that nothing used were struck from it
    stops: int = 0  # tests that keep the program from what told the run apart
    harmless: bool = False  # it changed the same things

    def __str__(self) -> str:
        if not self.set_aside:
            return f"run {self.run}: {self.what}"
        told = "it changed the same things as the tool does"
        if not self.harmless:
            told = (
                f"the tool stops at what else was different in it ({self.stops} tests)"
                if self.stops
                else "nothing known before tells it apart, so THE TOOL DOES NOT STOP in a case like it"
            )
        return f"run {self.run} was set aside, the others agree: {self.what}; {told}"


@dataclass(frozen=True, slots=True)
class Learned:
    """A program with the runs it was made from, as they are to be replayed, and what else the runs showed."""

    induction: Induction
    runs: tuple[Run, ...]
    disagreements: tuple[Disagreement, ...] = ()
    aside: tuple[Run, ...] = ()


def learn(runs: Sequence[Run], *, specs: Mapping[str, ToolSpec] | None = None, name: str | None = None) -> Learned:
    """What all runs teach; where they do not agree, what they teach without what went astray in one of them."""
    plain = induce(runs, specs=specs, name=name)
    lack = _lack(plain)
    found = without_deviations(runs, specs=specs, name=name, better_than=lack) if lack else None
    return found or Learned(plain, tuple(runs))


def without_deviations(
    runs: Sequence[Run],
    *,
    specs: Mapping[str, ToolSpec] | None = None,
    name: str | None = None,
    better_than: int = _NOTHING,
    suspect: str = "",
) -> Learned | None:
    """What the runs teach without what went astray in one; None where that is not one thing in one run of five.

    `better_than` is what a program must lack less of, see `_lack`. `suspect` is the run that what the others teach does
    not reproduce, where that is known.
    """
    ordered = sorted(runs, key=lambda run: run.id)
    if not MIN_RUNS <= len(ordered) <= _MAX_RUNS:
        return None
    teach = _Teacher(specs, name, better_than)
    return teach.without_rare_reads(ordered) or teach.without_one(ordered, suspect)


@dataclass(frozen=True, slots=True)
class _Teacher:
    specs: Mapping[str, ToolSpec] | None
    name: str | None
    better_than: int

    def _taught(self, runs: Sequence[Run]) -> Induction | None:
        found = induce(runs, specs=self.specs, name=self.name)
        return found if _lack(found) < self.better_than else None

    def without_rare_reads(self, runs: Sequence[Run]) -> Learned | None:
        """Reads of tools that most runs do not use, where nothing later used what they told."""
        users: dict[Symbol, set[str]] = {}
        for run in runs:
            for step in macro_of(run):
                users.setdefault(symbol_of(step), set()).add(run.id)
        rare = {symbol for symbol, ids in users.items() if 2 * len(ids) < len(runs)}
        struck = [_strike(run, [s for s in _needless(run) if symbol_of(s) in rare]) for run in runs]
        told = [part for part in struck if part is not None and part[1]]
        if not told or any(part is None for part in struck):
            return None
        kept = tuple(part[0] for part in struck if part is not None)
        found = self._taught(kept)
        if found is None:
            return None
        notes = [Disagreement(run.id, _left_out(steps), set_aside=False) for run, steps in told]
        return _disclosed(found, kept, notes)

    def without_one(self, runs: Sequence[Run], suspect: str) -> Learned | None:
        """The runs without the one that disagrees with all the others, if it is clear which one that is."""
        suspects = [run for run in runs if not suspect or run.id == suspect]
        tried = [(odd, self._taught([run for run in runs if run is not odd])) for odd in suspects]
        known = [(odd, found) for odd, found in tried if found is not None]
        # Where the rest agree without either of two runs, nobody knows which of them is the odd one.
        return self._reconciled(runs, *known[0]) if len(known) == 1 else None

    def _reconciled(self, runs: Sequence[Run], odd: Run, found: Induction) -> Learned | None:
        procedure, others = found.procedure, [run for run in runs if run is not odd]
        if _has_rare_choice(found, len(others)):
            return None
        alignment = align(procedure, macro_of(odd)) if procedure is not None else None
        if procedure is None or alignment is None:
            return None
        if alignment.kind == "extra" and all(map(surely_reads, alignment.extra)):
            struck = _strike(odd, alignment.extra)
            kept = [struck[0] if run is odd and struck is not None else run for run in runs]
            again = self._taught(kept) if struck is not None else None
            if again is not None:
                note = Disagreement(odd.id, _left_out(alignment.extra), set_aside=False)
                return _disclosed(again, tuple(kept), [note])
        if _is_wanted(alignment, odd, others):
            return None
        harmless = _is_harmless(alignment, procedure)
        stops = [] if harmless else self._stops(procedure, alignment, others)
        if stops is None:
            return None
        kept_from = replace(procedure, exclusions=tuple(stops))
        source = render(kept_from, description=found.description)
        note = Disagreement(odd.id, _told(alignment), set_aside=True, stops=len(stops), harmless=harmless)
        return _disclosed(replace(found, procedure=kept_from, source=source), tuple(others), [note], (odd,))

    def _stops(self, procedure: Procedure, alignment: Alignment, others: Sequence[Run]) -> list[Exclusion] | None:
        """What keeps the program from a case like the odd one; None where it cannot be told."""
        odd = [moment.env for moment in alignment.moments if moment.odd]
        rest: list[Env] = []
        for run in others:
            moments = moments_of(procedure, macro_of(run), alignment.call)
            if moments is None:
                return None
            rest.extend(moment.env for moment in moments)
        # A reason may be one of the whole run, or one of the element of a loop at which it went its own way.
        whole = {Root("parameter", name) for name in procedure.parameters}
        whole |= {Root("result", node.id) for node in procedure.nodes if isinstance(node, Call)}
        found = telling([{root: env[root] for root in env if root in whole} for env in odd[:1]], rest)
        own = [moment.env for moment in alignment.moments if not moment.odd]
        inner = telling([{root: env[root] for root in env if root not in whole} for env in odd], [*own, *rest])
        found = list(dict.fromkeys([*found, *inner]))
        own_reading = alignment.kind == "extra" and any(map(surely_reads, alignment.extra))
        if len(found) > MAX_EXCLUSIONS or (own_reading and not found):
            return None
        return found


def _has_rare_choice(found: Induction, runs: int) -> bool:
    """Whether a step is optional because of one run alone: then that may be the odd one."""
    nodes = found.procedure.nodes if found.procedure is not None else []
    choices = [node for node in nodes if isinstance(node, Choice)]
    return any(len(call.examples) in (1, runs - 1) for node in choices for call in calls_of(node.body)[:1])


def inputs_met(found: Induction, run: Run) -> dict[str, Json] | None:
    """The inputs of a program in a run that is none of its own but for one deviation; None if it has another."""
    procedure = found.procedure
    alignment = align(procedure, macro_of(run)) if procedure is not None else None
    if procedure is None or alignment is None:
        return None
    known = {root.name: value for root, value in alignment.inputs.items()}
    return {
        name: known.get(name, declared.values[0])
        for name, declared in procedure.parameters.items()
        if not declared.derived or name in known
    }


def _lack(found: Induction) -> int:
    """How many arguments a program does not explain; 0 is all that can be."""
    if not found.source or found.left_out or found.procedure is None:
        return _NOTHING
    return sum(bool(declared.hole) for declared in found.procedure.parameters.values())


def _disclosed(
    found: Induction, runs: tuple[Run, ...], notes: Sequence[Disagreement], aside: tuple[Run, ...] = ()
) -> Learned:
    reasons = (*(str(note) for note in notes), *found.reasons)
    return Learned(replace(found, reasons=reasons), runs, tuple(notes), aside)


def _is_wanted(alignment: Alignment, odd: Run, others: Sequence[Run]) -> bool:
    """Whether the user of the odd run asked for what it did: by the very value, or by words that no other used."""
    said = words_of(odd)
    if alignment.kind == "changed" and alignment.got is not None:
        text = str(alignment.got)
        if text and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said, re.IGNORECASE):
            return True
    return _asked_otherwise(odd, others)


def _asked_otherwise(odd: Run, others: Sequence[Run]) -> bool:
    """Whether its user said words of their own that are no values of the work, as no other user did."""
    said, rest = _words(odd), [_words(run) for run in others]
    if all(len(words) == len(said) for words in rest):
        fixed = [at for at in range(len(said)) if len({words[at] for words in rest}) == 1]
        if all(said[at] == rest[0][at] for at in fixed):
            return False  # the same sentence with other values
    own = [_alone(run, [other for other in (odd, *others) if other is not run]) for run in (odd, *others)]
    return bool(own[0]) and not any(own[1:])


def _alone(run: Run, others: Sequence[Run]) -> set[str]:
    values = " ".join(canonical([dict(step.arguments), step.result]) for step in run.steps).casefold()
    known = {word for other in others for word in _words(other)}
    return {word for word in _words(run) if word.isalpha() and len(word) > 2 and word not in values} - known


def _words(run: Run) -> list[str]:
    return re.findall(r"\w+", words_of(run).casefold())


def _is_harmless(alignment: Alignment, procedure: Procedure) -> bool:
    """Whether the odd run changed the same: its reads came in another order, or one is missing that decides nothing."""
    if alignment.kind in ("fits", "extra") and all(map(surely_reads, alignment.extra)):
        return alignment.in_order
    if alignment.kind != "lost":
        return False
    call = next((call for call in calls_of(procedure.nodes) if call.id == alignment.call), None)
    used = {place.root.name for place in places(procedure.nodes)}
    return call is not None and not call.writes and call.id not in used


def _told(alignment: Alignment) -> str:
    if alignment.kind == "fits":
        return "it made its steps in another order"
    if alignment.kind == "lost":
        return f"it did not call {alignment.tool} where the others did"
    if alignment.kind == "extra":
        return f"it called {_named(alignment.extra)} too"
    name = ".".join(alignment.argument)
    return f"{alignment.tool}, `{name}` was {_short(alignment.got)}; by the others it is {_short(alignment.expected)}"


def _left_out(steps: Sequence[Step]) -> str:
    return f"{_named(steps)} left out, nothing used what it told and the other runs do without"


def _named(steps: Sequence[Step]) -> str:
    return ", ".join(f"{step.tool}({_short(dict(step.arguments))})" for step in steps)


def _short(value: Json) -> str:
    text = canonical(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _strike(run: Run, steps: Sequence[Step]) -> tuple[Run, list[Step]] | None:
    """The run without these steps, and them; None where the rest of the run is another one then."""
    if not steps:
        return run, []
    keys = [_key(step) for step in steps]
    kept: list[Step] = []
    for step in run.steps:
        if not step.failed and _key(step) in keys:
            keys.remove(_key(step))
        else:
            kept.append(step)
    struck = replace(run, steps=tuple(kept))
    rest = [_key(step) for step in macro_of(run)]
    for step in steps:
        rest.remove(_key(step))
    return None if keys or [_key(step) for step in macro_of(struck)] != rest else (struck, list(steps))


def _key(step: Step) -> tuple[str, str, int]:
    return step.tool, canonical([dict(step.arguments), step.result]), step.turn


def _needless(run: Run) -> list[Step]:
    """Reads whose answer told nothing that a later call holds and that was not known otherwise."""
    steps = macro_of(run)
    found: list[Step] = []
    for number, step in enumerate(steps):
        before = {canonical(value) for earlier in steps[:number] for value in scalars(earlier.result, keys=True)}
        before |= {canonical(value) for value in scalars(dict(step.arguments))}
        told = {canonical(value) for value in scalars(step.result, keys=True)} - before
        later = {canonical(value) for other in steps[number + 1 :] for value in scalars(dict(other.arguments))}
        if surely_reads(step) and not told & later:
            found.append(step)
    return found
