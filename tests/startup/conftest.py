"""Environments with the package installed in each way that there is, and programs started in them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import DEADLINE, Patient

CHECKOUT = Path(__file__).parents[2]
# Making an environment and fetching the build's tools takes seconds. Arbitrary; long enough for a slow connection.
BUILD_DEADLINE = 100.0
# Of the two start-up files each Python executes one; both block here, so that a test can look at what runs inside site.
BLOCKS = """\
import json, os

def block():
    if os.environ.pop("BLOCK_SITE", None):
        os.write(int(os.environ["READY_FD"]), json.dumps("in site").encode() + b"\\n")
        os.read(0, 1)
"""


class Environment:
    """A virtual environment made by the Python that runs the tests.

    :ivar python: its interpreter.
    :ivar packages: its site-packages.
    """

    def __init__(self, folder: Path, *, pip: bool = False) -> None:
        _call(sys.executable, "-m", "venv", *([] if pip else ["--without-pip"]), str(folder))
        self.python = folder / "bin" / "python"
        self.packages = Path(_call(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())

    def start(self, value: str, *arguments: str | Path, **variables: str) -> Program:
        """Start a program with *value* for PYTHONMANHOLE."""
        return Program(self.python, *map(str, arguments), env={"PYTHONMANHOLE": value, **variables})

    def run(self, value: str | None, *arguments: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run a program to its end with *value* for PYTHONMANHOLE, None for unset; *how* as for subprocess.run()."""
        env = plain_environment() if value is None else {**plain_environment(), "PYTHONMANHOLE": value}
        how = {"input": "", "args": [str(self.python), *map(str, arguments)], **how}
        return subprocess.run(capture_output=True, env=env, timeout=DEADLINE, text=True, **how)


class Builder:
    """Builds the checkout as `pip` would, with its build backend in an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self._python = Environment(folder, pip=True).python
        self._pip("install", "hatchling>=1.25", "editables")

    def build(self, hook: str, folder: Path) -> Path:
        """Call the backend's build_wheel, build_editable or build_sdist; its artifact, in *folder*."""
        code = "import sys, hatchling.build as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"
        return folder / _call(self._python, "-c", code, hook, str(folder), cwd=CHECKOUT).splitlines()[-1]

    def build_wheel_of(self, sdist: Path, folder: Path) -> Path:
        self._pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(sdist))
        [wheel] = folder.glob("*.whl")
        return wheel

    def install(self, wheel: Path, environment: Environment) -> None:
        self._pip("--python", str(environment.python), "install", "--no-index", "--no-deps", str(wheel))

    def uninstall(self, environment: Environment) -> None:
        self._pip("--python", str(environment.python), "uninstall", "--yes", "manhole")

    def _pip(self, *arguments: str) -> None:
        _call(self._python, "-m", "pip", "--disable-pip-version-check", *arguments)


class Program(Patient):
    """A Patient that runs in an environment of these tests."""

    def __init__(self, python: Path, *arguments: str, env: dict[str, str]) -> None:
        self._read, write = os.pipe()
        try:
            self.process = subprocess.Popen(
                [str(python), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**plain_environment(), "READY_FD": str(write), **env},
                pass_fds=[write],
            )
        finally:
            os.close(write)
        self.pid = self.process.pid
        self._told = b""


def plain_environment() -> dict[str, str]:
    """The variables without those that change what a Python does, which are what is tested here."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _call(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=plain_environment(),
        cwd=cwd,
        timeout=BUILD_DEADLINE,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    if not (CHECKOUT / "pyproject.toml").is_file():
        pytest.skip("there is no checkout to build")
    return Builder(tmp_path_factory.mktemp("builder"))


@pytest.fixture(scope="session")
def wheel(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builder.build("build_wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Environment]:
    return lambda: Environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="session")
def environment(builder: Builder, wheel: Path, make_environment: Callable[[], Environment]) -> Environment:
    """One with the wheel, the libraries of the tests' own environment, and a start-up file that blocks when told to."""
    environment = make_environment()
    builder.install(wheel, environment)
    (environment.packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (environment.packages / "_blocks.py").write_text(BLOCKS)
    (environment.packages / "zz_blocks.pth").write_text("import _blocks; _blocks.block()\n")
    (environment.packages / "zz_blocks.start").write_text("_blocks:block\n")
    return environment
