"""Who uses the console."""

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def console(client: Client) -> Client:
    """A superuser's browser."""
    client.force_login(User.objects.create_superuser("ann", "ann@platform.example", "a long password indeed"))
    return client
