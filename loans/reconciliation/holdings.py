"""The platform accounts' USDC, and the wallets' nonces, at one block (M2, M3)."""

from collections.abc import Mapping

from django.conf import settings

from chain import reconciling
from chain.models import PlatformWallet
from chain.reconciling import Moment
from loans.findings import Finding, differs


def check_accounts(booked: Mapping[str, int], moment: Moment) -> list[Finding]:
    """What others sent less what was withdrawn, and what our operations left there, against each account's USDC."""
    held = reconciling.read_balances(list(booked), moment)
    return [
        finding
        for account, usdc in sorted(booked.items())
        for finding in differs(f"account:{account}", "usdc", usdc, held[account])
    ]


def check_wallets(moment: Moment) -> tuple[list[Finding], dict[str, int], int]:
    """Each wallet's nonces; which have transactions under way, since which block; how many there are."""
    wallets = list(PlatformWallet.objects.filter(chain_id=settings.CHAIN_ID))
    mined = reconciling.read_nonces([wallet.address for wallet in wallets], moment)
    found: list[Finding] = []
    motions: dict[str, int] = {}
    for wallet in wallets:
        subject, count = f"wallet:{wallet.address}", mined[wallet.address]
        expected = reconciling.expected_nonces(wallet, moment)
        if expected.open_since is not None:
            motions[subject] = expected.open_since
        if count < expected.fewest and _is_in_doubt(wallet, count, moment):
            motions[subject] = min(motions.get(subject, wallet.nonces_block), wallet.nonces_block)
            continue
        nearest = max(expected.fewest, min(count, expected.most))
        found += differs(subject, "next_nonce", wallet.next_nonce, wallet.next_nonce + count - nearest)
    return found, motions, len(wallets)


def _is_in_doubt(wallet: PlatformWallet, count: int, moment: Moment) -> bool:
    """Nonces were noted as used that the chain shows no more, in blocks that are not final: settlement will lower the
    counter by itself (`chain.nonces`).
    """
    return count < wallet.nonces_from and wallet.nonces_block > moment.final_block
