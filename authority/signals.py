"""What authority tells other apps, which it does not know. Receivers are in their `receivers` modules."""

from django.dispatch import Signal

staff_written_to = Signal()
"""An e-mail to members of staff. `recipients`: `{account: e-mail address}`; `once`: what it is about, at most 80
characters; `subject`, `text`: without secrets.

Sent in the transaction of what it tells of with `send`: what a receiver raises undoes that.
"""
