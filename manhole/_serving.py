"""What a manhole serves its clients with, whichever thread they are served on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import partial
from typing import Any

from manhole._attendant import Attendant
from manhole._audit import Audit
from manhole._errors import ConfigurationConflict
from manhole._exec import serve_exec
from manhole._log import Log
from manhole._options import Options
from manhole._peer import overflow_uid
from manhole._repl import serve_repl
from manhole._session import Handler, Session
from manhole._stdio import Router
from manhole._surroundings import Surroundings

__all__ = ["Serving"]

# There is one `sys`: code that a session of a replaced manhole still runs goes on beside its successor's sessions.
_ATTENDANT = Attendant()
_ROUTER = Router(_ATTENDANT.copy)


class Serving:
    """Makes the sessions of one manhole, and what serves them.

    :ivar sessions: those that were made and have not ended, by number; dict operations are atomic.
    :ivar around: what each takes from here.
    """

    def __init__(self, options: Options, log: Log) -> None:
        self._options = options
        self._log = log
        self._audit = Audit(options.audit_log)
        self._numbers = itertools.count(1)  # next() is atomic
        # Not asked at each connection: reading it lets go of the GIL three times, which a busy process is slow to give.
        self._unmapped_uid = overflow_uid()
        self.sessions: dict[int, Session] = {}
        self.around = Surroundings(
            log=log,
            router=_ROUTER,
            attendant=_ATTENDANT,
            locals=options.locals,
            redirect_stderr=options.redirect_stderr,
            max_output=options.max_output,
            max_sessions=options.max_sessions,
            dump_only=options.mode == "dump",
            list_sessions=self._describe_sessions,
        )

    def make_session(self, sock: Any) -> Session:
        """A session of an accepted socket; end() is due when it has ended."""
        session = Session(sock, next(self._numbers), self._log, self._audit, self._unmapped_uid)
        self.sessions[session.number] = session
        return session

    def end(self, session: Session) -> None:
        """*session* has ended, or was never begun."""
        self.sessions.pop(session.number, None)

    def has_room(self, newcomer: Session) -> bool:
        """Whether there are fewer sessions beside *newcomer* than there may be; abandoned ones do not count."""
        others = (session for session in self._admitted() if session is not newcomer)
        return sum(not session.is_abandoned for session in others) < self._options.max_sessions

    def handler(self, with_threads: bool) -> Handler:
        """What serves a session.

        :param with_threads: False on a thread of the application, where none of ours is welcome.
        """
        chosen = self._options.connection_handler
        if chosen == "repl":
            return partial(serve_repl, around=self.around, with_threads=with_threads)
        if chosen == "exec":
            return partial(serve_exec, around=self.around)

        def serve_by_choice(session: Session) -> None:
            session.mode = "handler"
            session.set_code_mask()
            chosen(session.socket)

        return serve_by_choice

    def serve(self, sock: Any, handler: str) -> None:
        """Serve *sock* as "repl" or "exec" on the calling thread: for handlers of the application's own.

        :raises ConfigurationConflict: if no code is to be run.
        :raises OSError: if the client is gone.
        """
        if handler == "exec" and self.around.dump_only:
            raise ConfigurationConflict(("mode", "handle_connection_exec()"), "mode='dump' runs no code")
        session = next((session for session in list(self.sessions.values()) if session.socket is sock), None)
        if session is None:
            session = self.make_session(sock)  # connected by the application itself
        serve = serve_repl if handler == "repl" else serve_exec
        try:
            serve(session, self.around)
        finally:
            if not session.is_admitted:
                self.end(session)

    def reset_after_fork(self) -> None:
        """In a forked child: all sessions are the parent's."""
        sessions, self.sessions = self.sessions, {}
        for session in sessions.values():
            session.close_after_fork()
        self.around.router.reset_after_fork()
        self.around.attendant.reset_after_fork()

    def _admitted(self) -> Iterable[Session]:
        return [session for session in list(self.sessions.values()) if session.is_admitted]

    def _describe_sessions(self) -> list[dict[str, Any]]:
        return [session.describe() for session in self._admitted()]
