"""The measurements of `snapshots.py` as Markdown: tables with ratios, and what was aimed at beside what came out."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from _ways import FORMATS, WAYS

__all__ = ["LIVE", "Case", "Results", "format_report"]

MIB = 1024  # of KiB
# The rows of the table of live dumps; the last is no dump.
LIVE = ("grouped", "full", "json", "snapshot", "gevent", "rival", "py-spy", "faulthandler", "compute")
# The targets of growth and memory speak of the whole range, the others of this size.
TARGET_SIZE = 10_000


class Case(NamedTuple):
    """What one patient is asked to measure."""

    kind: str  # a key of _patient.KINDS
    way: str = ""  # a key of WAYS
    size: int = 0  # suspended greenlets, or greenlets to spawn
    objects: int = 0  # other objects on the heap
    times: int = 1  # dumps one after the other
    track: bool = False  # with the registry of greenlets


Results = dict[Case, list[dict[str, Any]]]  # one item per run


def format_report(results: Results, arguments: argparse.Namespace) -> Iterator[str]:
    """Lines of Markdown, one section for each question."""
    report = _Report(results, arguments)
    yield from report.heading()
    for size in arguments.sizes:
        yield from report.live(size)
    for size in arguments.sizes:
        yield from report.formats(size)
    yield from report.full_heap()
    yield from report.spawns()
    yield from report.stays()
    yield from report.growth()
    yield from report.targets()


class _Report:
    def __init__(self, results: Results, arguments: argparse.Namespace) -> None:
        self.results = results
        self.arguments = arguments

    # --- reading results

    def runs(self, case: Case, path: Sequence[str | int]) -> list[float]:
        """What each run has measured at *path*; empty if it was skipped or not asked for."""
        found = []
        for result in self.results.get(case, []):
            for key in path:
                if isinstance(result, dict) and "skipped" in result:
                    break
                result = result[key]  # type: ignore[index]
            else:
                found.append(result)
        return found  # type: ignore[return-value]

    def median(self, case: Case, *path: str | int) -> float | None:
        runs = self.runs(case, path)
        return statistics.median(runs) if runs else None

    def first(self, case: Case, field: str) -> float | None:
        """The median of the first dump's *field*."""
        return self.median(case, "dumps", 0, field)

    def lateness(self, case: Case) -> str:
        """In milliseconds: the median of the runs' worst, and of all runs the worst."""
        runs = self.runs(case, ("dumps", 0, "lateness"))
        if not runs:
            return "-"
        worst = f" ({max(runs) * 1000:.1f})" if len(runs) > 1 else ""
        return f"{statistics.median(runs) * 1000:.1f}{worst}"

    def skipped(self, case: Case, *path: str) -> str | None:
        result: Any = (self.results.get(case) or [{"skipped": "not asked for"}])[0]
        for key in path:
            result = result if "skipped" in result else result[key]
        reason: str | None = result.get("skipped")
        return reason

    # --- sections

    def heading(self) -> Iterator[str]:
        seen = self.results[Case("describe")][0]
        idle = [run["idle"] for runs in self.results.values() for run in runs if "idle" in run]
        yield f"## {seen['python']}"
        yield ""
        yield (
            f"- {_cpu()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}; "
            f"load average {self.arguments.load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
        )
        yield f"- gevent {seen['gevent']}, greenlet {seen['greenlet']}"
        runs = self.arguments.runs
        yield f"- {self.arguments.depth} frames a greenlet, {self.arguments.groups} different stacks; " + (
            f"medians of {runs} runs, in brackets the worst of all" if runs > 1 else "one run"
        )
        yield f"- one GIL switch interval: {seen['switch_interval'] * 1000:g} ms"
        yield (
            f"- the ticker's worst lateness without any dump: median {statistics.median(idle) * 1000:.1f} ms, "
            f"{max(idle) * 1000:.1f} ms in the worst of {len(idle)} processes"
        )

    def live(self, size: int) -> Iterator[str]:
        yield from _head(
            f"Live dump, {size:,} greenlets",
            ("", "wall ms", "worst lateness ms", "idle before ms", "peak MiB", "bytes", "× faster", "× less late"),
        )
        gevent = Case("live", "gevent", size)
        for way in LIVE:
            case = Case("live", way, size)
            reason = self.skipped(case)
            if reason:
                yield f"| {WAYS[way].name} | skipped: {reason} |  |  |  |  |  |  |"
                continue
            ratios = [
                "" if way == "compute" else _ratio(self.first(gevent, field), self.first(case, field))
                for field in ("seconds", "lateness")
            ]
            yield _row(
                WAYS[way].name,
                _scaled(self.first(case, "seconds"), 1000, 2),
                self.lateness(case),
                _scaled(self.median(case, "idle"), 1000),
                _scaled(self.first(case, "peak_kib"), 1 / MIB),
                _count(self.first(case, "bytes")),
                *ratios,
            )

    def formats(self, size: int) -> Iterator[str]:
        yield from _head(
            f"Formatting alone, {size:,} greenlets, nothing else running",
            ("", "get the data, ms", "format, ms", "both, ms", "bytes", "× faster: format", "× faster: both"),
        )
        case = Case("format", size=size)

        def of(name: str) -> tuple[float | None, float | None, float | None]:
            collect, write = self.median(case, name, "collect"), self.median(case, name, "format")
            return collect, write, None if collect is None or write is None else collect + write

        for name, one in FORMATS.items():
            reason = self.skipped(case, name)
            if reason:
                yield f"| {one.name} | skipped: {reason} |  |  |  |  |  |"
                continue
            times = of(name)
            yield _row(
                one.name,
                *(_scaled(time, 1000) for time in times),
                _count(self.median(case, name, "bytes")),
                _ratio(of("gevent")[1], times[1]),
                _ratio(of("gevent")[2], times[2]),
            )

    def full_heap(self) -> Iterator[str]:
        full = [case for case in self.results if case.objects]
        yield from _head(
            f"Other objects on the heap, {full[0].size:,} greenlets",
            ("", "other objects", "wall ms", "worst lateness ms", "ns an object"),
        )
        for case in full:
            without = case._replace(objects=0, track=False)
            name = WAYS[case.way].name + (", from the registry" if case.track else "")
            for one in (case,) if case.track else (without, case):
                reason = self.skipped(one)
                if reason:
                    yield f"| {name} | {one.objects:,} | skipped: {reason} |  |  |"
                    continue
                seconds = self.first(one, "seconds")
                more = (seconds or 0) - (self.first(without, "seconds") or 0)
                an_object = _scaled(more / one.objects, 1e9) if one.objects else ""
                yield _row(name, f"{one.objects:,}", _scaled(seconds, 1000), self.lateness(one), an_object)

    def spawns(self) -> Iterator[str]:
        yield from _head("Spawning a greenlet that does nothing, to its end", ("", "µs", "more, µs", "×"))
        plain = self.median(Case("spawn", size=self.arguments.spawns), "seconds")
        for track in (False, True):
            case = Case("spawn", size=self.arguments.spawns, track=track)
            name = "with `install(track_greenlets=True)`" if track else "without a registry"
            reason = self.skipped(case)
            if reason:
                yield f"| {name} | skipped: {reason} |  |  |"
                continue
            seconds = self.median(case, "seconds")
            more = seconds - plain if track and seconds is not None and plain is not None else None
            yield _row(name, _scaled(seconds, 1e6, 2), _scaled(more, 1e6, 2), _ratio(seconds, plain))

    def stays(self) -> Iterator[str]:
        shown = [case for case in self.results if case.times > 1]
        yield from _head(
            f"Memory, {shown[0].size:,} greenlets, MiB",
            ("", "first peak", *(f"stays after dump {number + 1}" for number in range(shown[0].times))),
        )
        for case in shown:
            reason = self.skipped(case)
            if reason:
                yield f"| {WAYS[case.way].name} | skipped: {reason} |" + "  |" * case.times
                continue
            stays = [self.median(case, "dumps", number, "stays_kib") or 0 for number in range(case.times)]
            yield _row(
                WAYS[case.way].name,
                _scaled(self.first(case, "peak_kib"), 1 / MIB),
                *(_scaled(sum(stays[: number + 1]), 1 / MIB) for number in range(case.times)),
            )

    def growth(self) -> Iterator[str]:
        sizes = self.arguments.sizes
        if len(sizes) < 2:
            return
        yield from _head("Growth: wall µs a greenlet in the live dump", ("", *(f"{size:,}" for size in sizes)))
        for way in ("grouped", "full", "json", "snapshot", "gevent"):
            if not self.skipped(Case("live", way, sizes[0])):
                yield _row(WAYS[way].name, *(_scaled(self.per_greenlet(way, size), 1e6) for size in sizes))

    def per_greenlet(self, way: str, size: int) -> float | None:
        seconds = self.first(Case("live", way, size), "seconds")
        return None if seconds is None else seconds / size

    def targets(self) -> Iterator[str]:
        sizes = self.arguments.sizes
        largest = sizes[-1]
        ours, gevent = Case("live", "grouped", TARGET_SIZE), Case("live", "gevent", TARGET_SIZE)
        written = {name: self.median(Case("format", size=TARGET_SIZE), name, "format") for name in FORMATS}
        interval = self.results[Case("describe")][0]["switch_interval"]
        memory = [case for case in self.results if case.times > 1]

        def kib(way: str, case_field: str) -> float | None:
            return next((self.first(case, case_field) for case in memory if case.way == way), None)

        peak, walked = kib("snapshot", "peak_kib"), kib("walk", "peak_kib")
        late = self.first(Case("live", "grouped", largest), "lateness")
        at = f"{TARGET_SIZE:,}"
        yield from _head("Targets", ("", "aimed at", "came out", ""))
        yield _aim(f"{at}: formatting alone, grouped", 20, _quotient(written["gevent"], written["grouped"]))
        yield _aim(f"{at}: formatting alone, full", 10, _quotient(written["gevent"], written["full"]))
        for what, field, least in (("worst lateness", "lateness", 100), ("total", "seconds", 5)):
            reached = _quotient(self.first(gevent, field), self.first(ours, field))
            yield _aim(f"{at}: live grouped dump against gevent's, {what}", least, reached)
        yield _limit(
            f"{largest:,}: worst lateness, two GIL switch intervals", 2000 * interval, late and late * 1000, "ms"
        )
        for way in ("grouped", "snapshot"):
            # Half as much again for noise and caches; a quadratic step would make it tens of times.
            yield _limit(
                f"{largest:,} against {sizes[0]:,}, {way}: time a greenlet",
                1.5,
                _quotient(self.per_greenlet(way, largest), self.per_greenlet(way, sizes[0])),
                "×",
            )
        yield _limit(f"{largest:,}: peak of snapshot()", 200, peak and peak / MIB, "MiB")
        yield _row(
            "of it, frame objects that CPython makes for any look", "", _with_unit(walked and walked / MIB, "MiB"), ""
        )


# --- cells


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _head(title: str, columns: Sequence[str]) -> Iterator[str]:
    yield ""
    yield f"### {title}"
    yield ""
    yield _row(*columns)
    yield "|" + "|".join([" --- ", *(" ---: " for _ in columns[1:])]) + "|"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _scaled(value: float | None, factor: float, digits: int = 1) -> str:
    return "-" if value is None else f"{value * factor:,.{digits}f}"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _quotient(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None


def _ratio(one: float | None, other: float | None) -> str:
    quotient = _quotient(one, other)
    return "-" if quotient is None else f"{quotient:.2g}" if quotient < 10 else f"{quotient:,.0f}"


def _judge(value: float | None, meets: Callable[[float], bool]) -> str:
    return "not measured" if value is None else "met" if meets(value) else "missed"


def _with_unit(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:,.1f} {unit}"


def _aim(what: str, least: float, value: float | None) -> str:
    return _row(what, f"≥ {least:g} ×", _with_unit(value, "×"), _judge(value, lambda value: value >= least))


def _limit(what: str, most: float, value: float | None, unit: str) -> str:
    return _row(what, f"≤ {most:g} {unit}", _with_unit(value, unit), _judge(value, lambda value: value <= most))
