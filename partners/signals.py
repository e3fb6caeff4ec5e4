"""What the partners tell other apps, which they do not know. Receivers are in their `receivers` modules."""

from django.dispatch import Signal

webhook_url_changed = Signal()
"""A partner's `webhook_url` was set, changed or emptied. `partner`: with its primary key and public id; `url`: as it is
now, "" for none; `actor`: who changed it.

Sent in the transaction of the change with `send`: what a receiver raises undoes the change. A receiver returns the
secret that it made for the URL, which is shown once, or None.
"""
