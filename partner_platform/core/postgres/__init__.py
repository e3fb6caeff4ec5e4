"""Django's PostgreSQL backend with a cheaper check that a connection is alive."""
