"""What clients did without Druse: events of their hooks become runs, and so do transcripts (`importing`)."""

from druse.past.chronicle import Chronicle
from druse.past.events import Event, Kind
from druse.past.ingestion import Ingestion, Taken, take_quietly

__all__ = ["Chronicle", "Event", "Ingestion", "Kind", "Taken", "take_quietly"]
