"""What the tests of the outside client share."""

import pytest

from tests.core.outside.certificates import Authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The one authority that the clients of these tests trust."""
    return Authority()
