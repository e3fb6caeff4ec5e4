"""Pages of the console that are no model's: signing in, and what everybody changes of their own account.

login        the password, then the second factor; who needs one and has none adds one before anything else
pending      a sign-in between its two steps, which gives no right at all
enrolment    adding an authenticator app or a passkey
own_account  one's factors, sessions and password
"""
