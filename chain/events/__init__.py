"""The watcher: each event of the system's contracts is one `ChainEvent`, in the order of the chain (M5).

- `watcher.read_new_blocks` reads blocks up to the head; `cursor` holds how far it is; `decoding` makes rows of logs.
- `reorgs.roll_back_replaced` handles a reorg: it finds the fork, has the consumers undo, and deletes the events.
- `second_reading.verify_final_range` compares what was read with every endpoint once it is final.
- `new_executors.follow_executor` reads the past of an executor that became known.
"""
