"""Re-encrypts every stored secret of all apps with the first encryption key."""

from collections.abc import Iterator
from typing import Any

from django.db import models

from partner_platform.core.checks import our_models
from partner_platform.core.fields import EncryptedField
from partner_platform.core.secrets import crypto


def reencrypt_all() -> dict[str, int]:
    """Re-encrypt every stored secret; returns how many by `app.Model.field`. Safe to repeat, and beside writers.

    Raises `CannotDecrypt` where no key decrypts a secret; what was done until then is kept.
    """
    return {f"{model._meta.label}.{name}": _reencrypt(model, name) for model, name in encrypted_columns()}


def encrypted_columns() -> Iterator[tuple[type[models.Model], str]]:
    """The models and names of all `EncryptedField`s."""
    for model in our_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, EncryptedField):
                yield model, field.name


def _reencrypt(model: type[models.Model], name: str) -> int:
    rows: Any = model._default_manager.exclude(**{name: ""})
    done = 0
    for pk, old in list(rows.values_list("pk", name)):
        # Only over the very value that was read: a secret replaced meanwhile is under the first key already.
        done += model._default_manager.filter(pk=pk, **{name: old}).update(**{name: crypto.reencrypt(old)})
    return done
