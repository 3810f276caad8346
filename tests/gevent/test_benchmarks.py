"""The benchmark of dumps still runs, and says of everything that it could not measure why; its times are not judged."""

import subprocess
import sys
from pathlib import Path

SNAPSHOTS = Path(__file__).parents[2] / "benchmarks" / "snapshots.py"


def test_every_table_is_printed() -> None:
    small = ["--quick", "--sizes", "20", "--depth", "4", "--objects", "1000", "--spawns", "1000"]
    done = subprocess.run([sys.executable, str(SNAPSHOTS), *small], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    sections = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert [section.lstrip("# ").split(",")[0].split(":")[0] for section in sections[1:]] == [
        "Live dump",
        "Formatting alone",
        "Other objects on the heap",
        "Spawning a greenlet that does nothing",
        "Memory",
        "Targets",
    ]
    rows = {line.split("|")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("| ")}
    for name in ("manhole: text, full", "manhole: snapshot(), the data alone", "gevent: GreenletTree.format_lines()"):
        assert "skipped" not in rows[name]
    assert "skipped: no --rival given" in rows["python-manhole 1.8.1 (threads only)"]
