"""The web server: waitress, with what a server on the open internet needs besides.

    python -m partner_platform.server --bind 0.0.0.0:8000 --processes 2 --threads 32

`prefork` starts the processes and replaces those that die; each runs `serving.WebServer`. One thread of a process reads
all its connections (`polling`), and a request takes a worker thread only when its head and body have come whole: a slow
sender holds a socket and nothing else, for `limits.REQUEST_SECONDS` at most (`channel`). `parser` says what a request
is. Whole requests of callers who are turned away are answered by the reading thread itself. What the server refuses,
before Django sees it, has the platform's error envelope (`refusals`).
docs/decisions.md says why waitress.
"""
