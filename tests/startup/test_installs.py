"""Wheel, sdist and editable install: each brings the start-up files, and each takes them away again."""

from pathlib import Path

import pytest
from harness import conversation

WAITS = "import os; os.write(int(os.environ['READY_FD']), b'1\\n'); os.read(0, 1)"


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_a_program_of_the_environment_is_reachable(kind, builder, wheel, make_environment, tmp_path: Path):
    if kind == "wheel":
        artifact = wheel
    elif kind == "sdist":
        artifact = builder.build_wheel_of(builder.build("build_sdist", tmp_path), tmp_path)
    else:
        artifact = builder.build("build_editable", tmp_path)
    environment = make_environment()
    before = files_of(environment.packages)
    builder.install(artifact, environment)
    with environment.start("verbose=False", "-c", WAITS) as program:
        assert program.told() == 1
        with conversation(program.default_path) as client:
            assert client.ask("os.getpid()") == f"{program.pid}\n"
    builder.uninstall(environment)
    assert files_of(environment.packages) == before


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
