"""One test for both green libraries: hubs on several threads."""

import re

from harness import Patient, conversation


def check_hubs_on_several_threads(library: str, kind: str) -> None:
    """Each greenlet is shown under the thread that its hub runs on: idle, busy and stuck in C."""
    with Patient("hubs.py", library, flags=["-W", "ignore"]) as patient:
        idents = patient.told()
        assert patient.told() == "ready"
        runs = {"idle": [f"hub {library}"], "busy": [f"{kind} busy"], "main": [f"hub {library}"], "stuck": []}
        with conversation(patient.default_path) as client:
            dump = client.dump_until(
                lambda dump: all(running(blocks(dump)[ident]) == runs[name] for name, ident in idents.items())
            )
    for name, ident in idents.items():
        block = blocks(dump)[ident]
        assert block.count("--- hub ") == 1, block
        assert f"--- {kind} waits_{name}, suspended" in block
    assert "in stuck\n" in blocks(dump)[idents["stuck"]]
    assert "not known" not in dump


def blocks(dump: str) -> dict[int, str]:
    """What is shown under each thread, by its ident."""
    found = re.findall(r"(?ms)^######### ProcessID=\d+, ThreadID=(\d+)[^\n]*$(.*?)(?=^#########|\Z)", dump)
    return {int(ident): block for ident, block in found}


def running(block: str) -> list[str]:
    return re.findall(r"^--- (.*), running", block, re.M)
