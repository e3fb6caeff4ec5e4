"""The rows of the platform's wallet and of the executors it calls, each made at its first use."""

from django.conf import settings
from django.db import IntegrityError

from chain.models import PlatformWallet
from chain.rpc.clients import ChainClient, ChainUnavailable, RpcError
from chain.wallet.signer import SignerUnavailable, get_signer


def platform_wallet(client: ChainClient) -> PlatformWallet:
    """The wallet of the configured key on the configured chain; a new one starts at the chain's nonce.

    Without a key the chain's only wallet is returned, so that what is in flight can be followed; `SignerUnavailable`
    where there is none. To be called outside a transaction.
    """
    try:
        address = get_signer().address
    except SignerUnavailable:
        wallets = list(PlatformWallet.objects.filter(chain_id=settings.CHAIN_ID)[:2])
        if len(wallets) != 1:
            raise
        return wallets[0]
    mine = PlatformWallet.objects.filter(address=address, chain_id=settings.CHAIN_ID)
    return mine.first() or _create(client, address)


def _create(client: ChainClient, address: str) -> PlatformWallet:
    nonce, block_number = _nonce_now(client, address)
    try:
        return PlatformWallet.objects.create(
            address=address,
            chain_id=settings.CHAIN_ID,
            next_nonce=nonce,
            nonces_from=nonce,
            nonces_block=block_number,
            max_in_flight=settings.CHAIN_MAX_IN_FLIGHT,
            fee_cap_wei=settings.CHAIN_MAX_FEE_PER_GAS_WEI,
        )
    except IntegrityError:  # another worker made it at the same moment
        return PlatformWallet.objects.get(address=address, chain_id=settings.CHAIN_ID)


def _nonce_now(client: ChainClient, address: str) -> tuple[int, int]:
    """The most nonces that an endpoint counts, and the newest block of any of them: each says both in one post."""
    calls = [("eth_getTransactionCount", [address, "latest"]), ("eth_blockNumber", [])]
    found = client.everyone(calls)
    if any(isinstance(answer, RpcError) for answers in found for answer in answers):
        raise ChainUnavailable("A node does not count nonces")
    return max(int(count, 16) for count, _ in found), max(int(number, 16) for _, number in found)
