"""Where there is no time for all tests that run a mutant's line, those that are about it judge it."""

from dataclasses import replace

import pytest

from tools.mutations.choice import Bond, Candidate, bond, choose

TEST = Candidate("a", seconds=1.0, bond=Bond.NONE, lines=frozenset({1, 2}), size=1_000)


def chosen(*candidates: Candidate, budget: float) -> list[str]:
    return choose(candidates, budget)


def test_all_are_chosen_where_there_is_time_for_all() -> None:
    assert chosen(TEST, replace(TEST, test="b"), replace(TEST, test="c"), budget=3.0) == ["a", "b", "c"]


def test_a_test_about_the_function_goes_before_a_faster_one_that_passes_by() -> None:
    about = replace(TEST, test="about", bond=Bond.FUNCTION, seconds=2.0, size=5_000)
    near = replace(TEST, test="near", bond=Bond.MODULE, seconds=2.0, size=4_000)
    assert chosen(TEST, near, about, budget=4.0) == ["about", "a"]  # half of the time is theirs
    assert chosen(TEST, near, budget=4.0) == ["near", "a"]
    assert chosen(near, about, budget=4.0) == ["about", "near"]  # more where nobody else wants it


def test_a_test_that_is_there_for_such_changes_goes_before_all_others() -> None:
    about = replace(TEST, test="about", bond=Bond.FUNCTION, lines=frozenset(), size=1)
    meant = replace(TEST, test="meant", bond=Bond.MEANT, lines=frozenset(), size=9_000)
    assert chosen(TEST, about, meant, budget=2.0) == ["meant", "a"]


def test_of_equally_close_ones_that_which_runs_less_in_all_goes_first() -> None:
    wide, narrow = replace(TEST, test="wide", size=3_000, seconds=0.5), replace(TEST, test="narrow", size=300)
    assert chosen(wide, narrow, budget=1.0) == ["narrow"]


def test_tests_that_run_other_lines_of_the_file_go_before_a_second_one_of_the_same() -> None:
    other = replace(TEST, test="other", lines=frozenset({1, 2, 3}), size=9_000)
    assert chosen(TEST, replace(TEST, test="b"), other, budget=2.0) == ["a", "other"]


def test_one_from_afar_is_taken_although_one_about_the_function_runs_the_same_lines() -> None:
    about = replace(TEST, test="about", bond=Bond.FUNCTION)
    again = replace(TEST, test="again", bond=Bond.FUNCTION)
    assert chosen(TEST, about, again, budget=2.0) == ["about", "a"]


def test_those_about_the_module_run_first_and_of_them_the_fastest() -> None:
    slow = replace(TEST, test="slow", bond=Bond.FUNCTION, seconds=3.0)
    quick = replace(TEST, test="quick", bond=Bond.FUNCTION, seconds=2.0, lines=frozenset({1}), size=2_000)
    assert chosen(TEST, slow, quick, budget=9.0) == ["quick", "slow", "a"]


def test_what_is_too_long_for_the_rest_of_the_time_makes_room_for_a_shorter_one() -> None:
    long, short = replace(TEST, test="long", seconds=5.0, size=1), replace(TEST, test="short", size=2_000)
    assert chosen(long, TEST, short, budget=2.5) == ["a", "short"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from chain.settlement import nonces\n\nnonces._is_too_high(1)", Bond.FUNCTION),
        ("from chain.settlement.nonces import Counter\n\nset(Counter, '_is_too_high')", Bond.FUNCTION),
        ("from chain.settlement.nonces import _is_too_high", Bond.FUNCTION),
        ("import chain.settlement.nonces", Bond.MODULE),
        ("def test() -> None:\n    from chain.settlement.nonces import recover", Bond.MODULE),
        ("from chain.settlement import sending\n\n_is_too_high(nonces)", Bond.NONE),
        ("from chain.nonces_of_others import _is_too_high", Bond.NONE),
        ("from . import nonces", Bond.NONE),
    ],
)
def test_a_file_of_tests_is_close_to_what_it_imports_and_names(source: str, expected: Bond) -> None:
    assert bond(source, "chain.settlement.nonces", "Counter._is_too_high") == expected


def test_code_outside_functions_has_no_name_to_be_named_by() -> None:
    assert bond("from chain.settlement import nonces\n\nx = ''", "chain.settlement.nonces", "") == Bond.MODULE
