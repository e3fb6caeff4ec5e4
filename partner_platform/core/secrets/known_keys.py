"""Publicly known private keys: the sandbox's, and those that development chains (anvil, Hardhat) print."""

import hashlib

from eth_utils.crypto import keccak

SANDBOX_ACTORS = ("deployer", "operator", "treasury", "user-1", "user-2", "user-3")
# The first ten keys of "test test … junk", by the beginning of their SHA-256: no key belongs into a repository.
_OF_DEVELOPMENT_CHAINS = frozenset(
    {
        "59891c96881dfbcf",
        "bca4c2c0761d850f",
        "193ae84c4c9567c2",
        "e25a680eff8baac7",
        "6718ba8966161cc8",
        "ac29b3735d1b5718",
        "93e372c67f7238fa",
        "59ad99d565557cc0",
        "2d1831e800ec18fe",
        "25061aad2bb09178",
    }
)


def sandbox_secret(label: str) -> bytes:
    """The private key of one actor of the sandbox, such as `operator`: the same on every machine."""
    return keccak(text=f"partner-platform sandbox key: {label}")


def is_known(secret: bytes) -> bool:
    """Whether the private key is one of those."""
    if hashlib.sha256(secret).hexdigest()[:16] in _OF_DEVELOPMENT_CHAINS:
        return True
    return secret in {sandbox_secret(label) for label in SANDBOX_ACTORS}
