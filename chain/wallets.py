"""The row of the platform's wallet, made at its first use."""

from django.conf import settings
from django.db import IntegrityError

from chain.clients import ChainClient
from chain.models import PlatformWallet
from chain.signer import SignerUnavailable, get_signer


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
    nonce = int(client.call("eth_getTransactionCount", [address, "latest"]), 16)
    try:
        return PlatformWallet.objects.create(
            address=address,
            chain_id=settings.CHAIN_ID,
            next_nonce=nonce,
            nonces_from=nonce,
            max_in_flight=settings.CHAIN_MAX_IN_FLIGHT,
            fee_cap_wei=settings.CHAIN_MAX_FEE_PER_GAS_WEI,
        )
    except IntegrityError:  # another worker made it at the same moment
        return PlatformWallet.objects.get(address=address, chain_id=settings.CHAIN_ID)
