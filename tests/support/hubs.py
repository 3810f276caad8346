"""One test for both green libraries: hubs on several threads."""

import re

from harness import Patient


def check_hubs_on_several_threads(library: str, kind: str) -> None:
    """Each greenlet is shown under the thread that its hub runs on: idle, busy and stuck in C."""
    with Patient("hubs.py", library, flags=["-W", "ignore"]) as patient:
        idents = patient.told()
        assert patient.told() == "ready"
        with patient.connect() as client:
            greeting = client.read_until()
    threads = dict(re.findall(r"(?ms)^######### ProcessID=\d+, ThreadID=(\d+)[^\n]*$(.*?)(?=^#########|\Z)", greeting))
    for name, ident in idents.items():
        block = threads[str(ident)]
        assert block.count("--- hub ") == 1, block
        assert f"--- {kind} waits_{name}, suspended" in block
        running = re.findall(r"^--- (.*), running", block, re.M)
        assert (
            running
            == {"idle": [f"hub {library}"], "busy": [f"{kind} busy"], "main": [f"hub {library}"], "stuck": []}[name]
        )
    assert "in stuck\n" in threads[str(idents["stuck"])]
    assert "not known" not in greeting
