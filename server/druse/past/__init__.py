"""What clients did without Druse: events of their hooks and their transcripts become runs."""

from druse.past.chronicle import Chronicle
from druse.past.events import Event, Kind
from druse.past.ingestion import Ingestion, Taken, take_quietly

__all__ = ["Chronicle", "Event", "Ingestion", "Kind", "Taken", "take_quietly"]
