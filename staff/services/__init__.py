"""What changes accounts, factors and sessions of staff, each with its audit entry in the same transaction.

accounts    opening and closing an account, details, rights, passwords
factors     second factors: adding, removing, resetting
sessions    sessions of the console: opening, ending, proving again
whom        who may act on whose account
"""
