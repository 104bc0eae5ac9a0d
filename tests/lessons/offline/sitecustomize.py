"""Loaded by Python itself where PYTHONPATH names this folder: refuses and reports every way out of this machine."""

import json
import os
import socket
import subprocess
import sys

from forwarding import forward, ours

HERE = os.path.dirname(__file__)
LOCAL = ("127.", "::1", "localhost", "0.0.0.0")
_connect, _getaddrinfo, _popen = socket.socket.connect, socket.getaddrinfo, subprocess.Popen.__init__


def _refuse(address):
    if log := os.environ.get("LAB_RUN_LOG"):
        with open(log, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"event": "network", "address": str(address)}) + "\n")
    raise OSError(101, f"The network is blocked in this test: {address}")


def connect(self, address):
    """Connect to this machine only."""
    if self.family != getattr(socket, "AF_UNIX", None) and not str(address[0]).startswith(LOCAL):
        _refuse(address)
    return _connect(self, address)


def getaddrinfo(host, *arguments, **options):
    """Look up this machine only."""
    name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    if not name.startswith(LOCAL) and name != socket.gethostname():
        _refuse(name)
    return _getaddrinfo(host, *arguments, **options)


def popen(self, *arguments, env=None, **options):
    """Start a process which is held here as well, even if its environment was made without this folder."""
    if env is not None and "PYTHONPATH" not in env:
        env = {**env, "PYTHONPATH": HERE}
    _popen(self, *arguments, env=env, **options)


if (door := os.environ.get("COURSE_FORKS")) and ours(sys.orig_argv[1:]):
    forward(door)
socket.socket.connect = connect
socket.getaddrinfo = getaddrinfo
subprocess.Popen.__init__ = popen
