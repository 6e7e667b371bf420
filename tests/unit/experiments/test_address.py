"""Who may ask a run's server, and under which name."""

from __future__ import annotations

import socket

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from experiments.address import Address, BindRefused
from interactive.server.security import Limits, protect


def answers(address: Address, host: str) -> bool:
    """Say whether a request that names a host gets past the door."""
    app = FastAPI(openapi_url=None)
    app.get("/")(lambda: "here")
    protect(app, Limits(hosts=address.names()))
    client = TestClient(app, base_url="http://127.0.0.1")
    return client.get("/", headers={"Host": host}).status_code == 200


def test_only_this_machine_is_served_unless_somebody_says_so() -> None:
    Address("127.0.0.1").check()
    Address("0.0.0.0", allow_remote=True).check()
    for host in ("0.0.0.0", "::", "10.1.2.3", "desk.example"):
        with pytest.raises(BindRefused) as refused:
            Address(host).check()
        assert "--allow-remote" in refused.value.hint


def test_a_server_on_all_addresses_is_known_by_the_names_of_its_machine() -> None:
    address = Address("0.0.0.0", 8000, allow_remote=True)
    assert address.url == "http://127.0.0.1:8000"
    assert Address("::", 8000, allow_remote=True).url == "http://[::1]:8000"
    name = socket.gethostname()
    for host in ("127.0.0.1:8000", "localhost", f"{name}:8000", name.upper()):
        assert answers(address, host)
    assert not answers(address, "rebound.example")


def test_a_server_on_one_address_is_known_by_that() -> None:
    assert answers(Address("10.1.2.3"), "10.1.2.3:80")
    assert not answers(Address("10.1.2.3"), socket.gethostname())
