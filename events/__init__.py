"""The outbox: what happened to a partner's loans and settings, written in the transaction of the change (M6).

An event is recorded by whoever makes the change (`services`), gets its number in the feed after the commit
(`numbering`), and is read from there, by partners and by the webhooks, without gaps.
"""
