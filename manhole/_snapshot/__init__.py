"""Stacks as data, and the formats apart from the data."""

from manhole._snapshot._collect import FoundUnit, collect_snapshot, find_unit
from manhole._snapshot._formats import FORMATS, format_of_path, format_snapshot
from manhole._snapshot._groups import Group, group_units, select_units
from manhole._snapshot._model import Deadlock, Frame, Hub, Process, Snapshot, Unit, Wait
from manhole._snapshot._process import collect_process
from manhole._snapshot._roots import Roots
from manhole._snapshot._text import format_headline, format_text
from manhole._snapshot._verdict import format_verdict
from manhole._snapshot._words import name_unit

__all__ = [
    "FORMATS",
    "Deadlock",
    "FoundUnit",
    "Frame",
    "Group",
    "Hub",
    "Process",
    "Roots",
    "Snapshot",
    "Unit",
    "Wait",
    "collect_process",
    "collect_snapshot",
    "find_unit",
    "format_headline",
    "format_of_path",
    "format_snapshot",
    "format_text",
    "format_verdict",
    "group_units",
    "name_unit",
    "select_units",
]
