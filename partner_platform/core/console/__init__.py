"""What every page of the console (Django's admin at /console/) has in common.

apps         the console's site in place of Django's own
site         which pages there are; a request with a NUL in its path or query is refused
sessions     who is logged in
model_admin  the base of every model's pages: least privilege, closed filters, malformed ids
staff        users and groups: only superusers grant
"""
