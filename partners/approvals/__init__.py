"""Changes of partners that need a second person (docs/approvals.md).

sensitive  which they are, and what is asked for; the services call it
approved   how each is made once it is approved
"""
