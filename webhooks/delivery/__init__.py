"""Delivering the feed's events to the endpoints.

`fan_out` makes deliveries of events. `sender` is the loop: it claims the endpoints that have something due (`claims`),
reads what may be sent (`reading`), and keeps it in memory on a `board` of `lanes`, one for each endpoint. Threads take
from the board, post (`posting`) and put the result back; the loop writes many results in one transaction (`outcomes`).

The order of a loan is kept twice: `reading` takes a delivery only where no pending one of the same endpoint and loan
has a lower number, and a lane sends the next one of a loan only after the result of the one before is stored. Whatever
is killed where, the rows say what is left: a claim ends by itself, and a delivery without a stored result is sent
again.
"""
