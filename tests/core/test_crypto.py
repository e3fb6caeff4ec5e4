"""Secrets at rest."""

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from partner_platform.core.fields import EncryptedField
from partner_platform.core.secrets import crypto

FIRST, SECOND = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_what_was_encrypted_comes_back_and_does_not_show(settings) -> None:
    token = crypto.encrypt("a secret")

    assert "a secret" not in token
    assert crypto.is_ciphertext(token)
    assert crypto.decrypt(token) == "a secret"
    assert crypto.encrypt("a secret") != token


def test_a_new_first_key_encrypts_and_the_old_one_still_opens_until_it_is_dropped(settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [FIRST]
    old = crypto.encrypt("a secret")
    settings.FIELD_ENCRYPTION_KEYS = [SECOND, FIRST]
    assert crypto.decrypt(old) == "a secret"
    new = crypto.reencrypt(old)

    settings.FIELD_ENCRYPTION_KEYS = [SECOND]

    assert crypto.decrypt(new) == "a secret"
    with pytest.raises(crypto.CannotDecrypt):
        crypto.decrypt(old)
    with pytest.raises(crypto.CannotDecrypt):
        crypto.reencrypt(old)


def test_a_token_that_was_tampered_with_opens_no_secret() -> None:
    token = crypto.encrypt("a secret")
    flipped = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
    with pytest.raises(crypto.CannotDecrypt):
        crypto.decrypt(flipped)


@pytest.mark.parametrize("keys", [[], [""], ["short"], [FIRST, "A" * 44]])
def test_settings_without_usable_keys_stop_the_process_and_show_none(keys: list[str]) -> None:
    with pytest.raises(ImproperlyConfigured, match="FIELD_ENCRYPTION_KEYS") as refused:
        crypto.require_keys(keys)
    assert FIRST not in str(refused.value)


def test_a_column_of_secrets_refuses_plain_text() -> None:
    field = EncryptedField(name="signing_secret")
    assert field.get_prep_value("") == ""
    assert field.get_prep_value(token := crypto.encrypt("x")) == token
    with pytest.raises(ValueError, match="never the secret itself") as refused:
        field.get_prep_value("sk_live_plain")
    assert "sk_live_plain" not in str(refused.value)
