"""Django's PostgreSQL backend, which looks at a connection before it asks whether it is alive."""
