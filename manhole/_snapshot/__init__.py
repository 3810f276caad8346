"""Stacks as data, and the formats apart from the data."""

from manhole._snapshot._collect import collect_snapshot
from manhole._snapshot._model import Frame, Greenlet, Snapshot, Thread
from manhole._snapshot._text import format_snapshot

__all__ = ["Frame", "Greenlet", "Snapshot", "Thread", "collect_snapshot", "format_snapshot"]
