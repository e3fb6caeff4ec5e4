"""The kinds of changes that can wait for approval. The app that owns a change registers its kind when it starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authority.acting import Staff

Arguments = Mapping[str, object]
Secrets = dict[str, str]


def prepare_nothing(arguments: Arguments) -> None:
    """For a kind whose change needs nothing from outside the database."""


@dataclass(frozen=True)
class ApprovalKind:
    """`title` names the change for people.

    `prepare(arguments)` is called first, outside any transaction: it may read the chain. `execute(arguments, actor,
    prepared)` is called in the transaction of the approval. It runs the service that asked for the approval, as the
    maker, and returns the secrets that it made, by the names of the contract; they are shown once.
    """

    name: str
    title: str
    execute: Callable[[Arguments, Staff, object], Secrets]
    prepare: Callable[[Arguments], object] = prepare_nothing


_kinds: dict[str, ApprovalKind] = {}


def register_kind(kind: ApprovalKind) -> None:
    """Make the kind known; a name is registered once."""
    if _kinds.setdefault(kind.name, kind) != kind:
        raise ValueError(f"{kind.name} is registered already")


def kind_named(name: str) -> ApprovalKind:
    """The kind; `KeyError` where no app has registered it."""
    return _kinds[name]


def kind_names() -> list[str]:
    """All names, sorted."""
    return sorted(_kinds)


def title_of(name: str) -> str:
    """The kind's title; its name where no app has it any more."""
    return _kinds[name].title if name in _kinds else name
