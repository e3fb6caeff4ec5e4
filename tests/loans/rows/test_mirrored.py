"""Rows for positions that no event made: one that cannot be read keeps no other from its row."""

import pytest

from chain.lending import readings
from chain.lending.readings import PositionReading, ReadingRefused
from chain.rpc.clients import ChainUnavailable
from loans.models import SolvencyPosition
from loans.positions.rows import ensure_mirrored, mirrored
from tests.support.books_rows import TOKEN, USER, BooksRows

FIRST, SECOND, THIRD = 1, 2, 3


@pytest.fixture
def chain_shows(monkeypatch: pytest.MonkeyPatch) -> dict[int, Exception | None]:
    """What reading a position comes to: an error, None where there is no such position; else it is shown."""
    shown: dict[int, Exception | None] = {}

    def read(position_id: int) -> PositionReading | None:
        if position_id not in shown:
            return PositionReading(USER, position_id, TOKEN, 10**18, 1_234, 5, True, "RWA", position_id, 7)
        error = shown[position_id]
        if error is not None:
            raise error
        return None

    monkeypatch.setattr(readings, "read_position", read)
    return shown


def rows() -> set[int]:
    found = SolvencyPosition.objects.filter(position_id__lte=THIRD).values_list("position_id", flat=True)
    return {int(position_id) for position_id in found}


@pytest.mark.parametrize(
    ("error", "level"), [(ReadingRefused("no such block"), "WARNING"), (ValueError("no number"), "ERROR")]
)
def test_one_that_cannot_be_read_is_told_and_the_others_get_their_rows(
    world: BooksRows,
    chain_shows: dict[int, Exception | None],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    level: str,
) -> None:
    chain_shows[FIRST], chain_shows[SECOND] = error, None
    ensure_mirrored({FIRST, SECOND, THIRD})
    assert rows() == {THIRD}
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [(name, text.partition(":")[0]) for name, text in told] == [(level, f"position {FIRST} cannot be read")]


def test_where_the_chain_is_unavailable_nothing_is_known_of_any(
    world: BooksRows, chain_shows: dict[int, Exception | None], caplog: pytest.LogCaptureFixture
) -> None:
    chain_shows[FIRST] = ChainUnavailable("nobody answers")
    with pytest.raises(ChainUnavailable, match="nobody answers"):
        ensure_mirrored({FIRST, SECOND})
    assert rows() == set()
    assert mirrored({FIRST, SECOND}) == {}
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_one_that_has_its_row_is_not_read_again(world: BooksRows, chain_shows: dict[int, Exception | None]) -> None:
    known = world.position()
    chain_shows[known.position_id] = ChainUnavailable("nobody answers")
    assert set(mirrored({known.position_id, SECOND})) == {known.position_id, SECOND}
    assert rows() == {SECOND}
