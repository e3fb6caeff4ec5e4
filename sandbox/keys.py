"""The sandbox's private keys: derived from a label, the same on every machine, worth nothing anywhere else."""

from dataclasses import dataclass

from eth_account import Account

from partner_platform.core.secrets.known_keys import sandbox_secret


@dataclass(frozen=True)
class KeyPair:
    """A private key (0x-hex) and its checksummed address."""

    private_key: str
    address: str


def key_pair(label: str) -> KeyPair:
    """The key pair of one actor, such as `platform` or `user-1`. Public knowledge: for the sandbox and tests only."""
    secret = sandbox_secret(label)
    return KeyPair(private_key="0x" + secret.hex(), address=Account.from_key(secret).address)
