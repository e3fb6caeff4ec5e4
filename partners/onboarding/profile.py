"""Reading what staff give of a company: from untrusted values to clean ones, or 400 naming every bad field. Pure.

Errors use the contract's camelCase names.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypedDict

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from partner_platform.core.errors import invalid_fields
from partner_platform.core.money import BASIS_POINTS, MAX_BASE_UNITS

MAX_OWNERS = 50
MAX_TEXT = 4_000
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)


class Owner(TypedDict):
    """A beneficial owner, by the contract's names; `country` is ISO 3166."""

    name: str
    country: str
    shareBasisPoints: int


def clean_fields(
    values: Mapping[str, object], readers: Mapping[str, tuple[str, Callable[[object], object]]]
) -> dict[str, object]:
    """The values by model field name, each as its reader reads it; `readers`: contract's name and reader by field."""
    problems: dict[str, list[str]] = {name: ["Unknown field."] for name in values if name not in readers}
    cleaned: dict[str, object] = {}
    for name, (api_name, read) in readers.items():
        if name in values:
            try:
                cleaned[name] = read(values[name])
            except ValueError as error:
                problems[api_name] = [str(error)]
    if problems:
        raise invalid_fields(problems)
    return cleaned


def short_text(size: int, *, is_needed: bool = True) -> Callable[[object], str]:
    """A reader of one line of at most `size` printable characters."""

    def read(value: object) -> str:
        text = value.strip() if isinstance(value, str) else None
        if text is None or len(text) > size or (is_needed and not text) or not (text.isprintable() or not text):
            raise ValueError(f"Must be {1 if is_needed else 0} to {size} printable characters.")
        return text

    return read


def long_text(value: object) -> str:
    """One to `MAX_TEXT` characters, lines included."""
    text = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(text) <= MAX_TEXT or "\x00" in text:
        raise ValueError(f"Must be 1 to {MAX_TEXT} characters.")
    return text


def sha256_hex(value: object) -> str:
    """64 hex digits, in lower case."""
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("Must be a SHA-256 as 64 hex digits.")
    return value.lower()


def one_of(values: list[str]) -> Callable[[object], str]:
    """A reader of one of these words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"Must be one of {', '.join(values)}.")
        return value

    return read


def contact_email(value: object) -> str:
    text = value if isinstance(value, str) and len(value) <= 254 else ""
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError("Must be an e-mail address.") from None
    return text.lower()


def _volume(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
        raise ValueError("Must be a string of USDC base units, 1 to 19 digits.")
    if not 1 <= int(value) <= MAX_BASE_UNITS:
        raise ValueError(f"Must be from 1 to {MAX_BASE_UNITS} base units.")
    return int(value)


def _owners(value: object) -> list[Owner]:
    if not isinstance(value, list) or len(value) > MAX_OWNERS:
        raise ValueError(f"Must be a list of at most {MAX_OWNERS} owners.")
    owners = [_owner(item) for item in value]
    if sum(owner["shareBasisPoints"] for owner in owners) > BASIS_POINTS:
        raise ValueError("Their shares are more than the whole.")
    return owners


def _owner(value: object) -> Owner:
    if not isinstance(value, dict) or set(value) != set(Owner.__annotations__):
        raise ValueError(f"Each must have {', '.join(Owner.__annotations__)}.")
    country, share = value["country"], value["shareBasisPoints"]
    if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
        raise ValueError("country must be two capital letters (ISO 3166).")
    if not isinstance(share, int) or isinstance(share, bool) or not 1 <= share <= BASIS_POINTS:
        raise ValueError(f"shareBasisPoints must be a whole number, 1 to {BASIS_POINTS}.")
    return {"name": short_text(200)(value["name"]), "country": country, "shareBasisPoints": share}


PROFILE: dict[str, tuple[str, Callable[[object], object]]] = {
    "company_name": ("companyName", short_text(200)),
    "use_case": ("useCase", long_text),
    "expected_monthly_volume": ("expectedMonthlyVolume", _volume),
    "beneficial_owners": ("beneficialOwners", _owners),
}
