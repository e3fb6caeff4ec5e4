"""Pages of the console about people of staff and how they sign in.

login          the password, then the second factor; who needs one and has none adds one before anything else
pending        a sign-in between its two steps, which gives no right at all
enrolment      adding an authenticator app or a passkey
own_account    one's own factors, sessions and password
account_admin  accounts, roles, sessions of the console, the access review
sign_in_admin  wallets and sessions of the API
"""
