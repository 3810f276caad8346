"""Work in small steps, so that the application hardly notices it."""

from __future__ import annotations

from manhole import compat

__all__ = ["Pace"]

# Of work between two pauses. A hub that has something to do waits so long at most, rather than the interpreter's switch
# interval of 5 milliseconds, after which it would get the GIL for the asking.
WORK_SECONDS = 0.002
# Of a pause. sleep(0) would often take the GIL back before anybody else has had it.
PAUSE_SECONDS = 0.00005
# A pause that lasts longer than this was one in which somebody else computed. Whoever computes all the time gets every
# second switch interval anyway, and our pauses would only make the dump five times longer.
CONTENDED_SECONDS = 0.002
CONTENDED_WORK_SECONDS = 0.005


class Pace:
    """Lets go of the GIL now and then."""

    def __init__(self) -> None:
        self._until = compat.monotonic() + WORK_SECONDS

    def step(self) -> None:
        """To be called between two small pieces of work: pauses if it is time to."""
        now = compat.monotonic()
        if now < self._until:
            return
        compat.sleep(PAUSE_SECONDS)
        after = compat.monotonic()
        contended = after - now > CONTENDED_SECONDS
        self._until = after + (CONTENDED_WORK_SECONDS if contended else WORK_SECONDS)
