"""Names, and the addresses that they mean."""

import importlib
import socket

import pytest

dialling = importlib.import_module("gopoll.net.dial")


@pytest.fixture
def means(monkeypatch):
    """Let the name that is dialled have these addresses; returns those that were tried."""
    tried = []

    class Watched(dialling.Socket):
        def connect_ex(self, sockaddr):
            tried.append(sockaddr)
            return super().connect_ex(sockaddr)

    def mean(*sockaddrs):
        found = [(socket.AF_INET, sockaddr) for sockaddr in sockaddrs]
        monkeypatch.setattr(dialling, "resolve", lambda *_, **__: found)
        monkeypatch.setattr(dialling, "Socket", Watched)
        return tried

    return mean
