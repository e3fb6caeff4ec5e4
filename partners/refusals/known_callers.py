"""Whether a call carries credentials of ours, decided without a query: an API key, or what another app recognizes.

An app above this one registers its own credentials by `recognized_by` (access tokens of staff are `staff`'s). This only
decides which calls reach the authentication, which reads the database.
"""

from collections.abc import Callable, Mapping

from partners.refusals import live_keys

# Given a request's headers as in `META`. Must not wait: no query, no round trip.
Recognize = Callable[[Mapping[str, object]], bool]

_others: list[Recognize] = []


def recognized_by(recognize: Recognize) -> None:
    """Callers whom `recognize` returns True for are known, too."""
    if recognize not in _others:
        _others.append(recognize)


def is_known_caller(meta: Mapping[str, object]) -> bool:
    """Whether a request with this `META` carries credentials that work, as far as this process knows."""
    return live_keys.has_live_key(meta) or _is_another(meta)


def may_be_known_caller(meta: Mapping[str, object]) -> bool:
    """The same without ever reading the keys: True too where only a new reading could tell."""
    return live_keys.may_have_live_key(meta) or _is_another(meta)


def _is_another(meta: Mapping[str, object]) -> bool:
    return any(recognize(meta) for recognize in _others)
