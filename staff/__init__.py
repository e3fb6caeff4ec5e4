"""Staff: how people of the platform sign in, and the API that they manage partners and loans with (`/auth`, `/admin`).

What they may do is decided in `authority`: this app finds out who calls, and translates. It stands above the domains
and changes nothing but what is its own: accounts, sessions, second factors.
"""
