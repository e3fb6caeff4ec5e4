"""The partner API, endpoints 1 to 8: bodies, answers, presentation and documentation of each."""
