"""The format of API keys."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners import keys

LABELS = st.from_regex(r"\A[a-z0-9]{2,12}\Z")
ENVIRONMENTS = st.sampled_from(keys.ENVIRONMENTS)


@given(label=LABELS, environment=ENVIRONMENTS)
def test_a_generated_key_has_the_plans_format_and_parses_back(label: str, environment: str) -> None:
    new = keys.generate(label, environment)
    head, _, secret = new.key.rpartition("_")
    assert head == f"pk_{label}_{environment}"
    assert len(secret) == 32
    assert set(secret) <= set("abcdefghijklmnopqrstuvwxyz0123456789")
    assert new.prefix == new.key[:16]
    assert new.key_hash == hashlib.sha256(new.key.encode()).hexdigest()
    assert keys.parse(new.key) == keys.KeyParts(label=label, environment=environment)


@given(text=st.text(max_size=200))
def test_any_other_text_parses_to_nothing(text: str) -> None:
    assert keys.parse(text) is None


@given(label=LABELS, environment=ENVIRONMENTS, extra=st.text(min_size=1, max_size=5))
def test_a_key_with_anything_before_or_after_it_is_no_key(label: str, environment: str, extra: str) -> None:
    key = keys.generate(label, environment).key
    assert keys.parse(extra + key) is None
    assert keys.parse(key + extra) is None
    assert keys.parse(key + "\n") is None


def test_two_keys_of_a_label_differ() -> None:
    assert len({keys.generate("xyz", "live").key for _ in range(1000)}) == 1000


def test_a_new_key_does_not_show_itself_in_a_log_line() -> None:
    new = keys.generate("xyz", "live")
    assert new.key not in repr(new)
    assert new.key not in f"{new}"


@pytest.mark.parametrize("label", ["", "a", "ABC", "a_b", "a" * 13, "äb", "ab\n"])
def test_a_label_that_cannot_stand_in_a_key_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="not a key label"):
        keys.generate(label, "live")


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(ValueError, match="not one of live, sandbox"):
        keys.generate("xyz", "production")
