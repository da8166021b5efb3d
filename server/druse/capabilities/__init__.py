"""What Druse can do to itself, as tools: planning, learning, looking at itself."""

from druse.capabilities.catalogue import SPECS
from druse.capabilities.provider import Capabilities
from druse.capabilities.workbench import Workbench

__all__ = ["SPECS", "Capabilities", "Workbench"]
