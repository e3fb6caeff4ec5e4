"""How long what failed is left alone."""

import pytest

from partner_platform.core import backoff, clock
from partner_platform.core.database.batches import batched


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 2.0), (2, 4.0), (3, 8.0), (8, 256.0), (9, 300.0), (10, 300.0), (10_000, 300.0)]
)
def test_the_pause_doubles_up_to_five_minutes(failures: int, seconds: float) -> None:
    assert backoff.pause_seconds(failures) == seconds


@pytest.mark.parametrize(("failures", "seconds"), [(1, 60.0), (2, 120.0), (7, 3_600.0)])
def test_a_caller_may_have_longer_pauses(failures: int, seconds: float) -> None:
    assert backoff.pause_seconds(failures, first=60.0, longest=3_600.0) == seconds


@pytest.mark.parametrize(("drawn", "seconds"), [(0.0, 8.0), (0.5, 9.0), (1.0, 10.0)])
def test_the_next_try_is_a_pause_away_and_at_most_a_quarter_more(
    monkeypatch: pytest.MonkeyPatch, drawn: float, seconds: float
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr("random.random", lambda: drawn)
    assert (backoff.next_try(3) - now).total_seconds() == seconds


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (4, [4]), (5, [4, 1]), (8, [4, 4])])
def test_a_long_list_is_taken_in_pieces(count: int, sizes: list[int]) -> None:
    pieces = list(batched(range(count), 4))
    assert [len(piece) for piece in pieces] == sizes
    assert [item for piece in pieces for item in piece] == list(range(count))
