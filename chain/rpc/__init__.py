"""Talks to nodes: several endpoints, one post for each round of calls, one meaning for each error.

No send is repeated here, and nothing final is concluded from one endpoint's answer where there are several.
"""
