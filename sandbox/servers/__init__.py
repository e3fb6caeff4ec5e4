"""The servers that the sandbox and the tests start, each from a package and run without root.

Nothing here imports Django: these modules work before settings exist.
"""
