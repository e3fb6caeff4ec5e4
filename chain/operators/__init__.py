"""What an operator does when settlement needs a person; `manage.py settlement` and the rotation commands call it.

- `inspection.inspect_wallet`: the state of a wallet, in the database and on the chain.
- `operating`: freeze, unfreeze, resend, send a noop, under the `operator_lease`.
- `review`: decide about an operation that NEEDS_REVIEW, on evidence that is read at that moment.
- `rotation`: replace the key or the executor.

Every act is audited, and refused where something changed since the operator was shown it.
"""
