"""Ends a process, and those it starts, at its first socket to a network: by the kernel, so that nothing is missed."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys

# Of Linux: the architecture as the kernel names it, and the number of its call ``socket``.
_CALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IPV4, _IPV6 = 2, 10
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _KILL_PROCESS = 0x7FFF0000, 0x80000000
_LOAD, _EQUALS, _RETURN = 0x20, 0x15, 0x06

# Python's own ways to look up a host; not each of them opens a socket of IPv4 or IPv6.
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")

IS_POSSIBLE = sys.platform == "linux" and platform.machine() in _CALLS
ENDED = -getattr(signal, "SIGSYS", 0)  # return code of a process that opened one


def forbid_network() -> None:
    """From here on, a socket of IPv4 or IPv6 ends this process, and so does a look-up of a host; there is no way back.

    Sockets end its threads and children too; look-ups by Python are seen in this process.
    """
    sys.addaudithook(_end_at_look_ups)
    architecture, call = _CALLS[platform.machine()]
    rules = [  # operation, jump if equal, jump if not, value
        (_LOAD, 0, 0, 4),
        (_EQUALS, 0, 5, architecture),
        (_LOAD, 0, 0, 0),
        (_EQUALS, 0, 3, call),
        (_LOAD, 0, 0, 16),  # the first argument
        (_EQUALS, 2, 0, _IPV4),
        (_EQUALS, 1, 0, _IPV6),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _KILL_PROCESS),
    ]
    code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    content = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(rules), ctypes.addressof(content))  # padded as C does
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, program, 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "the kernel does not take the filter")


def _end_at_look_ups(event: str, arguments: tuple[object, ...]) -> None:
    if event in _LOOK_UPS:
        sys.stderr.write(f"{event}{arguments}\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGSYS)
