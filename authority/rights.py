"""The rights that staff can have. A right is named as Django names a permission, `app.codename`, so that `has_perm`
answers for it.
"""

from enum import StrEnum


class Right(StrEnum):
    """What somebody may see or do; the names are stored in the audit trail and never change their meaning."""

    VIEW_PARTNERS = "staff.view_partners"
    VIEW_LOANS = "staff.view_loans"
    VIEW_SETTLEMENT = "staff.view_settlement"
    VIEW_WEBHOOKS = "staff.view_webhooks"
    VIEW_API_LOGS = "staff.view_api_logs"  # every call, with client addresses
    VIEW_AUDIT_TRAIL = "staff.view_audit_trail"
    VIEW_STATEMENTS = "staff.view_statements"
    VIEW_APPROVALS = "staff.view_approvals"
    VIEW_STAFF = "staff.view_staff"  # accounts, roles, sessions of others, the access review

    CREATE_PARTNERS = "staff.create_partners"
    CHANGE_PARTNERS = "staff.change_partners"  # name, contacts, webhook URL, allow list: nothing that money depends on
    CHANGE_LIMITS = "staff.change_limits"  # limits, tier, fee, funding
    CHANGE_SETTLEMENT_ADDRESS = "staff.change_settlement_address"
    SUSPEND_PARTNERS = "staff.suspend_partners"
    ACTIVATE_PARTNERS = "staff.activate_partners"
    MANAGE_ONBOARDING = "staff.manage_onboarding"  # stages, documents, who checked
    CREATE_API_KEYS = "staff.create_api_keys"  # create and rotate
    REVOKE_API_KEYS = "staff.revoke_api_keys"
    ROTATE_SECRETS = "staff.rotate_secrets"  # signing and webhook secrets, and whether calls must be signed
    RESEND_WEBHOOKS = "staff.resend_webhooks"

    MARK_LOANS = "staff.mark_loans"  # default and cure
    PAUSE_BORROWING = "staff.pause_borrowing"
    RESUME_BORROWING = "staff.resume_borrowing"
    BLOCK_WALLETS = "staff.block_wallets"
    UNBLOCK_WALLETS = "staff.unblock_wallets"

    FREEZE = "staff.freeze"  # a wallet, a position, an OAID
    UNFREEZE = "staff.unfreeze"
    OPERATE_SETTLEMENT = "staff.operate_settlement"  # resend, replace, decide on operations in review
    RUN_RECONCILIATION = "staff.run_reconciliation"  # with freezes and repairs
    ROTATE_PLATFORM_KEYS = "staff.rotate_platform_keys"  # operator key, executor, encryption keys

    MANAGE_STAFF = "staff.manage_staff"  # open and close accounts, reset second factors, end sessions
    BREAK_GLASS = "staff.break_glass"  # act without the second person
    REVIEW_BREAK_GLASS = "staff.review_break_glass"


# The pages of the console are those of models; Django asks for `app.view_model`, which these rights include.
SEEN_WITH: dict[Right, frozenset[str]] = {
    Right.VIEW_PARTNERS: frozenset(
        {
            "partners.view_partner",
            "partners.view_apikey",
            "partners.view_settlementaddress",
            "partners.view_partnerdailyusage",
            "partners.view_borrowingpause",
        }
    ),
    Right.VIEW_LOANS: frozenset(
        {
            "loans.view_partnerloan",
            "loans.view_repayment",
            "loans.view_solvencyposition",
            "loans.view_oaidcredit",
            "loans.view_ledgerentry",
            "loans.view_reconciliationrun",
            "loans.view_userwallet",
        }
    ),
    Right.VIEW_SETTLEMENT: frozenset(
        {
            "chain.view_platformwallet",
            "chain.view_operation",
            "chain.view_chaintransaction",
            "chain.view_attempt",
            "chain.view_fundingtransfer",
        }
    ),
    Right.VIEW_WEBHOOKS: frozenset(
        {
            "events.view_event",
            "webhooks.view_endpoint",
            "webhooks.view_delivery",
            "webhooks.view_attempt",
            "partners.view_outgoingmail",
        }
    ),
    Right.VIEW_API_LOGS: frozenset({"audit.view_apilog", "audit.view_refusedcalls", "audit.view_apilogarchive"}),
    Right.VIEW_AUDIT_TRAIL: frozenset({"audit.view_auditentry", "audit.view_auditblock"}),
    Right.VIEW_STAFF: frozenset({"auth.view_user", "auth.view_group"}),
}
