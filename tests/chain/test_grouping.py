"""Which operations travel together."""

from hypothesis import given
from hypothesis import strategies as st

from chain.models import Operation
from chain.settlement.bundling import GATHER_SECONDS_CAP, gather_seconds, group_operations


def queue(limits: list[int]) -> list[Operation]:
    return [Operation(key=str(index), group_size_limit=limit) for index, limit in enumerate(limits)]


@given(
    limits=st.lists(st.integers(min_value=0, max_value=12), max_size=40), size=st.integers(min_value=1, max_value=10)
)
def test_groups_keep_the_order_and_every_limit(limits: list[int], size: int) -> None:
    operations = queue(limits)
    groups = group_operations(operations, size)
    assert [operation for bundle in groups for operation in bundle] == operations
    for bundle in groups:
        assert 1 <= len(bundle) <= size
        assert all(len(bundle) <= (operation.group_size_limit or size) for operation in bundle)


def test_bundles_are_filled() -> None:
    assert [len(bundle) for bundle in group_operations(queue([0] * 23), 10)] == [10, 10, 3]


def test_what_was_alone_in_a_reverted_bundle_stays_alone() -> None:
    assert [len(bundle) for bundle in group_operations(queue([0, 0, 1, 0, 0]), 10)] == [2, 1, 2]


def test_nothing_waits_for_company_while_nothing_is_in_flight() -> None:
    assert gather_seconds(0) == 0
    assert gather_seconds(1) < gather_seconds(4) < GATHER_SECONDS_CAP == gather_seconds(12)
