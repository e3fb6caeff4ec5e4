"""The rules of the code's structure, checked: `python -m tools.structure`, part of `make lint`.

Sizes of functions, files and folders; no import cycle; one meaning for each public name; no symbol without a caller;
a bound on `Any` in signatures. Tests and migrations are not looked at, but for the calls that tests do not count as.
`rules.toml` has the limits, the exceptions with their reasons, and the findings that are known and have to go.
"""
