"""What a partner is sent about itself: events of its account, keys and limits, and e-mails to its contact.

Each is recorded in the transaction of what it is about, and once (M6).
"""
