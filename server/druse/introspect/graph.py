"""Tools, skills and workflows, and what holds them together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from druse.model import JsonObject, ToolVersion, VersionStatus
from druse.store import VersionRecord, WorkflowCount


@dataclass(slots=True)
class Graph:
    """Nodes by id, and edges from one to another. An edge's kind is calls, made_from or replaced_by."""

    nodes: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    edges: dict[tuple[str, str, str], None] = field(default_factory=dict[tuple[str, str, str], None])

    def node(self, identifier: str, kind: str, label: str, **more: str | int) -> str:
        """Add a node, or more about one."""
        self.nodes[identifier] = {**self.nodes.get(identifier, {}), "kind": kind, "label": label, **more}
        return identifier

    def edge(self, source: str, target: str, kind: str) -> None:
        """Add an edge once."""
        self.edges[source, target, kind] = None

    def as_dict(self) -> JsonObject:
        """Nodes and edges as JSON."""
        return {
            "nodes": [{"id": identifier, **node} for identifier, node in sorted(self.nodes.items())],
            "edges": [{"from": source, "to": target, "kind": kind} for source, target, kind in sorted(self.edges)],
        }

    def as_mermaid(self) -> str:
        """The same as a Mermaid flow chart."""
        names = {identifier: f"n{number}" for number, identifier in enumerate(sorted(self.nodes))}
        lines = ["flowchart LR"]
        for identifier, name in names.items():
            node = self.nodes[identifier]
            label = re.sub(r'["<>\n\r]', " ", str(node["label"]))[:80]
            left, right = {"skill": ("([", "])"), "workflow": ("[/", "/]")}.get(str(node["kind"]), ("[", "]"))
            lines.append(f'  {name}{left}"{label}"{right}')
        lines += [f"  {names[a]} -->|{kind}| {names[b]}" for a, b, kind in sorted(self.edges)]
        return "\n".join(lines)


def capability_graph(
    records: Sequence[VersionRecord],
    loaded: Mapping[str, ToolVersion],
    workflows: Sequence[WorkflowCount],
    skills: Sequence[str],
    signature: Mapping[str, str],
) -> Graph:
    """The graph of one workspace. `signature`: the short name of each workflow."""
    graph = Graph()
    for name in skills:
        graph.node(f"skill:{name}", "skill", name)
    for count in workflows:
        label = count.goal or signature[count.workflow]
        graph.node(
            f"workflow:{signature[count.workflow]}", "workflow", label, runs=count.runs, successes=count.successes
        )
        for tool in dict.fromkeys(part.split("(")[0].strip() for part in count.workflow.split(" > ")):
            called = re.match(r"[\w.-]+", tool)
            if called:
                graph.edge(
                    f"workflow:{signature[count.workflow]}", graph.node(f"tool:{called[0]}", "tool", called[0]), "calls"
                )
    last: dict[str, str] = {}
    for record in sorted(records, key=lambda record: (record.name, record.version)):
        if record.status in (VersionStatus.PROPOSED, VersionStatus.REJECTED):
            continue
        own = graph.node(
            f"learned:{record.name}@{record.version}",
            "learned tool",
            f"{record.name} v{record.version}",
            status=str(record.status),
        )
        if record.workflow in signature:
            graph.edge(own, f"workflow:{signature[record.workflow]}", "made_from")
        if record.name in last:
            graph.edge(last[record.name], own, "replaced_by")
        last[record.name] = own
        version = loaded.get(record.name)
        permissions = version.manifest.get("permissions") if version and version.version == record.version else None
        for tool in permissions if isinstance(permissions, list) else []:
            graph.edge(own, graph.node(f"tool:{tool}", "tool", str(tool)), "calls")
    return graph
