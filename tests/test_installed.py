"""That the suite meets what a user installs, in the environment that its name promises; tox tells what to expect."""

import importlib.metadata
import importlib.util
import os
import sysconfig
from pathlib import Path

import pytest

import manhole

pytestmark = pytest.mark.skipif(
    os.environ.get("MANHOLE_INSTALLED") != "1", reason="not run by tox: any manhole will do"
)

GREEN = ("gevent", "eventlet", "greenlet")


def test_the_package_under_test_is_the_installed_wheel_and_not_the_checkout():
    folder = Path(manhole.__file__).resolve().parent
    assert folder == Path(sysconfig.get_path("purelib")).resolve() / "manhole"


def test_the_installed_version_is_the_one_that_the_package_says():
    assert importlib.metadata.version("manhole") == manhole.__version__


def test_the_wheel_says_that_it_is_typed():
    assert (Path(manhole.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("library", GREEN)
def test_the_green_libraries_are_the_ones_that_this_environment_promises(library):
    installed = importlib.util.find_spec(library) is not None
    assert installed == (library in os.environ["MANHOLE_TEST_LIBRARIES"].split())
