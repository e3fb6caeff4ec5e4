"""Did this wallet sign this message? Wallets with a key (EOAs) by recovery, contract wallets by ERC-1271.

A signature that recovers to the wallet's address needs no call. Any other is put to the wallet itself, as of the newest
block; a wallet without code, or one that reverts, has not signed.
"""

from collections.abc import Iterable

from eth_account import Account
from eth_account.messages import SignableMessage
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from chain.lending.encoding import encode_call
from chain.rpc.clients import RpcError, get_client

EOA_SIGNATURE_BYTES = 65
# ERC-1271's magic value, as a word of the ABI.
_IS_VALID = "0x1626ba7e" + "0" * 56


def is_signed_by(*, wallet: str, message: SignableMessage, signature: bytes) -> bool:
    """Whether `wallet` signed; raises `ChainUnavailable` where a contract wallet cannot be asked."""
    return first_signed_by(wallet=wallet, messages=[message], signature=signature) is not None


def first_signed_by(*, wallet: str, messages: Iterable[SignableMessage], signature: bytes) -> SignableMessage | None:
    """The first of the messages that the signature is the wallet's over, None where it is of none.

    A wallet with a key costs no call, whichever of the messages it signed. Raises as `is_signed_by`.
    """
    for message in (offered := list(messages)):
        if is_signed_by_key(wallet=wallet, message=message, signature=signature):
            return message
    for message in offered:
        if _contract_agrees(wallet, digest_of(message), signature):
            return message
    return None


def is_signed_by_key(*, wallet: str, message: SignableMessage, signature: bytes) -> bool:
    """Whether the wallet's own key signed; asks no node."""
    return _recover(message, signature) == wallet


def digest_of(message: SignableMessage) -> bytes:
    """The 32 bytes that are signed (EIP-191)."""
    return keccak(b"\x19" + message.version + message.header + message.body)


def _recover(message: SignableMessage, signature: bytes) -> str | None:
    if len(signature) != EOA_SIGNATURE_BYTES:
        return None
    try:
        return str(Account.recover_message(message, signature=signature))
    except (BadSignature, ValidationError, ValueError):
        return None


def _contract_agrees(wallet: str, digest: bytes, signature: bytes) -> bool:
    data = encode_call("isValidSignature(bytes32,bytes)", [digest, signature])
    try:
        return str(get_client().eth_call(wallet, data)) == _IS_VALID
    except RpcError:  # reverted
        return False
