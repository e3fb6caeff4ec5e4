"""HTTP: what every request and answer of the platform has alike."""
