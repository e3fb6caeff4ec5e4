"""Everything on the chain: operations that are to be done exactly once, and the events of the lending system.

- `rpc`: talks to nodes. `lending`: the lending contracts. `wallet`: the platform's key, fees, lease, freezing.
- `settlement`: from a queued operation to its one effect; `settlement.reverts`, `settlement.reorgs`.
- `events`: the watcher and its rows; `events.reorgs`.
- `operators`: what people do when settlement needs them.

Other apps come in through `services` (writes) and `selectors` (reads).
"""
