"""The audit trail: a chain of MACs over blocks of entries, its sealing, verification, witness and anchors."""
