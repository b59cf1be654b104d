"""Frames between a broker and a worker (include/hutch/channel.h), in Python alone: a worker needs no library.

    channel = Channel(3)                       # in the worker: the descriptor that the policy gave it
    while (frame := channel.receive()) is not None:
        channel.send(answer(frame.data), tag=frame.tag)

Runs in: any.
"""
import array
import os
import socket
import struct

HEADER = struct.Struct("=II")


class Broken(Exception):
    """The peer broke a bound."""


class Frame:
    def __init__(self, tag, data, fds):
        self.tag, self.data, self.fds = tag, data, fds


class Channel:
    def __init__(self, fd, frame_max=65536, fds_max=0):
        self.socket = fd if isinstance(fd, socket.socket) else socket.socket(fileno=fd)
        if self.socket.family != socket.AF_UNIX or self.socket.type != socket.SOCK_SEQPACKET:
            raise ValueError("not a SOCK_SEQPACKET socket of the family AF_UNIX")
        self.frame_max, self.fds_max = frame_max, fds_max

    def fileno(self):
        return self.socket.fileno()

    def send(self, data=b"", tag=0, fds=(), timeout=None):
        if len(data) > self.frame_max:
            raise ValueError("a frame of %d bytes" % len(data))
        self.socket.settimeout(timeout)
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([HEADER.pack(len(data), tag), data], extra)

    def receive(self, timeout=None):
        """A Frame, or None when the peer has closed. TimeoutError when none came in time."""
        self.socket.settimeout(timeout)
        room = socket.CMSG_SPACE(4 * self.fds_max) if self.fds_max else 0
        data, extra, flags, _ = self.socket.recvmsg(HEADER.size + self.frame_max, room, socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, content in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
        if not data:
            return self.broken(fds, None)
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(fds) > self.fds_max or len(data) < HEADER.size:
            return self.broken(fds, "a frame over the bounds")
        length, tag = HEADER.unpack_from(data)
        if length != len(data) - HEADER.size:
            return self.broken(fds, "a frame whose length is wrong")
        return Frame(tag, data[HEADER.size:], list(fds))

    def broken(self, fds, why):
        for fd in fds:
            os.close(fd)
        self.socket.close()
        if why:
            raise Broken(why)

    def close(self):
        self.socket.close()


def pair(**bounds):
    """(the broker's Channel, the worker's socket)."""
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(a, **bounds), b
