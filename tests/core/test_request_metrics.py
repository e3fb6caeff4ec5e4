"""Requests are counted by what we know of them, not by what a caller makes up."""

import pytest
from django.test import Client

from partner_platform.core import metrics

pytestmark = pytest.mark.django_db


def counted(**labels: str) -> float:
    lines = metrics.build().decode().splitlines()
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    name = "django_http_responses_total_by_status_view_method_total{"
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(name) and all(text in line for text in wanted)
    )


def test_a_call_is_counted_by_view_method_and_status() -> None:
    before = counted(status="200", method="GET", view="partner_platform.health.Live")
    Client().get("/health/live")
    assert counted(status="200", method="GET", view="partner_platform.health.Live") == before + 1


def test_made_up_methods_and_paths_are_one_figure() -> None:
    Client().generic("MADEUP0", "/health/live")
    size = len(metrics.build().splitlines())

    for number in range(1, 20):
        Client().generic(f"MADEUP{number}", "/health/live")
        Client().get(f"/made-up/{number}")

    page = metrics.build().decode()
    assert "MADEUP" not in page
    assert "made-up" not in page
    # One status, method and view more: its counters, and its histogram's buckets.
    assert len(page.splitlines()) - size < 60


@pytest.mark.parametrize("length", ["abc", "-", "1e3"])
def test_a_malformed_content_length_is_no_error_of_ours(length: str) -> None:
    assert Client().get("/health/live", CONTENT_LENGTH=length).status_code == 200
