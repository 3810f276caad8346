"""Tasks that are cancelled, and what cannot be thrown into; what needs a hub of greenlets is in tests/contract/."""

import asyncio

import pytest

from manhole import compat
from manhole._errors import CannotThrow, NoSuchUnit
from manhole._throw import throw


async def _wait_for_ever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        ended.append("cancelled")
        raise


@pytest.mark.parametrize("from_a_thread", [False, True])
def test_a_task_is_cancelled_and_nothing_else_can_go_into_it(from_a_thread: bool) -> None:
    async def main() -> None:
        ended: list[str] = []
        task, other = (asyncio.create_task(_wait_for_ever(ended)) for _ in range(2))
        await asyncio.sleep(0)
        with pytest.raises(CannotThrow, match="only be cancelled"):
            throw(id(task), ValueError())
        if from_a_thread:
            unit = await asyncio.to_thread(throw, id(task), None)
        else:
            unit = throw(id(task), None)
        assert unit.kind == "Task"
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["cancelled"]
        with pytest.raises(CannotThrow, match="finished"):
            throw(id(task), None)
        assert not other.done()
        other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await other

    asyncio.run(main())


def test_a_thread_is_not_thrown_into() -> None:
    with pytest.raises(CannotThrow, match="only greenlets and tasks"):
        throw(compat.get_ident(), None)


def test_a_bare_greenlet_without_a_hub_is_not() -> None:
    greenlet = pytest.importorskip("greenlet")
    unit = greenlet.greenlet(lambda: greenlet.getcurrent().parent.switch())
    unit.switch()
    with pytest.raises(CannotThrow, match="no hub"):
        throw(id(unit), None)
    unit.switch()


def test_what_is_not_there_is_not() -> None:
    with pytest.raises(NoSuchUnit):
        throw(17, None)
