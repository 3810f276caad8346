"""One call that is made in a hub from outside: queued, waited for, withdrawn, interrupted, and forgotten."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from types import CodeType, CoroutineType, FrameType, TracebackType
from typing import Any

from manhole import compat

__all__ = ["HubCall"]

# The longest wait in one C call: an exception raised in the waiting thread from outside gets there in between.
SLICE_SECONDS = 0.05


class _Interruption:
    """An exception on its way into a call, by two ways; whichever is the first delivers it. Both end on one thread."""

    def __init__(self, exception: type[BaseException]) -> None:
        self.exception = exception
        self.is_delivered = False


class HubCall:
    """A function to be called inside a hub, in a greenlet of its own or, if it returns a coroutine, in a task.

    :param function: called without arguments.
    :param hub: where.
    :param context: the context that it runs in; None for whatever the hub has.

    Its methods may be called from any thread, but wait() not from the hub's own. Nothing that the function returns or
    raises gets to the hub, not even SystemExit.
    """

    def __init__(
        self, function: Callable[[], object], hub: compat.HubHandle, context: contextvars.Context | None = None
    ) -> None:
        self.hub = hub
        self._function: Callable[[], object] | None = function
        self._context = context
        self._claim = compat.allocate_lock()  # whoever gets it decides: it begins, or is withdrawn
        self._ended = compat.allocate_lock()
        self._ended.acquire()
        self._begun = False
        self._is_over = False
        self._is_abandoned = False
        self._thread: int | None = None  # that it runs on
        self._unit: Any = None
        self._frame: FrameType | None = None  # below it, on the stack, everything is the function's
        self._interruption: _Interruption | None = None
        self._value: object = None
        self._error: BaseException | None = None

    @property
    def begun(self) -> bool:
        """Whether the function was called."""
        return self._begun

    @property
    def unit(self) -> int | None:
        """The ident of the greenlet or task that it runs in; None where it does not run, or is a callback."""
        unit = self._unit
        return None if unit is None else id(unit)

    def start(self) -> None:
        """Queue it in the hub, and wake the hub. Never blocks.

        :raises Exception: if the hub is just being closed, or no descriptor is left to wake it with.
        """
        self.hub.call_soon(self._spawn)

    def wait(self, timeout: float) -> bool:
        """Whether it has ended; waits for that at most *timeout* seconds, in slices that let exceptions in."""
        deadline = compat.monotonic() + timeout
        nudge_after = SLICE_SECONDS
        began = compat.monotonic()
        while not self._is_over:
            compat.checkpoint()
            now = compat.monotonic()
            if self._ended.acquire(timeout=max(0.0, min(SLICE_SECONDS, deadline - now))):
                self._ended.release()
            elif now >= deadline:
                break
            elif self._begun:
                self._ask_again()
            elif now - began >= nudge_after:
                nudge_after *= 2  # a handful of times for any timeout
                self.hub.nudge()
        return self._is_over

    def withdraw(self) -> bool:
        """True if it had not begun, and then it never will; False if it has."""
        if not self._claim.acquire(False):
            return False
        self._forget()
        return True

    def abandon(self) -> None:
        """Nobody will ask for the result any more: let go of it, now or when it is there."""
        self._is_abandoned = True
        if self._is_over:
            self._value = self._error = None

    def interrupt(self, exception: type[BaseException] = KeyboardInterrupt) -> None:
        """Raise *exception* in the function, wherever it is. Never blocks.

        Where it is suspended, through the hub as soon as that comes round; a task is cancelled, and ends as if with
        *exception*. Where it computes on the main thread, at its next step of bytecode, on CPython; on another thread,
        or on PyPy, it is reached when it next waits. It does not hit anything but the function. Code in a C call is
        reached when that returns.
        """
        if self._is_over or not self._begun:
            return
        interruption = self._interruption = _Interruption(exception)
        self._ask_again()
        self.hub.call_soon(partial(self._throw, interruption))

    def result(self) -> Any:
        """What the function returned; raises what it raised, with its traceback. Once, after wait() has said so."""
        error, self._error = self._error, None
        value, self._value = self._value, None
        try:
            if error is not None:
                raise error
            return value
        finally:
            del error, value, self  # the traceback holds this frame

    # What follows runs in the hub.

    def _spawn(self) -> None:
        """In a callback of the hub: make the unit."""
        if self._claim.locked():
            return  # withdrawn
        try:
            self.hub.spawn(self._run, self._context)
        except BaseException as error:  # noqa: BLE001 - a hook of the application's on new greenlets, perhaps
            if self._claim.acquire(False) or (self._begun and not self._is_over):
                self._finish(None, error)

    def _run(self) -> Coroutine[Any, Any, None] | None:
        """In the unit: call the function. gevent ends the application at a SystemExit, so nothing is let through."""
        if not self._claim.acquire(False):
            return None
        self._thread = compat.get_ident()
        self._begun = True
        try:
            self._unit = self.hub.current_unit()
            value = self._call()
            if self.hub.has_tasks and type(value) is CoroutineType:
                return self._await(value)
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self._finish(None, error)
        else:
            self._finish(value, None)
        return None

    def _call(self) -> object:
        self._frame = sys._getframe()
        function, context = self._function, self._context
        assert function is not None
        return function() if context is None else context.run(function)

    async def _await(self, coroutine: CoroutineType[Any, Any, object]) -> None:
        try:
            self._unit = self.hub.current_unit()
            value = await self._await_in_frame(coroutine)
        except BaseException as error:  # noqa: BLE001 - as in _run()
            interruption = self._interruption
            is_cancelled = interruption is not None and interruption.is_delivered and _is_cancellation(error)
            if interruption is not None and is_cancelled:
                self._finish(None, interruption.exception().with_traceback(error.__traceback__))
            else:
                self._finish(None, error)
        else:
            self._finish(value, None)

    async def _await_in_frame(self, coroutine: CoroutineType[Any, Any, object]) -> object:
        self._frame = sys._getframe()
        return await coroutine

    def _finish(self, value: object, error: BaseException | None) -> None:
        if error is not None:
            error.__traceback__ = _of_the_function(error.__traceback__)
            compat.without_interruption(error.__traceback__)
        if not self._is_abandoned:
            self._value, self._error = value, error
        del value, error
        self._forget()
        self._is_over = True
        if self._is_abandoned:
            self._value = self._error = None
        self._ended.release()

    def _forget(self) -> None:
        self._function = self._context = self._unit = self._frame = self._interruption = None

    def _throw(self, interruption: _Interruption) -> None:
        """In a callback of the hub: the function is suspended, or over."""
        unit = self._unit
        if unit is None or self._is_over or interruption.is_delivered:
            return
        interruption.is_delivered = True
        self.hub.throw(unit, interruption.exception)

    # What follows is for the main thread, where the function may be computing.

    def _ask_again(self) -> None:
        """Once is not enough: the function may be just suspended, and compute on before the hub comes round."""
        interruption = self._interruption
        if interruption is None or interruption.is_delivered or self._thread != compat.main_thread_ident():
            return
        compat.interrupt_main_thread(partial(self._is_running_in, interruption))

    def _is_running_in(self, interruption: _Interruption, frame: FrameType | None) -> type[BaseException] | None:
        """What to raise in *frame*, which runs on the main thread at this moment."""
        mine = self._frame
        if mine is None or interruption.is_delivered:
            return None
        while frame is not None and frame is not mine:
            frame = frame.f_back
        if frame is None:
            return None
        interruption.is_delivered = True
        return interruption.exception


_OWN_CODES: tuple[CodeType, ...] = tuple(
    method.__code__ for method in (HubCall._run, HubCall._call, HubCall._await, HubCall._await_in_frame)
)


def _of_the_function(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of HubCall that it begins with: they would hold the call, and interest nobody."""
    while traceback is not None and traceback.tb_frame.f_code in _OWN_CODES:
        traceback = traceback.tb_next
    return traceback


def _is_cancellation(error: BaseException) -> bool:
    cls = getattr(sys.modules.get("asyncio.exceptions"), "CancelledError", None)
    return isinstance(cls, type) and issubclass(type(error), cls)
