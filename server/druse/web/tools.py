"""`POST /tools`: a program of this machine hands a tool in while the server runs (seed id N-15).

It passes the gate of every tool and lands unapproved at every trust level: only a person puts it in service.
"""

from __future__ import annotations

from druse.crystal import imported
from druse.model import Effect, Invalid, NotAllowed, Source, ToolSpec, Verdict
from druse.web.shapes import ToolRegister
from druse.web.visit import Refused, Reply, Visit, at_the_gate, waits


async def register_tool(visit: Visit) -> Reply:
    """A tool as source with the recorded runs it reproduces, or as a file that another project exported.

    What is no tool, or does not pass the gate beside what is here, is refused with 409.
    """
    body: ToolRegister = visit.body
    visit.own(body)
    spec = ToolSpec(
        visit.tool,
        Source.CAPABILITY,
        "Hand in a tool over HTTP; a person approves it.",
        effect=Effect.WRITE,
        action="synthesize",
        security="high",
    )
    decision = visit.application.decide(spec, {"name": body.name or ""}, visit.caller)
    if decision.verdict is not Verdict.ALLOW:
        raise NotAllowed(f"{visit.tool} over HTTP is not allowed: {decision.verdict} {decision.rule}.")
    given = (body.name, body.code, body.run_ids)
    if body.bundle is not None and any(given):
        raise Invalid("Cannot take the tool in: give a bundle, or name, code and run_ids. Not both.", where="bundle")
    if body.bundle is None and not (body.name and body.code):
        raise Invalid("Cannot take the tool in: name or code is missing. Give both, or a bundle.", where="code")
    making = visit.application.making
    with at_the_gate():
        if body.bundle is not None:
            version, origin = imported(body.bundle)
            report = await making.take_in(version, origin, visit.caller)
        else:
            report = await making.offer(body.name or "", body.code or "", body.description, body.run_ids, visit.caller)
    if report.status != "proposed":
        raise Refused(409, f"The tool was not taken in, at {report.stage}: {report.message}", "refused")
    return waits(report.approval_id, report.message)
