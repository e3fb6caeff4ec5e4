"""Talks to nodes: several endpoints, one post a round, one meaning for each error, evidence for each conclusion."""
