"""A chain for the contracts alone: a block per transaction, every test undone after it."""

from collections.abc import Iterator

import pytest

from sandbox.servers import anvil
from sandbox.servers.ports import free_port
from tests.contracts.lab import Borrower, Lab


@pytest.fixture(scope="session")
def deployed_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    port = free_port()
    server = anvil.anvil(port=port, log=tmp_path_factory.mktemp("contracts") / "anvil.log").start()
    try:
        yield Lab(anvil.rpc_url(port))
    finally:
        server.stop()


@pytest.fixture
def lab(deployed_lab: Lab) -> Iterator[Lab]:
    snapshot = deployed_lab.client.call("evm_snapshot")
    yield deployed_lab
    assert deployed_lab.client.call("evm_revert", [snapshot]) is True


@pytest.fixture
def borrower(lab: Lab) -> Borrower:
    """A user with a credit line of $10,000 on a real-world asset."""
    return lab.borrower()
