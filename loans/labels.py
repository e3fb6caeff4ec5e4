"""What a loan is listed by beside the platform's own columns: two fields of the metadata that the partner gave it.

Kept in columns of their own, because no query that all three databases answer looks into JSON.
"""

from collections.abc import Mapping

from loans.models import MAX_LABEL


def label_of(metadata: Mapping[str, object] | None, name: str) -> str:
    """The metadata's field as the column has it: a text of at most `MAX_LABEL` characters, or a whole number's digits.

    Anything else has no label (an empty text): it stays in the metadata, and no filter finds it.
    """
    value = (metadata or {}).get(name)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and len(text) <= MAX_LABEL else ""
