"""What every page of the console (Django's admin at /console/) has in common.

apps         the console's site in place of Django's own
site         which pages there are; a request with a NUL in its path or query is refused
sessions     sessions in the database
step_up      who does something dangerous proves again who they are
model_admin  the base of every model's pages: least privilege, closed filters, malformed ids
"""
