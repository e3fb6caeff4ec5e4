"""Signing with the platform's key. The key never leaves this module; without one, nothing is signed and nothing is
lost.

eth_account signs through coincurve (libsecp256k1) where that is installed, ten times faster than in Python; a
deterministic nonce (RFC 6979) makes the same transaction the same bytes.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from chain.wallet.fees import Fees


class SignerUnavailable(Exception):
    """There is no key to sign with now; the caller tries again later."""


@dataclass(frozen=True)
class SignedTransaction:
    """The bytes that go to the node (0x-hex) and their hash."""

    raw: str
    tx_hash: str


class Signer:
    """One key on one chain."""

    def __init__(self, account: LocalAccount, chain_id: int) -> None:
        self._account = account
        self._chain_id = chain_id

    @property
    def address(self) -> str:
        return str(self._account.address)

    def sign(self, *, to: str, data: str, nonce: int, gas_limit: int, fees: Fees) -> SignedTransaction:
        """An EIP-1559 transaction without value; raises `SignerUnavailable` where it cannot be signed."""
        transaction = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "to": to,
            "value": 0,
            "data": data,
            "gas": gas_limit,
            "maxFeePerGas": fees.max_fee,
            "maxPriorityFeePerGas": fees.tip,
        }
        return self._signed(transaction)

    def sign_again(self, raw: str, *, fees: Fees) -> SignedTransaction:
        """The transaction in the signed bytes `raw` with other fees: same nonce, same payload."""
        transaction = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        for signature_part in ("v", "r", "s"):
            del transaction[signature_part]
        return self._signed({**transaction, "maxFeePerGas": fees.max_fee, "maxPriorityFeePerGas": fees.tip})

    def _signed(self, transaction: dict[str, Any]) -> SignedTransaction:
        signed = self._account.sign_transaction(transaction)
        return SignedTransaction(raw=signed.raw_transaction.to_0x_hex(), tx_hash=signed.hash.to_0x_hex())


def get_signer(address: str = "") -> Signer:
    """The platform's signer, from `PLATFORM_PRIVATE_KEY`; with `address` the one of that wallet, whose key may have
    been rotated away (`PLATFORM_RETIRED_PRIVATE_KEYS`). `SignerUnavailable` where there is no such key.
    """
    if not address:
        return _signer(settings.PLATFORM_PRIVATE_KEY, settings.CHAIN_ID)
    for key in (settings.PLATFORM_PRIVATE_KEY, *settings.PLATFORM_RETIRED_PRIVATE_KEYS):
        with suppress(SignerUnavailable):
            signer = _signer(key, settings.CHAIN_ID)
            if signer.address == address:
                return signer
    raise SignerUnavailable(f"there is no key of wallet {address}")


def signing_address() -> str:
    """The wallet that new transactions are signed with; empty where there is no key."""
    try:
        return get_signer().address
    except SignerUnavailable:
        return ""


@cache
def _signer(private_key: str, chain_id: int) -> Signer:
    if not private_key:
        raise SignerUnavailable("PLATFORM_PRIVATE_KEY is not set")
    try:
        return Signer(Account.from_key(private_key), chain_id)
    except Exception:  # noqa: BLE001 - a key library's error may quote the key: it is neither chained nor shown
        raise SignerUnavailable("PLATFORM_PRIVATE_KEY is not a private key") from None
