"""When blocks are read a second time: once enough of them are final, and never before."""

from typing import Any

import pytest

from chain.events import second_reading
from chain.models import SYSTEM_CURSOR, WatchCursor, WatchedBlock
from chain.rpc.clients import ChainUnavailable, get_client
from chain.rpc.evidence import Checkpoint
from chain.rpc.log_ranges import RangeReader

pytestmark = pytest.mark.django_db


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The ranges that were compared; the endpoints have the same events as we."""
    ranges: list[tuple[int, int]] = []

    def agree(_: Any, first: int, last: int) -> None:
        ranges.append((first, last))

    monkeypatch.setattr(second_reading, "differing_block", agree)
    return ranges


def final_at(number: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block that every endpoint calls final; None where they disagree."""
    final = None if number is None else Checkpoint(number, "0x01")
    monkeypatch.setattr(second_reading, "final_block", lambda _client: final)


def cursor(*, next_block: int = 500, verified: int = 0) -> WatchCursor:
    return WatchCursor.objects.create(name=SYSTEM_CURSOR, next_block=next_block, verified_block=verified)


def read_again(at: WatchCursor, *, width: int = 1_000, every: int = second_reading.EVERY_BLOCKS) -> bool:
    reader = RangeReader(get_client(), [])
    reader.width = width
    return second_reading.verify_final_range(reader, at, every=every)


def verified() -> int:
    return WatchCursor.objects.get(name=SYSTEM_CURSOR).verified_block


@pytest.mark.parametrize(("final", "ranges"), [(131, []), (132, [(101, 132)]), (133, [(101, 133)])])
def test_at_least_32_blocks_must_have_become_final(
    monkeypatch: pytest.MonkeyPatch, compared: list[tuple[int, int]], final: int, ranges: list[tuple[int, int]]
) -> None:
    final_at(final, monkeypatch)
    assert read_again(cursor(verified=100)) is False
    assert compared == ranges
    assert verified() == (ranges[0][1] if ranges else 100)


def test_where_the_endpoints_agree_about_no_final_block_nothing_is_read_again(
    monkeypatch: pytest.MonkeyPatch, compared: list[tuple[int, int]]
) -> None:
    final_at(None, monkeypatch)
    assert read_again(cursor(), every=1) is False
    assert (compared, verified()) == ([], 0)


@pytest.mark.parametrize(("next_block", "calls"), [(132, 0), (133, 1)])
def test_what_is_final_is_not_asked_for_before_enough_was_read(
    monkeypatch: pytest.MonkeyPatch, compared: list[tuple[int, int]], next_block: int, calls: int
) -> None:
    asked: list[int] = []

    def unknown(_: Any) -> None:
        asked.append(1)
        raise ChainUnavailable("no answer")

    monkeypatch.setattr(second_reading, "final_block", unknown)
    assert read_again(cursor(next_block=next_block, verified=100)) is False
    assert (len(asked), compared, verified()) == (calls, [], 100)


@pytest.mark.parametrize(
    ("final", "next_block", "width", "until"), [(900, 500, 1_000, 499), (900, 500, 40, 140), (300, 500, 1_000, 300)]
)
def test_no_more_is_compared_than_was_read_is_final_and_is_given_at_once(
    monkeypatch: pytest.MonkeyPatch,
    compared: list[tuple[int, int]],
    final: int,
    next_block: int,
    width: int,
    until: int,
) -> None:
    final_at(final, monkeypatch)
    assert read_again(cursor(next_block=next_block, verified=100), width=width) is False
    assert compared == [(101, until)]


def test_the_hashes_of_blocks_that_were_read_twice_are_forgotten_but_for_the_last(
    monkeypatch: pytest.MonkeyPatch, compared: list[tuple[int, int]]
) -> None:
    for number in (100, 131, 132, 133):
        WatchedBlock.objects.create(number=number, hash=f"0x{number:064x}")
    final_at(132, monkeypatch)
    read_again(cursor(verified=100))
    assert list(WatchedBlock.objects.order_by("number").values_list("number", flat=True)) == [132, 133]
