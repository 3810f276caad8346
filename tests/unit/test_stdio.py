"""Whose output is whose: putting the stand-ins in place and taking them out."""

import sys

import pytest

from manhole._stdio import Router

NAMES = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__", "displayhook")


@pytest.mark.parametrize("line", range(1, 12))
def test_an_exception_in_the_midst_of_taking_out_loses_no_stream(line: int) -> None:
    """Such as that of a signal handler of the application's; the next session's end does what was left."""
    before = [getattr(sys, name) for name in NAMES]
    router = Router(lambda _text: None)
    router.attach("interrupted")
    seen: list[int] = []

    def trace(frame, event, _arg):
        if frame.f_code is not Router._take_out.__code__:
            return None
        if event == "line":
            seen.append(frame.f_lineno)
            if len(seen) == line:
                raise KeyboardInterrupt
        return trace

    tracing = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            router.detach("interrupted")
    finally:
        sys.settrace(tracing)
    router.attach("next")
    router.detach("next")
    assert [getattr(sys, name) for name in NAMES] == before
