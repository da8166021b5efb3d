"""`POST /tools`: a program of this machine hands a tool in while the server runs (seed id N-15).

It passes the gate of every tool and lands unapproved at every trust level: only a person puts it in service.
"""

from __future__ import annotations

from druse.crystal import imported
from druse.model import Effect, Invalid, NotAllowed, Source, ToolSpec, Verdict
from druse.web.shapes import ToolRegister
from druse.web.visit import Reply, Visit, waits


async def register_tool(visit: Visit) -> Reply:
    """A tool as source with the recorded runs it reproduces, or as a file that another project exported."""
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
    making = visit.application.making
    if body.bundle is not None:
        if body.name or body.code or body.run_ids:
            raise Invalid(
                "Cannot take the tool in: give a bundle, or name, code and run_ids. Not both.", where="bundle"
            )
        version, origin = imported(body.bundle)
        report = await making.take_in(version, origin, visit.caller)
    elif body.name and body.code:
        report = await making.offer(body.name, body.code, body.description, body.run_ids, visit.caller)
    else:
        raise Invalid("Cannot take the tool in: name or code is missing. Give both, or a bundle.", where="code")
    if report.status != "proposed":
        raise Invalid(f"The tool was not taken in, at {report.stage}: {report.message}", where=report.stage)
    return waits(report.approval_id, report.message)
