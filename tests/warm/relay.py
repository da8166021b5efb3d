"""Stands for a process that the server forked: hands over what it was started with, passes signals on, ends as it ends."""

import os
import sys
from _signal import SIG_DFL, SIGHUP, SIGINT, SIGKILL, SIGTERM, signal  # pyright: ignore[reportMissingImports]
from _socket import AF_UNIX, SCM_RIGHTS, SOL_SOCKET, socket

LENGTH = 8  # bytes of a number on the socket

mask = os.umask(0o077)
given = [os.getcwd().encode(), b"%d" % mask, b"%d" % len(sys.argv[2:]), *map(os.fsencode, sys.argv[2:])]
order = b"\0".join([*given, *(name + b"=" + value for name, value in os.environb.items())])
server = socket(AF_UNIX)
server.connect(sys.argv[1])
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
server.sendmsg([len(order).to_bytes(LENGTH, "big")], [(SOL_SOCKET, SCM_RIGHTS, streams)])
server.sendall(order)
for number in (SIGTERM, SIGINT, SIGHUP):
    signal(number, lambda number, frame: server.sendall(bytes([number])))
null = os.open(os.devnull, os.O_RDWR)  # from here on the streams are the other process's alone
for stream in (0, 1, 2):
    os.dup2(null, stream)
answer = server.recv(LENGTH)
code = int.from_bytes(answer, "big", signed=True) if answer else -SIGKILL
if code < 0:
    if code != -SIGKILL:
        signal(-code, SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
