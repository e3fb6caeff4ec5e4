"""HTTP: what all requests and responses of the platform have in common."""
