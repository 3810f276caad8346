"""asyncio's tasks and bare greenlets as text; what needs a runtime is in tests/contract/."""

import asyncio
import gc
import weakref

import pytest

from manhole import compat
from manhole._errors import NoSuchFrame
from manhole._inspect import MAX_VARIABLES, format_locals, format_unit


class Thing:
    pass


async def _inner(event: asyncio.Event, number: int) -> None:
    await event.wait()


async def _outer(event: asyncio.Event, thing: Thing) -> None:
    await _inner(event, 7)
    del thing
    event.clear()
    await event.wait()


@pytest.mark.parametrize("debug", [False, True])
def test_a_task_is_shown_through_what_it_awaits(debug: bool) -> None:
    async def main() -> None:
        event = asyncio.Event()
        thing = Thing()
        reference = weakref.ref(thing)
        task = asyncio.create_task(_outer(event, thing))
        del thing
        await asyncio.sleep(0)
        lines = list(format_unit(id(task)))
        assert lines[0].startswith("--- Task _outer")
        stack = lines.index("Its stack, the outermost frame first:")
        born = "\n".join(lines[:stack])
        assert ("Spawned at" in born and " in main" in born) == debug
        functions = [line.split()[-1] for line in lines[stack:] if " File " in line]
        assert functions[:2] == ["_outer", "_inner"]
        assert "        number = 7" in lines
        assert "        number = 7" in list(format_locals(id(task), 1))
        assert "        number = 7" not in list(format_locals(id(task), 0))
        event.set()
        await asyncio.sleep(0)
        gc.collect()
        assert not task.done()
        if hasattr(gc, "freeze"):  # CPython
            assert reference() is None
        event.set()
        await task
        assert "finished" in next(format_unit(id(task)))

    asyncio.run(main(), debug=debug)


def test_a_task_that_runs_is_shown() -> None:
    async def runs(number: int) -> list[str]:
        task = asyncio.current_task()
        return list(format_unit(id(task)))

    lines = asyncio.run(runs(3))
    assert "running" in lines[0]
    assert "        number = 3" in lines


def test_bare_greenlets() -> None:
    greenlet = pytest.importorskip("greenlet")

    def runs(number: int) -> None:
        shown.append(list(format_unit(id(greenlet.getcurrent()))))
        greenlet.getcurrent().parent.switch()

    shown: list[list[str]] = []
    unit = greenlet.greenlet(runs)
    lines = list(format_unit(id(unit)))
    assert "not started" in lines[0]
    assert lines[-1] == "It has no stack to show."
    with pytest.raises(NoSuchFrame, match="no frame to show"):
        format_locals(id(unit), 0)
    unit.switch(8)
    shown.append(list(format_unit(id(unit))))
    for lines in shown:
        assert "        number = 8" in lines
    assert "running" in shown[0][0]
    assert "suspended" in shown[1][0]
    unit.switch()


def test_of_many_variables_the_first_are_shown_and_how_to_see_all() -> None:
    greenlet = pytest.importorskip("greenlet")
    source = "def runs(*things):\n" + "".join(f"    v{number} = {number}\n" for number in range(50))
    names: dict[str, object] = {"pause": lambda: greenlet.getcurrent().parent.switch()}
    exec(source + "    pause()", names)
    unit = greenlet.greenlet(names["runs"])
    unit.switch()
    lines = list(format_unit(id(unit)))
    assert f"        v{MAX_VARIABLES - 2} = {MAX_VARIABLES - 2}" in lines
    assert f"        v{MAX_VARIABLES} = {MAX_VARIABLES}" not in lines
    assert f"        and {51 - MAX_VARIABLES} more: %locals {id(unit):#x} 0" in lines
    assert "        v49 = 49" in list(format_locals(id(unit), 0))
    unit.switch()


def test_no_frame_is_left_in_a_ring() -> None:
    """Without the garbage collector's help, also where the manhole's own frames are among those read."""

    def asks(thing: Thing) -> None:
        list(format_unit(compat.get_ident()))
        list(format_locals(compat.get_ident(), 0))

    thing = Thing()
    reference = weakref.ref(thing)
    gc.collect()
    gc.disable()
    try:
        asks(thing)
        del thing
        assert reference() is None or not hasattr(gc, "freeze")  # PyPy frees nothing without it
    finally:
        gc.enable()
