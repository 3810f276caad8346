"""Writing to a client while one is writing to it already."""

import threading

from harness import DEADLINE

from manhole._channel import Channel


class InterruptedSocket:
    """While it sends for the first time, the same thread writes once more, as a destructor may that gc has run."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.channel = Channel(self)

    def gettimeout(self) -> None:
        return None

    def send(self, data: bytes, flags: int) -> int:
        self.sent.append(bytes(data))
        if len(self.sent) == 1:
            write(self.channel, "from inside")
        return len(data)


def write(channel: Channel, text: str) -> None:
    channel.put("stdout", text)
    channel.drain()


def test_a_thread_that_is_sending_may_write_again() -> None:
    sock = InterruptedSocket()
    thread = threading.Thread(target=write, args=[sock.channel, "outer"], daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    write(sock.channel, "later")
    assert sock.sent == [b"outer", b"from inside", b"later"]
