"""Webhooks: partners' endpoints, and the delivery of the feed's events to them.

At least once, in order per loan, at the due times of the database; one endpoint never holds up another. Invariant (M6):
each event of the feed is delivered to each endpoint that asks for its type, or its delivery says why not.
"""
