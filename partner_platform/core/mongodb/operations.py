"""How values are sent to MongoDB."""

import re

from django_mongodb_backend import operations


class DatabaseOperations(operations.DatabaseOperations):
    """The backend's operations with our compilers, and `iexact` as text."""

    compiler_module = "partner_platform.core.mongodb.compiler"

    def prep_for_iexact_query(self, x: str) -> str:
        """Escape what is matched as a regular expression; the stock backend escapes for LIKE and leaves `.*`
        unescaped.
        """
        return re.escape(x)
