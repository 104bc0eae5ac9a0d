"""`make offline`: what it promises is so while the suite runs."""

import os
import socket

import pytest


def test_nothing_but_this_machine_is_reached(monkeypatch):
    """Under `make offline` only the loopback exists; anywhere, libraries that would phone home are told not to."""
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    if os.environ.get("LAB_WITHOUT_NETWORK"):
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
        with pytest.raises(OSError):
            socket.create_connection(("192.0.2.1", 443), timeout=5)
