"""Writing to a client while one is writing to it already."""

import threading

from harness import DEADLINE

from manhole._channel import Channel


class InterruptedSocket:
    """While it sends for the first time, the same thread writes once more, as a destructor may that gc has run."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.channel = Channel(self)

    def settimeout(self, seconds: float | None) -> None:
        pass

    def sendall(self, data: bytes, flags: int) -> None:
        self.sent.append(data)
        if len(self.sent) == 1:
            self.channel.write(b"from inside")


def test_a_thread_that_is_sending_may_write_again() -> None:
    sock = InterruptedSocket()
    thread = threading.Thread(target=sock.channel.write, args=[b"outer"], daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    sock.channel.write(b"later")
    assert sock.sent == [b"outer", b"from inside", b"later"]
