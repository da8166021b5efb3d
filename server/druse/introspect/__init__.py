"""Looking at plans, tools and decisions; nothing here changes anything."""

from druse.introspect.graph import Graph, capability_graph
from druse.introspect.repair import repaired
from druse.introspect.types import type_analysis

__all__ = ["Graph", "capability_graph", "repaired", "type_analysis"]
