"""A browser for each test; skipped where there is none, but not where CI says that there has to be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest


def _find(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not on this machine; on Debian: apt-get install chromium chromium-driver"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def started() -> Iterator[Any]:
    pytest.importorskip("selenium", reason="selenium is not installed in this environment: it comes with [html-test]")
    # Not above: it needs selenium.
    from browser import start_browser

    with pytest.MonkeyPatch.context() as patch:
        # A machine's proxy is not the way to a driver on the same machine.
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "localhost,127.0.0.1")
        browser = start_browser(_find("chromium"), _find("chromedriver"))
        yield browser
        browser.driver.quit()


@pytest.fixture
def browser(started: Any) -> Any:
    """A `browser.Browser` on an empty page, with nothing left of the test before."""
    started.driver.get("about:blank")
    started.emulate()
    started.complaints()
    started.requests()
    return started
