"""What the chain engine tells other apps, which it does not know. Receivers are in their `receivers` modules.

A receiver writes its own tables; what it must change of the engine's goes through `chain.services`.
"""

from django.dispatch import Signal

operations_final = Signal()
"""These operations are confirmed, failed or refused. `keys`: their idempotency keys, `list[str]`.

Sent by the driver and by a person's decision, after the commit that made them final, with `send_robust`: what a
receiver raises is logged (`django.dispatch`) and reaches neither the other receivers nor the driver. It may be lost
with the process: a receiver only starts sooner what its own sweep finds by itself. It is called on the driver's thread
and must not keep it: it queues a task.
"""

rollback_begins = Signal()
"""A reorg replaced blocks; their events are about to be forgotten. `block`: the first replaced one, `int`.

Sent by the watcher before its transaction that deletes the events from this block on, outside any transaction, with
`send`: what a receiver raises stops the receivers after it and the rollback, which is tried again. So a receiver, in
transactions of its own, undoes what it did about these events, may be called again for the same block, and raises only
where trying again helps: what it cannot undo for another reason it notes and makes up for by itself.
"""
