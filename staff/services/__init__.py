"""What changes accounts, factors and sessions of staff, each with its audit entry in the same transaction.

accounts         opening and closing an account, details, rights, passwords
archiving        moving API calls into files now, in place of the beat
command_sign_in  the sign-in of `manage.py login`
factors          second factors: adding, removing, resetting
first_admins     the accounts of an empty system, and those that come after
sessions         sessions of the console: opening, ending, proving again
whom             who may act on whose account
"""
