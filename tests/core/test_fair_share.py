"""Who alone wants places has most of them, who comes late finds one, and none is counted twice or lost."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_platform.core.fair_share import FairShare


def fill(share: FairShare, holder: str) -> int:
    taken = 0
    while share.take(holder):
        taken += 1
    return taken


@pytest.mark.parametrize(("total", "most"), [(32, 24), (16, 10), (16, 16), (4, 3), (2, 1), (1, 1)])
def test_who_is_alone_gets_the_most_and_not_one_more(total: int, most: int) -> None:
    assert fill(FairShare(total, most), "a") == most


def test_one_after_the_other_each_gets_a_share_of_what_is_left() -> None:
    share = FairShare(32, 24)
    assert [fill(share, holder) for holder in "abcd"] == [24, 6, 2, 0]


def test_many_that_take_in_turn_have_the_same_and_leave_a_place() -> None:
    share = FairShare(32, 24)
    held: Counter[str] = Counter()
    for _ in range(40):
        held.update(holder for holder in "abc" if share.take(holder))
    assert held == {"a": 10, "b": 10, "c": 9}
    assert share.take("d")


def test_a_place_that_was_given_back_is_free_again_and_holders_without_one_are_forgotten() -> None:
    share = FairShare(4, 3)
    fill(share, "a")
    assert not share.take("a")
    share.give_back("a")
    assert share.take("a")
    for _ in range(3):
        share.give_back("a")
    share.take("b")
    share.give_back("b")
    assert not share._held


@pytest.mark.parametrize(("total", "most"), [(4, 0), (4, 5), (0, 0)])
def test_a_share_that_cannot_be_is_refused(total: int, most: int) -> None:
    with pytest.raises(ValueError, match="one holder cannot have"):
        FairShare(total, most)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=200))
def test_never_more_than_all_and_never_more_than_the_most(steps: list[tuple[str, bool]]) -> None:
    share, held = FairShare(8, 6), Counter[str]()
    for holder, takes in steps:
        if takes and share.take(holder):
            held[holder] += 1
        elif not takes and held[holder]:
            share.give_back(holder)
            held[holder] -= 1
        assert held.total() <= 8
        assert max(held.values(), default=0) <= 6


def test_threads_that_take_at_once_get_exactly_the_places_there_are() -> None:
    share = FairShare(16, 16)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: share.take("a"), range(100)))
    assert Counter(taken) == {True: 16, False: 84}
