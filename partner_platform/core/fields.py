"""Model fields for keys, USDC base units, uint256, secrets, addresses and hashes."""

import uuid
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connections, models

from partner_platform.core.secrets import crypto

MAX_BASE_UNITS = 2**63 - 1
MAX_UINT256 = 2**256 - 1
UINT256_DIGITS = 78


class UUIDPrimaryKey(models.UUIDField):
    """A primary key made by the client: column `id` on SQL, `_id` on MongoDB, from the same migration."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("primary_key", True)
        kwargs.setdefault("default", uuid.uuid4)
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def get_attname_column(self) -> tuple[str, str | None]:
        attname, column = super().get_attname_column()
        if self.primary_key and connections["default"].vendor == "mongodb":
            column = "_id"  # in a plain column every lookup by key would scan the collection
        return attname, column


class BaseUnitsField(models.BigIntegerField):
    """An amount of USDC in base units (6 decimals), never negative."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("validators", [MinValueValidator(0)])
        super().__init__(*args, **kwargs)


class Uint256Field(models.CharField):
    """A uint256: an `int` in Python, zero-padded decimal in the database, so that it sorts and compares as a number."""

    _pyi_private_set_type: int
    _pyi_private_get_type: int  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = UINT256_DIGITS
        super().__init__(*args, **kwargs)

    @property
    def validators(self) -> list[Callable[[Any], None]]:
        """Validates the range of a uint256 instead of CharField's text length."""
        return [MinValueValidator(0), MaxValueValidator(MAX_UINT256)]

    def from_db_value(self, value: str | None, *_: object) -> int | None:
        return None if value is None else int(value)

    def to_python(self, value: Any) -> int | None:
        try:
            return None if value in (None, "") else int(value)
        except (TypeError, ValueError) as error:
            raise ValidationError("Must be a whole number.", code="invalid") from error

    def get_prep_value(self, value: Any) -> str | None:
        if value is None:
            return None
        number = int(value)
        if not 0 <= number <= MAX_UINT256:
            raise ValueError(f"{self.name}: {number} is not a uint256")
        return str(number).zfill(UINT256_DIGITS)


class EncryptedField(models.TextField):
    """A secret encrypted by `core.secrets.crypto.encrypt`, or empty. Storing plain text raises.

    `manage.py rotate_encryption_key` finds every field of this class.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("blank", True)
        kwargs.setdefault("default", "")
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def get_prep_value(self, value: object) -> object:
        if value and isinstance(value, str) and not crypto.is_ciphertext(value):
            raise ValueError(f"{self.name} takes what core.crypto.encrypt made, never the secret itself")
        return super().get_prep_value(value)


class AddressField(models.CharField):
    """An Ethereum address, stored EIP-55 checksummed; callers normalize with `core.ethereum.parse_address`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = 42
        super().__init__(*args, **kwargs)


class HashField(models.CharField):
    """A 32-byte hash or uid as 0x and 64 lower-case hex digits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = 66
        super().__init__(*args, **kwargs)
