"""Who may do what in the console. The one place to look it up, and to add a row to for a new model, page or action.

Each row says which rights together open something. Whoever misses one of them is refused, whatever else he may do.
"""

from dataclasses import dataclass

from authority.rights import Right

Rights = frozenset[str] | None
NOBODY: Rights = None
SUPERUSER: Rights = frozenset({"being a superuser"})


def rights(*names: str) -> Rights:
    return frozenset(names)


@dataclass(frozen=True)
class Pages:
    """A model's pages; its list, a row and the row's history are open to who may view or change it."""

    add: Rights = NOBODY
    change: Rights = NOBODY
    delete: Rights = NOBODY


LOOK_ONLY = Pages()

# model                          what opens its forms
PAGES = {
    "auth.user": Pages(add=rights(Right.MANAGE_STAFF), change=rights(Right.MANAGE_STAFF)),
    "auth.group": LOOK_ONLY,
    "staff.consolesession": LOOK_ONLY,
    "staff.staffwallet": Pages(add=SUPERUSER, delete=SUPERUSER),
    "staff.apisession": LOOK_ONLY,
    "partners.partner": Pages(add=rights(Right.CREATE_PARTNERS), change=rights(Right.CHANGE_PARTNERS)),
    "partners.apikey": Pages(add=rights(Right.CREATE_API_KEYS)),
    "partners.outgoingmail": LOOK_ONLY,
    "authority.approval": LOOK_ONLY,
    "authority.glassbreak": LOOK_ONLY,
    "partners.borrowingpause": LOOK_ONLY,
    "partners.onboarding": LOOK_ONLY,
    "partners.onboardingdocument": LOOK_ONLY,
    "partners.onboardingnote": LOOK_ONLY,
    "loans.partnerloan": LOOK_ONLY,
    "loans.solvencyposition": LOOK_ONLY,
    "loans.oaidcredit": LOOK_ONLY,
    "loans.userwallet": Pages(add=rights(Right.BLOCK_WALLETS)),
    "loans.ledgerentry": LOOK_ONLY,
    "loans.reconciliationrun": LOOK_ONLY,
    "chain.platformwallet": LOOK_ONLY,
    "chain.operation": LOOK_ONLY,
    "chain.chaintransaction": LOOK_ONLY,
    "chain.fundingtransfer": LOOK_ONLY,
    "events.event": LOOK_ONLY,
    "webhooks.endpoint": LOOK_ONLY,
    "webhooks.delivery": LOOK_ONLY,
    "webhooks.attempt": LOOK_ONLY,
    "audit.apilog": LOOK_ONLY,
    "audit.auditentry": LOOK_ONLY,
    "audit.auditblock": LOOK_ONLY,
    "audit.apilogarchive": LOOK_ONLY,
    "audit.refusedcalls": LOOK_ONLY,
}

HANDLE_KEYS = rights(Right.CREATE_API_KEYS)
ROTATE_SECRETS = rights(Right.ROTATE_SECRETS)
MANAGE_ONBOARDING = rights(Right.MANAGE_ONBOARDING)
MARK_LOANS = rights(Right.MARK_LOANS)
MANAGE_STAFF = rights(Right.MANAGE_STAFF)

# model, action                                             what lets somebody run it, beside seeing the list
ACTIONS = {
    ("auth.user", "close_accounts"): MANAGE_STAFF,
    ("auth.user", "reopen_accounts"): MANAGE_STAFF,
    ("auth.user", "reset_second_factors"): MANAGE_STAFF,
    ("auth.user", "end_their_sessions"): MANAGE_STAFF,
    ("staff.consolesession", "end_sessions"): MANAGE_STAFF,
    ("staff.staffwallet", "delete_selected"): SUPERUSER,
    ("staff.apisession", "end_these"): MANAGE_STAFF,
    ("partners.partner", "suspend"): rights(Right.SUSPEND_PARTNERS),
    ("partners.partner", "suspend_borrowing"): rights(Right.SUSPEND_PARTNERS),
    ("partners.partner", "narrow_suspension"): rights(Right.ACTIVATE_PARTNERS),
    ("partners.borrowingpause", "pause_new_borrows"): rights(Right.PAUSE_BORROWING),
    ("partners.borrowingpause", "resume_new_borrows"): rights(Right.RESUME_BORROWING),
    ("loans.userwallet", "unblock"): rights(Right.UNBLOCK_WALLETS),
    ("partners.partner", "activate"): rights(Right.ACTIVATE_PARTNERS),
    ("partners.partner", "require_signing"): ROTATE_SECRETS,
    ("partners.partner", "stop_requiring_signing"): ROTATE_SECRETS,
    ("partners.partner", "allow_signature_v1"): ROTATE_SECRETS,
    ("partners.partner", "refuse_signature_v1"): ROTATE_SECRETS,
    ("partners.partner", "rotate_key_now"): HANDLE_KEYS,
    ("partners.partner", "rotate_key_with_grace"): HANDLE_KEYS,
    ("partners.partner", "rotate_signing_secret"): ROTATE_SECRETS,
    ("partners.partner", "rotate_signing_secret_with_grace"): ROTATE_SECRETS,
    ("partners.apikey", "revoke"): rights(Right.REVOKE_API_KEYS),
    ("partners.onboarding", "to_next_stage"): MANAGE_ONBOARDING,
    ("partners.onboardingdocument", "accept"): MANAGE_ONBOARDING,
    ("partners.onboardingdocument", "reject"): MANAGE_ONBOARDING,
    ("loans.partnerloan", "default_loans"): MARK_LOANS,
    ("loans.partnerloan", "cure_loans"): MARK_LOANS,
}

# Pages beside those that every model has, by the name of their URL.
PAGES_OF_THEIR_OWN = {
    "auth_user_password_change": SUPERUSER,
    "auth_user_access_review": rights(Right.VIEW_STAFF),
    "auth_user_access_review_csv": rights(Right.VIEW_STAFF),
    # The services ask for the rights of the change: tests/staff/test_approvals_console.py
    "authority_approval_decide": rights("authority.view_approval"),
    "authority_glassbreak_decide": rights("authority.view_glassbreak"),
    "partners_partner_sent": rights(),  # of staff, to who sent the form: tests/console/test_sent_once.py
}
# Of the site itself, to every member of staff.
SITE_PAGES = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n", "app_list"}
# Of `staff.console`: to everybody, and to every member of staff for their own account.
OPEN_PAGES = {"console_login", "console_factor", "console_enrol", "console_logout"}
OWN_PAGES = {
    "own_account",
    "own_password",
    "own_factor_add",
    "own_app_remove",
    "own_passkey_remove",
    "own_codes_renew",
    "own_session_end",
}
