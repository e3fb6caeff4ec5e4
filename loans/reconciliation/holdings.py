"""The platform accounts' USDC, and the wallets' nonces, at one block (M2, M3)."""

from collections.abc import Mapping

from django.conf import settings

from chain import reconciling
from chain.models import PlatformWallet
from chain.reconciling import Moment, Nonces
from loans.findings import Finding, differs

# What would be a finding is read once more: a node that was asked about its newest block while it made the next one was
# seen to answer with the state of that (anvil).
READINGS = 2


def check_accounts(booked: Mapping[str, int], moment: Moment) -> list[Finding]:
    """What others sent less what was withdrawn, and what our operations left there, against each account's USDC."""
    found: list[Finding] = []
    for _ in range(READINGS):
        held = reconciling.read_balances(list(booked), moment)
        found = [
            finding
            for account, usdc in sorted(booked.items())
            for finding in differs(f"account:{account}", "usdc", usdc, held[account])
        ]
        if not found:
            break
    return found


def check_wallets(moment: Moment) -> tuple[list[Finding], dict[str, int], int]:
    """Each wallet's nonces; which have transactions under way, since which block; how many there are."""
    wallets = list(PlatformWallet.objects.filter(chain_id=settings.CHAIN_ID))
    expected = {wallet.address: reconciling.expected_nonces(wallet, moment) for wallet in wallets}
    found: list[Finding] = []
    motions: dict[str, int] = {}
    for _ in range(READINGS):
        mined = reconciling.read_nonces([wallet.address for wallet in wallets], moment)
        found, motions = [], {}
        for wallet in wallets:
            found += _check_wallet(wallet, mined[wallet.address], expected[wallet.address], moment, motions)
        if not found:
            break
    return found, motions, len(wallets)


def _check_wallet(
    wallet: PlatformWallet, count: int, expected: Nonces, moment: Moment, motions: dict[str, int]
) -> list[Finding]:
    subject = f"wallet:{wallet.address}"
    if expected.open_since is not None:
        motions[subject] = expected.open_since
    if count < expected.fewest and _is_in_doubt(wallet, count, moment):
        motions[subject] = min(motions.get(subject, wallet.nonces_block), wallet.nonces_block)
        return []
    nearest = max(expected.fewest, min(count, expected.most))
    return differs(subject, "next_nonce", wallet.next_nonce, wallet.next_nonce + count - nearest)


def _is_in_doubt(wallet: PlatformWallet, count: int, moment: Moment) -> bool:
    """Nonces were noted as used that the chain shows no more, in blocks that are not final: settlement will lower the
    counter by itself (`chain.nonces`).
    """
    return count < wallet.nonces_from and wallet.nonces_block > moment.final_block
