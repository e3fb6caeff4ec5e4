"""What changes accounts of staff, and the platform's own chores that a person does in place of the beat.

accounts         opening an account, what it may do
command_sign_in  the sign-in of `manage.py login`
first_admins     the accounts of an empty system, and those that come after
archiving        moving API calls into files now
whom             who may act on whose account
"""
