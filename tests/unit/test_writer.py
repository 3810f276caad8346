"""Writing to a client while one is writing to it already."""

import threading

from harness import DEADLINE

from manhole._writer import Writer


class InterruptedSocket:
    """While it sends for the first time, the same thread writes once more, as a destructor may that gc has run."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.writer = Writer(self)

    def send(self, data: bytes, flags: int) -> int:
        self.sent.append(bytes(data))
        if len(self.sent) == 1:
            write(self.writer, "from inside")
        return len(data)


def write(writer: Writer, text: str) -> None:
    writer.put("stdout", text)
    writer.drain()


def test_a_thread_that_is_sending_may_write_again() -> None:
    sock = InterruptedSocket()
    thread = threading.Thread(target=write, args=[sock.writer, "outer"], daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    write(sock.writer, "later")
    assert sock.sent == [b"outer", b"from inside", b"later"]
