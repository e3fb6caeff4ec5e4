"""The platform accounts' USDC, and the wallets' nonces, at one block (M2, M3)."""

from collections.abc import Mapping

from chain import reconciling
from chain import selectors as chain_selectors
from chain.models import PlatformWallet
from chain.reconciling import Nonces, ReferenceBlock
from loans.reconciliation.findings import BooksFinding, differs

# What is not as expected is read once more: a node that was asked about its newest block while it made the next one was
# seen to answer with the state of that (anvil).
READINGS = 2


def check_accounts(booked: Mapping[str, int], moment: ReferenceBlock) -> list[BooksFinding]:
    """What others sent less what was withdrawn, and what our operations left there, against each account's USDC."""
    found: list[BooksFinding] = []
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


def check_wallets(moment: ReferenceBlock) -> tuple[list[BooksFinding], dict[str, int | None], int]:
    """The nonces of each wallet that settlement has to do with: the signing one, and those whose key was rotated away
    while they have something to follow. Which of them are in motion, since which block; how many there are.
    """
    signing = chain_selectors.signing_wallet()
    wallets = [*([] if signing is None else [signing]), *chain_selectors.retired_wallets()]
    expected = {wallet.address: reconciling.expected_nonces(wallet, moment) for wallet in wallets}
    found: list[BooksFinding] = []
    motions: dict[str, int | None] = {}
    for _ in range(READINGS):
        mined = reconciling.read_nonces(list(expected), moment)
        found, motions = [], {}
        for wallet in wallets:
            count, nonces = mined[wallet.address], expected[wallet.address]
            if count > nonces.most and wallet != signing:
                count = nonces.most  # its key may be anybody's: what else it sent concerns nobody
            found += _check_wallet(wallet, count, nonces, moment, motions)
        if all(nonces.fewest <= mined[address] <= nonces.most for address, nonces in expected.items()):
            break
    return found, motions, len(wallets)


def _check_wallet(
    wallet: PlatformWallet, count: int, expected: Nonces, moment: ReferenceBlock, motions: dict[str, int | None]
) -> list[BooksFinding]:
    subject, since = f"wallet:{wallet.address}", expected.open_since
    if since is not None:
        motions[subject] = since
    if count < expected.fewest and _will_be_lowered(wallet, count, moment):
        motions[subject] = wallet.nonces_block if since is None else min(since, wallet.nonces_block)
        return []
    if count > expected.most and _will_be_raised(wallet, expected, moment):
        motions.setdefault(subject, None)
        return []
    nearest = max(expected.fewest, min(count, expected.most))
    return differs(subject, "next_nonce", wallet.next_nonce, wallet.next_nonce + count - nearest)


def _will_be_lowered(wallet: PlatformWallet, count: int, moment: ReferenceBlock) -> bool:
    """Nonces were noted as used that the chain shows no more, in blocks that are not final: settlement will lower the
    counter by itself (`chain.settlement.nonces`).
    """
    return count < wallet.nonces_from and wallet.nonces_block > moment.final_block


def _will_be_raised(wallet: PlatformWallet, expected: Nonces, moment: ReferenceBlock) -> bool:
    """The chain has transactions that the books do not know: after a restore, or somebody else's. Settlement sends
    nothing until they are gone or final, then raises the counter by itself (`chain.settlement.nonces`,
    `chain.settlement.restoring`). False where they are final and it has not done so.
    """
    return wallet.scan_pending or reconciling.final_nonce(wallet.address, moment) <= expected.most
