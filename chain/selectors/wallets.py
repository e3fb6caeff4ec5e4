"""Reads of the platform's wallets and executors, and of the transactions that a wallet has under way."""

import uuid

from django.conf import settings
from django.db.models import QuerySet

from chain.models import ChainTransaction, Executor, Operation, OperationState, PlatformWallet, WalletStatus
from chain.selectors.operations import queued_query
from chain.states import LIVE_TRANSACTION_STATES
from chain.wallet.signer import signing_address


def executor_addresses() -> list[str]:
    """Every executor that operations of this chain were made for, the configured one among them."""
    known = Executor.objects.filter(chain_id=settings.CHAIN_ID).order_by("created_at", "id")
    addresses = [*known.values_list("address", flat=True), settings.PLATFORM_EXECUTOR_ADDRESS]
    return list(dict.fromkeys(address for address in addresses if address))


def has_live_work(wallet: PlatformWallet) -> bool:
    """True while a driver has something to do: transactions to follow, or queued operations that may be sent."""
    if ChainTransaction.objects.filter(wallet=wallet, state__in=LIVE_TRANSACTION_STATES).exists():
        return True
    if is_retired(wallet):
        return False
    is_active = PlatformWallet.objects.filter(pk=wallet.pk, status=WalletStatus.ACTIVE).exists()
    return is_active and queued_query().exists()


def is_retired(wallet: PlatformWallet) -> bool:
    """True where its key was rotated away: new transactions are signed with another key."""
    return signing_address() not in ("", wallet.address)


def wallets_of_the_chain() -> list[PlatformWallet]:
    """Every wallet of this chain, the oldest first."""
    return list(PlatformWallet.objects.filter(chain_id=settings.CHAIN_ID).order_by("created_at", "id"))


def wallets_to_look_at() -> list[PlatformWallet]:
    """Wallets of this chain, rotated away or not, that are not ACTIVE, have an incident or transactions under way."""
    return [
        wallet
        for wallet in wallets_of_the_chain()
        if wallet.status != WalletStatus.ACTIVE or wallet.incident or live_transactions_query(wallet.pk).exists()
    ]


def signing_wallet() -> PlatformWallet | None:
    """The wallet of the configured key; without a key the chain's only one. None where there is no such row."""
    current = signing_address()
    wallets = wallets_of_the_chain()
    if not current and len(wallets) == 1:
        return wallets[0]
    return next((wallet for wallet in wallets if wallet.address == current), None)


def retired_wallets() -> list[PlatformWallet]:
    """Wallets whose key was rotated away and that still have to be followed: they have live transactions, a pending
    comparison after a restore, or settled operations in a block that is not final.

    Where no key is configured and there are several wallets, all of them count as rotated away.
    """
    current = signing_address()
    wallets = wallets_of_the_chain()
    if not current and len(wallets) == 1:
        return []
    return [wallet for wallet in wallets if wallet.address != current and _has_unfinished(wallet)]


def _has_unfinished(wallet: PlatformWallet) -> bool:
    mine = ChainTransaction.objects.filter(wallet=wallet.pk)
    if wallet.scan_pending or mine.filter(state__in=LIVE_TRANSACTION_STATES).exists():
        return True
    final, verified = wallet.final_block or 0, wallet.verified_block or 0
    if mine.filter(block_number__gt=final).exists():
        return True
    adopted = Operation.objects.filter(transaction__isnull=True, state=OperationState.CONFIRMED)
    return adopted.filter(block_number__gt=final, block_number__lte=verified).exists()


def blocks_to_compare(*, below: int) -> list[int]:
    """Blocks below this one in which settlement was done and which it has not compared with the chain as final ones.

    None are left once a driver has run after they became final.
    """
    found: set[int | None] = set()
    wallets = wallets_of_the_chain()
    for wallet in wallets:
        mine = ChainTransaction.objects.filter(wallet=wallet.pk, block_number__gt=wallet.final_block or 0)
        found |= set(mine.filter(block_number__lt=below).values_list("block_number", flat=True))
    newest = max((wallet.final_block or 0 for wallet in wallets), default=0)
    adopted = Operation.objects.filter(transaction__isnull=True, state=OperationState.CONFIRMED)
    later = adopted.filter(block_number__gt=newest, block_number__lt=below)
    found |= set(later.values_list("block_number", flat=True))
    return sorted(number for number in found if number is not None)


def live_transactions(wallet: PlatformWallet) -> list[ChainTransaction]:
    """The transactions the driver follows, in nonce order, their attempts prefetched."""
    # Sorted here: they are few, and for ORDER BY nonce SQLite reads everything that the wallet ever sent.
    live = live_transactions_query(wallet.pk).prefetch_related("attempts")
    return sorted(live, key=lambda transaction: transaction.nonce)


def live_transactions_query(wallet_id: uuid.UUID) -> QuerySet[ChainTransaction]:
    """The query of `live_transactions`, for the index tests too."""
    return ChainTransaction.objects.filter(wallet_id=wallet_id, state__in=LIVE_TRANSACTION_STATES)


def frozen_wallets_count() -> int:
    """How many wallets are frozen."""
    return PlatformWallet.objects.filter(status=WalletStatus.FROZEN).count()
