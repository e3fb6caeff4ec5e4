"""Onboarding: how a company becomes a partner that may borrow, by the stages APPLIED, KYC, CONTRACT, SANDBOX, LIVE.

`stages` says which stage follows which and what each needs (pure), `rule` is the one place that decides whether any of
it is required (`ONBOARDING`) and refuses an activation or a key, `checks` writes who set `kycVerified` and
`contractSigned`, `services` is what staff do, `records` the documents, contacts and notes, `profile` reads what they
are given. Files are kept elsewhere: a document here is where it is and its SHA-256.
"""
