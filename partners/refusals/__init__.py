"""Limits on refused calls: counting them by address, turning away addresses over the limit, letting valid keys pass."""
