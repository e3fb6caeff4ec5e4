"""The user's consent to a borrow: the EIP-712 message, its check, and the proof that is kept of it.

Where `BORROW_CONSENT=required` no loan is made without it, and a consent is used once.
"""
