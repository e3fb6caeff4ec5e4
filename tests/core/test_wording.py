"""Several reasons in one column: each stays readable."""

from partner_platform.core.text.wording import SEPARATOR, joined, parts, reason, shown


def test_text_from_outside_is_a_printable_line_that_fits() -> None:
    assert shown("a\x00b\n\x1b[31m\udc80") == "a\\x00b\\n\\x1b[31m\\udc80"
    assert shown("x" * 400) == "x" * 299 + "…"
    assert shown("é ü", 3) == "é ü"


def test_an_exception_that_says_nothing_is_called_by_its_name() -> None:
    assert reason(KeyError("topics")) == "KeyError: 'topics'"
    assert reason(RuntimeError()) == "RuntimeError"
    assert reason(RuntimeError("the pool says 5")) == "the pool says 5"


def test_a_second_reason_stands_beside_the_first() -> None:
    assert joined("", "a drill") == "a drill"
    assert joined("a drill", "no gas money") == "a drill | no gas money"
    assert parts("a drill | no gas money") == ["a drill", "no gas money"]
    assert parts("") == []


def test_a_reason_that_is_there_already_is_not_said_again() -> None:
    both = joined("a drill", "no gas money")
    assert joined(both, "a drill") == joined(both, "no gas money") == both
    assert joined("a drill", "drill") == "a drill | drill"


def test_long_reasons_are_cut_so_that_both_are_readable() -> None:
    both = joined("o" * 300, "n" * 300)
    assert len(both) <= 300
    old, new = parts(both)
    assert (old.strip("…"), new.strip("…")) == ("o" * (len(old) - 1), "n" * (len(new) - 1))
    assert min(len(old), len(new)) >= 140
    assert joined(both, "n" * 300) == both  # cut, and said already


def test_a_short_new_reason_leaves_the_rest_to_the_old_one() -> None:
    both = joined("o" * 300, "new")
    assert len(both) == 300
    assert both.endswith(f"…{SEPARATOR}new")


def test_a_reason_with_the_separator_in_it_is_one_reason() -> None:
    assert parts(joined("a drill", "this | that")) == ["a drill", "this / that"]
