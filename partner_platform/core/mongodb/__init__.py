"""The MongoDB engine of this project (`ENGINE`): django-mongodb-backend, with the gaps of its 5.2 line closed.

base        `django.db.transaction` is real: rollback, on_commit, a doomed block refuses queries; errors are Django's
compiler    a failed statement dooms its transaction, as on PostgreSQL; an update with a subquery raises (it wrote NULL)
operations  `iexact` is escaped (it was a regular expression: `username__iexact=".*"` matched everybody)
query       lists are sorted by their index (the stock one sorts after projecting, in memory)
schema      unique indexes that the planner can use (the stock ones are partial on `$type`, and every lookup scanned)
apps        auth, admin and contenttypes with keys that MongoDB can make, and `migrations/` for them

Each is covered by tests/core; which of them a later backend repairs is in docs/databases.md.
"""
