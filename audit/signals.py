"""What the audit trail asks of other apps, which it does not know. Receivers are in their `receivers` modules."""

from django.dispatch import Signal

anchors_asked_for = Signal()
"""Where were heads of the trail made public? No arguments.

Sent by the verification (`known_anchors`) before it reads the trail, outside any transaction, with `send`.
A receiver returns its `Anchor`s, `list[Anchor]`, oldest first, or None where anchoring is not set up; it writes
nothing. Where it cannot read them it raises `AnchorsUnreadable`, which stops the verification: a trail without its
anchors must not pass for a whole one.
"""
