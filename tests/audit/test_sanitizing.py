"""What may be kept of a request."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.calls.sanitizing import MAX_TOTAL, clean_text, sanitize
from audit.calls.shortening import shortened
from partner_platform.core.secrets.masking import MASK

API_KEY = "pk_xyz_live_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=40,
)


@pytest.mark.parametrize(
    "name",
    [
        "apiKey",
        "API_KEY",
        "secret",
        "webhookSecret",
        "access_token",
        "password",
        "Authorization",
        "privateKey",
        "x-signature",
        "userAuthorization",
        "mnemonic",
        "otp",
        "access",
        "refresh",
    ],
)
def test_what_is_named_like_a_secret_is_masked_at_any_depth(name: str) -> None:
    assert sanitize({"a": [{name: "hidden"}], name: {"deep": "hidden"}}) == {"a": [{name: MASK}], name: MASK}


def test_an_ordinary_borrow_is_kept_as_it_is() -> None:
    body = {
        "oaidTokenId": 1,
        "userWallet": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
        "borrowAmount": "5000000000",
        "partnerLoanId": "loan-1",
        "metadata": {"purpose": "invoice", "score": 0.5, "new": True, "note": None, "footprint": 1, "accessible": True},
    }
    assert sanitize(body) == body


def test_an_api_key_inside_any_value_or_name_is_masked() -> None:
    kept = sanitize({"note": f"my key is {API_KEY}!", API_KEY: 1, "list": [API_KEY, f"Bearer {API_KEY}", "Bearer abc"]})
    assert API_KEY[-32:] not in json.dumps(kept)
    assert kept["note"] == f"my key is {MASK}!"
    assert kept["list"] == [MASK, f"Bearer {MASK}", f"Bearer {MASK}"]


def test_a_key_is_not_saved_from_masking_by_being_cut() -> None:
    text = "x" * 480 + API_KEY
    assert API_KEY[12:20] not in clean_text(text)


@given(value=JSON)
def test_any_json_becomes_small_and_storable(value: Any) -> None:
    kept = sanitize(value)
    text = json.dumps(kept, allow_nan=False)
    assert len(text) <= MAX_TOTAL
    assert "\\u0000" not in text
    json.dumps(kept, ensure_ascii=False).encode()  # no lone surrogates


@pytest.mark.parametrize(
    "hostile",
    [
        {"n": 10**5000},
        {"n": -(2**64)},
        [[[[[[[[[[[["deep"]]]]]]]]]]]],
        {str(number): number for number in range(10_000)},
        ["x" * 60_000] * 50,
        {"x" * 60_000: "y" * 60_000},
        {"\ud800": "\x00"},
        {"$gt": "", "a.b": 1, "": {}},
    ],
)
def test_hostile_json_is_bounded(hostile: Any) -> None:
    kept = sanitize(hostile)
    assert len(json.dumps(kept)) <= MAX_TOTAL
    json.dumps(kept, ensure_ascii=False).encode()


BORROW = {
    "oaidTokenId": 1,
    "userWallet": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
    "borrowAmount": "5000000000",
    "partnerLoanId": "loan-1",
}


@pytest.mark.parametrize(
    "metadata", [{f"k{i:02d}": "x" * 497 for i in range(16)}, {f"k{i}": "é\n" * 240 for i in range(16)}]
)
def test_large_metadata_is_shortened_and_what_the_borrow_is_about_is_kept(metadata: dict[str, str]) -> None:
    kept = sanitize({"metadata": metadata, **BORROW})

    assert {name: kept[name] for name in BORROW} == BORROW
    assert list(kept) == ["metadata", *BORROW]  # in the caller's order
    assert set(kept["metadata"]) == set(metadata)
    for name, text in kept["metadata"].items():
        assert text.endswith("…")
        assert metadata[name].startswith(text[:-1])
    assert MAX_TOTAL * 0.9 < len(json.dumps(kept)) <= MAX_TOTAL


def test_one_large_value_is_shortened_and_the_small_ones_beside_it_are_kept() -> None:
    deep = {"a": {"b": ["x" * 500] * 50}, "note": "small"}
    kept = sanitize({**BORROW, "metadata": deep, "purpose": "p" * 400})

    assert {name: kept[name] for name in BORROW} == BORROW
    assert (kept["purpose"], kept["metadata"]["note"]) == ("p" * 400, "small")
    assert len(kept["metadata"]["a"]["b"]) == 50
    assert len(json.dumps(kept)) <= MAX_TOTAL


def test_of_too_many_fields_the_number_left_out_is_told() -> None:
    kept = sanitize({f"{'n' * 95}{number:03d}": {str(inner): "x" * 90 for inner in range(50)} for number in range(50)})
    assert 0 < len(kept) < 52
    assert len(json.dumps(kept)) <= MAX_TOTAL


@given(
    value=st.recursive(
        st.text(max_size=600) | st.integers(),
        lambda inner: st.lists(inner, min_size=5) | st.dictionaries(st.text(max_size=100), inner, min_size=5),
        max_leaves=200,
    ),
    size=st.integers(200, 2000),
)
def test_whatever_is_shortened_fits(value: Any, size: int) -> None:
    assert len(json.dumps(shortened(value, size))) <= size
