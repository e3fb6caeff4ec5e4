"""Every command of the project, and which role may let it change something. A command without a row fails.

A row holds the arguments of one act. `PARTNER`, `KEY` and `ADDRESS` stand for a partner, its key and an address that
nobody has. Superusers may all.
"""

from dataclasses import dataclass

from authority.rights import Right
from authority.roles import Role

SUPPORT, CREDIT, OPERATOR, ADMIN = Role.SUPPORT, Role.CREDIT, Role.OPERATOR, Role.ADMIN


@dataclass(frozen=True)
class Act:
    """One act of a command, the right that it needs, and the roles that have it."""

    command: str
    arguments: tuple[str, ...]
    right: Right
    roles: frozenset[Role]

    def __str__(self) -> str:
        return " ".join((self.command, *self.arguments[:2]))


def act(typed: str, right: Right, *roles: Role) -> Act:
    command, *arguments = typed.split()
    return Act(command, tuple(arguments), right, frozenset(roles))


NEW_PARTNER = "--name=New --label=new --daily-limit=1 --total-limit=1 --settlement-address=ADDRESS --email=a@b.example"
ACTS = [
    act(f"create_partner {NEW_PARTNER}", Right.CREATE_PARTNERS, CREDIT, ADMIN),
    act("import_partners --yes", Right.CREATE_PARTNERS, CREDIT, ADMIN),
    act("update_partner PARTNER --name=Other --yes", Right.CHANGE_PARTNERS, SUPPORT, CREDIT, ADMIN),
    act("update_partner PARTNER --tier=PREMIUM --yes", Right.CHANGE_LIMITS, CREDIT, ADMIN),
    act("update_partner PARTNER --kyc-verified=yes --yes", Right.MANAGE_ONBOARDING, CREDIT, ADMIN),
    act("set_settlement_address PARTNER ADDRESS", Right.CHANGE_SETTLEMENT_ADDRESS, ADMIN),
    act("set_settlement_address PARTNER ADDRESS --former", Right.CHANGE_SETTLEMENT_ADDRESS, ADMIN),
    act("suspend_partner PARTNER --reason=a", Right.SUSPEND_PARTNERS, SUPPORT, CREDIT, OPERATOR, ADMIN),
    act("activate_partner PARTNER --yes", Right.ACTIVATE_PARTNERS, CREDIT, ADMIN),
    act("narrow_suspension PARTNER --yes", Right.ACTIVATE_PARTNERS, CREDIT, ADMIN),
    act("pause_borrowing --reason=a", Right.PAUSE_BORROWING, CREDIT, OPERATOR, ADMIN),
    act("resume_borrowing --reason=a", Right.RESUME_BORROWING, OPERATOR, ADMIN),
    act("block_wallet ADDRESS --reason=a", Right.BLOCK_WALLETS, CREDIT, OPERATOR, ADMIN),
    act("unblock_wallet ADDRESS --reason=a", Right.UNBLOCK_WALLETS, CREDIT, ADMIN),
    act("rotate_api_key PARTNER", Right.CREATE_API_KEYS, ADMIN),
    act("revoke_api_key PARTNER KEY --yes", Right.REVOKE_API_KEYS, SUPPORT, CREDIT, OPERATOR, ADMIN),
    act("rotate_signing_secret PARTNER", Right.ROTATE_SECRETS, ADMIN),
    act("set_signing PARTNER --v1=no", Right.ROTATE_SECRETS, ADMIN),
    act("set_signing PARTNER --required=yes", Right.ROTATE_SECRETS, ADMIN),
    act("rotate_encryption_key", Right.ROTATE_PLATFORM_KEYS, OPERATOR, ADMIN),
    act("settlement freeze reason --yes", Right.FREEZE, OPERATOR, ADMIN),
    act("settlement unfreeze --yes", Right.UNFREEZE, OPERATOR, ADMIN),
    act("settlement resend --yes", Right.OPERATE_SETTLEMENT, OPERATOR, ADMIN),
    act("settlement noop 0 --yes", Right.OPERATE_SETTLEMENT, OPERATOR, ADMIN),
    act("settlement review key --adopt --yes", Right.OPERATE_SETTLEMENT, OPERATOR, ADMIN),
    act("settlement review key --fail=a --yes", Right.OPERATE_SETTLEMENT, OPERATOR, ADMIN),
    act("settlement review key --requeue --yes", Right.OPERATE_SETTLEMENT, OPERATOR, ADMIN),
    act("settlement review --incident-seen --yes", Right.OPERATE_SETTLEMENT, OPERATOR, ADMIN),
    act("rotate_operator_key ADDRESS", Right.ROTATE_PLATFORM_KEYS, OPERATOR, ADMIN),
    act("rotate_operator_key --retire=ADDRESS", Right.ROTATE_PLATFORM_KEYS, OPERATOR, ADMIN),
    act("deploy_executor --operator=ADDRESS --treasury=ADDRESS", Right.ROTATE_PLATFORM_KEYS, OPERATOR, ADMIN),
    act("deploy_audit_anchor", Right.ROTATE_PLATFORM_KEYS, OPERATOR, ADMIN),
    act("replace_executor ADDRESS", Right.ROTATE_PLATFORM_KEYS, OPERATOR, ADMIN),
    act("replace_executor --retire=ADDRESS", Right.ROTATE_PLATFORM_KEYS, OPERATOR, ADMIN),
    act("sync_positions", Right.RUN_RECONCILIATION, OPERATOR, ADMIN),
    act("reconcile --repair", Right.RUN_RECONCILIATION, OPERATOR, ADMIN),
    act("reconcile --freeze", Right.RUN_RECONCILIATION, OPERATOR, ADMIN),
    act("archive_api_logs", Right.ARCHIVE_API_LOGS, OPERATOR, ADMIN),
    # Of a change that somebody else asked for: the activation of a partner.
    act("approve APPROVAL --reason=a --yes", Right.ACTIVATE_PARTNERS, CREDIT, ADMIN),
    act("approve APPROVAL --reason=a --reject", Right.ACTIVATE_PARTNERS, CREDIT, ADMIN),
    act("create_staff eve --email=eve@platform.example", Right.MANAGE_STAFF, ADMIN),
]
# These show something, or change nothing but what is their own; they run without `--as`.
READING = {
    *("list_partners", "list_api_keys PARTNER", "show_partner PARTNER", "list_loans PARTNER"),
    *("show_loan PARTNER LOAN", "prove_consent PARTNER LOAN", "verify_audit --no-anchors"),
    *("settlement status", "settlement review", "reconcile --quick", "set_signing PARTNER"),
    *("archive_api_logs --check", "import_partners --dry-run", "access_review"),
    "statement PARTNER 2026-01",
}
# Why nobody acts in these.
OF_NOBODY = {
    "login": "it finds out who acts",
    "copy_database": "it fills the empty database of another URL, whose password its user has",
    "openapi": "it writes a page of the source code",
    "sandbox": "it starts a sandbox",
    "demo": "it calls a sandbox's API as a partner",
    "fund_partner": "it gives a sandbox's own money, and is refused elsewhere",
}
