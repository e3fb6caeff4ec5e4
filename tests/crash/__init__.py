"""Processes killed at every commit and every RPC call of the flows that move money."""
