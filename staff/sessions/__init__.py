"""Sessions of the console while they are used.

lifetime    how long a session lasts, and which are open
middleware  each request of the console: its session goes on, or ends
step_up     asks for a second factor again before something dangerous
"""
