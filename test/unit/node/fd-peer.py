"""The other end of fd-passing.test.ts, written in another language: SCENARIO PATH, connects to PATH.

Scenarios whose names begin with listen_ listen there instead, and tell when they do.

Prints one JSON value a line when there is something to tell.
"""

import array
import fcntl
import hashlib
import json
import mmap
import os
import socket
import struct
import sys

F_GET_SEALS = 1034
CLOEXEC = os.O_CLOEXEC


def tell(value):
    print(json.dumps(value), flush=True)


def heard():
    """Waits for a line of the test."""
    return sys.stdin.readline().strip()


def memory(byte_length, flags=os.MFD_CLOEXEC):
    fd = os.memfd_create("peer", flags)
    os.ftruncate(fd, byte_length)
    return fd


def receive(connection, byte_length, max_fds=8):
    """Exactly so many bytes and what came beside them."""
    got, fds = b"", []
    while len(got) < byte_length:
        piece, came, _, _ = socket.recv_fds(connection, byte_length - len(got), max_fds)
        fds += came
        if not piece:
            break
        got += piece
    return got, fds


def send_messages(connection):
    """Messages of four bytes: none, one, three descriptors; one whose descriptor goes with its first byte."""
    files = [memory(4096 * (1 + index)) for index in range(5)]
    connection.sendall(b"none")
    socket.send_fds(connection, [b"one1"], files[:1])
    socket.send_fds(connection, [b"thre"], files[1:4])
    socket.send_fds(connection, [b"s"], files[4:])
    tell("half")
    heard()
    connection.sendall(b"plitlast")
    tell("sent")
    heard()


def describe(connection):
    """Tells what came with each of three messages of four bytes."""
    for _ in range(3):
        got, fds = receive(connection, 4)
        tell({"text": got.decode(), "sizes": [os.fstat(fd).st_size for fd in fds]})
    heard()


def share_memory(connection):
    """Its memory: seen by the other end, changed by it, changed again."""
    fd = memory(8192)
    view = mmap.mmap(fd, 8192)
    view[4096:4100] = b"ours"
    socket.send_fds(connection, [b"m"], [fd])
    receive(connection, 1)
    tell(view[4096:4102].decode())
    view[0:5] = b"again"
    connection.sendall(b"m")
    heard()


def take_memory(connection):
    """The other end's memory: its seals, what is in it, and what this end puts there."""
    _, (fd,) = receive(connection, 1)
    view = mmap.mmap(fd, os.fstat(fd).st_size)
    tell({"size": len(view), "seals": fcntl.fcntl(fd, F_GET_SEALS), "text": view[10:15].decode()})
    view[100:105] = b"there"
    connection.sendall(b"m")
    heard()


def count_events(connection):
    """An eventfd of each end, signalled by the other."""
    mine = os.eventfd(0, os.EFD_CLOEXEC)
    socket.send_fds(connection, [b"e"], [mine])
    receive(connection, 1)
    tell(os.eventfd_read(mine))
    tell(bool(fcntl.fcntl(mine, fcntl.F_GETFL) & os.O_NONBLOCK))
    _, (theirs,) = receive(connection, 1)
    os.eventfd_write(theirs, 5)
    heard()
    os.eventfd_write(theirs, 2)
    heard()


def read_slowly(connection):
    """Four MiB in pieces of odd sizes: their digest, and how many descriptors came with which piece."""
    digest, total, with_fds = hashlib.sha256(), 0, []
    heard()
    while total < 4 << 20:
        piece, fds, _, _ = socket.recv_fds(connection, 50_021, 8)
        if not piece:
            break
        if fds:
            with_fds.append([total, len(fds)])
        digest.update(piece)
        total += len(piece)
    tell({"total": total, "digest": digest.hexdigest(), "fds": with_fds})
    heard()


def send_many(connection):
    """Nine descriptors beside a byte, then an ordinary one."""
    fd = memory(4096)
    socket.send_fds(connection, [b"x"], [fd] * 9)
    connection.sendall(b"y")
    tell("sent")
    heard()


def send_other_files(connection):
    """A pipe, an eventfd, a memory that shrinks, one that cannot, and a file that can only be read."""
    reading, writing = os.pipe()
    loose = memory(8192, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fixed = memory(8192, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(fixed, 1033, 2)
    readable = os.open(f"/proc/self/fd/{fixed}", os.O_RDONLY | CLOEXEC)
    full = os.eventfd(0xFFFF_FFFF, os.EFD_CLOEXEC)
    os.eventfd_write(full, 0xFFFF_FFFF_FFFF_FFFE - 0xFFFF_FFFF)
    socket.send_fds(connection, [b"f"], [writing, full, loose, fixed, readable])
    heard()


def send_rights_twice(connection):
    """Two control messages with one send, which the system makes one of or not."""
    fds = [memory(4096), memory(8192)]
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd])) for fd in fds]
    tell(connection.sendmsg([struct.pack("<I", 7)], rights))
    heard()


def vanish(connection):
    """Gone without a word, with bytes it never read."""
    socket.send_fds(connection, [b"v"], [memory(4096)])
    tell("up")
    heard()
    os._exit(1)


def listen_and_answer(listener):
    """Sends back what came, bytes and descriptors, until the other end has ended."""
    connection, _ = listener.accept()
    while True:
        piece, fds, _, _ = socket.recv_fds(connection, 4, 8)
        if not piece:
            break
        socket.send_fds(connection, [piece], fds)
        for fd in fds:
            os.close(fd)


def listen_and_wait(listener):
    """Accepts nobody, whoever waits."""
    heard()


def main():
    scenario, path = sys.argv[1:]
    if scenario.startswith("listen_"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen(0)
            tell("listens")
            globals()[scenario](listener)
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        globals()[scenario](connection)


main()
