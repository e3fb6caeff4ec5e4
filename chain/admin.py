"""The settlement engine in the console: to look, not to touch.

The driver writes these rows; a person's edit would break what it relies on.
"""

from django.contrib import admin

from chain.models import ChainTransaction, FundingTransfer, Operation, PlatformWallet, TransactionAttempt
from partner_platform.core.console.model_admin import ReadOnlyAdmin, ReadOnlyInline


class AttemptInline(ReadOnlyInline):
    model = TransactionAttempt
    fields = ("kind", "tx_hash", "max_fee_per_gas_wei", "send_count", "last_error_class", "last_error", "created_at")


@admin.register(PlatformWallet)
class PlatformWalletAdmin(ReadOnlyAdmin):
    list_display = ("address", "chain_id", "status", "status_reason", "next_nonce", "max_in_flight", "lease_holder")
    list_filter = ("status",)


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ("key", "kind", "state", "acknowledged", "reason", "block_number", "tx_hash", "created_at")
    list_filter = ("state", "kind", "acknowledged")
    search_fields = ("key", "uid", "tx_hash")
    ordering = ("-created_at",)
    list_select_related = ("transaction",)


@admin.register(ChainTransaction)
class ChainTransactionAdmin(ReadOnlyAdmin):
    list_display = ("nonce", "wallet", "state", "mined_hash", "block_number", "gas_used", "note", "created_at")
    list_filter = ("state",)
    search_fields = ("mined_hash",)
    ordering = ("-created_at",)
    list_select_related = ("wallet",)
    inlines = (AttemptInline,)


@admin.register(FundingTransfer)
class FundingTransferAdmin(ReadOnlyAdmin):
    list_display = ("tx_hash", "sender", "value", "used", "block_number", "created_at")
    search_fields = ("tx_hash", "sender")
    ordering = ("-created_at",)
