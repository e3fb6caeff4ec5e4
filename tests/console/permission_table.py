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
    "auth.user": Pages(
        add=rights("auth.add_user", "auth.change_user"),
        change=rights("auth.change_user"),
        delete=rights("auth.delete_user"),
    ),
    "auth.group": Pages(add=SUPERUSER, change=SUPERUSER, delete=SUPERUSER),
    "partners.partner": Pages(add=rights(Right.CREATE_PARTNERS), change=rights(Right.CHANGE_PARTNERS)),
    "partners.apikey": Pages(add=rights(Right.CREATE_API_KEYS)),
    "partners.outgoingmail": LOOK_ONLY,
    "partners.borrowingpause": LOOK_ONLY,
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
MARK_LOANS = rights(Right.MARK_LOANS)

# model, action                                             what lets somebody run it, beside seeing the list
ACTIONS = {
    ("auth.user", "delete_selected"): rights("auth.delete_user"),
    ("auth.group", "delete_selected"): SUPERUSER,
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
    ("loans.partnerloan", "default_loans"): MARK_LOANS,
    ("loans.partnerloan", "cure_loans"): MARK_LOANS,
}

# Pages beside those that every model has, by the name of their URL.
PAGES_OF_THEIR_OWN = {
    "auth_user_password_change": SUPERUSER,
    "partners_partner_sent": rights(),  # of staff, to who sent the form: tests/console/test_sent_once.py
}
# Of the site itself, to every member of staff.
SITE_PAGES = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n", "app_list"}
