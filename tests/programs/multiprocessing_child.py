"""Starts one child with multiprocessing, by the method of its first argument; who installs is the second.

It tells the child's pid once the child runs, lets the child end when it is told to, and tells its exit status.
"""

import multiprocessing
import sys

from _tell import tell

import manhole


def child(connection):
    connection.send("running")
    connection.recv()


def child_that_installs(connection):
    manhole.install()
    child(connection)


def main(method, who):
    if who != "variable":
        manhole.install()
    context = multiprocessing.get_context(method)
    ours, its = context.Pipe()
    process = context.Process(target=child_that_installs if who == "each" else child, args=(its,))
    process.start()
    its.close()
    assert ours.recv() == "running"
    tell(process.pid)
    sys.stdin.readline()
    ours.send("end")
    process.join()
    tell(process.exitcode)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
