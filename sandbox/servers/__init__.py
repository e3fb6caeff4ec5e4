"""The servers that the sandbox and the tests bring along, each from a package registry and run without root.

Nothing here imports Django: these modules work before settings exist.
"""
