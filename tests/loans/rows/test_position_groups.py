"""The groups of positions that a reconciliation reads together: without holes, as wide as the rows allow."""

import pytest

from loans.models import SolvencyPosition
from loans.reconciliation import records
from loans.reconciliation.records import PositionGroup, PositionGroups
from partner_platform.core.fields import MAX_UINT256
from tests.support.books_rows import BooksRows


@pytest.fixture
def positions(world: BooksRows) -> list[int]:
    """The keys of five positions, none else."""
    SolvencyPosition.objects.all().delete()
    return sorted(world.position().position_id for _ in range(5))


def test_ranges_follow_each_other_to_the_last_key_there_could_be(
    positions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "FIRST_WIDTH", 2)
    _, second, _, fourth, _ = positions
    assert list(PositionGroups()) == [
        PositionGroup(0, second),
        PositionGroup(second + 1, fourth),
        PositionGroup(fourth + 1, MAX_UINT256),
    ]


def test_a_range_that_is_just_full_is_followed_by_the_rest(
    positions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "FIRST_WIDTH", 5)
    assert list(PositionGroups()) == [PositionGroup(0, positions[-1]), PositionGroup(positions[-1] + 1, MAX_UINT256)]


def test_chosen_ones_come_in_groups_in_order(positions: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "FIRST_WIDTH", 2)
    first, second, third, *_ = positions
    assert list(PositionGroups([third, first, second])) == [
        PositionGroup(chosen=(first, second)),
        PositionGroup(chosen=(third,)),
    ]


@pytest.mark.parametrize(
    ("width", "rows", "then"),
    [(10, 5_000, 20), (10, 100, 40), (10, 0, 40), (10, 10_000, 10), (10, 100_000, 1), (1, 10**9, 1)],
    ids=["half of what fits", "hardly any: four times at most", "none", "just right", "ten times", "one at least"],
)
def test_the_next_width_fits_what_the_last_one_had(
    monkeypatch: pytest.MonkeyPatch, width: int, rows: int, then: int
) -> None:
    monkeypatch.setattr(records, "FIRST_WIDTH", width)
    groups = PositionGroups([])
    groups.adapt_width(rows)
    assert groups._width == then
