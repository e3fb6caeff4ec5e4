"""What the project's texts mention of the project itself: links, paths, tests, modules; and whether it is there.

Texts are README.md, docs/*.md, and the comments and docstrings of the Python files. Files are read, not imported.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    *("audit", "authority", "benchmarks", "chain", "events", "loans", "partner_platform", "partners", "sandbox"),
    *("staff", "tests", "tools", "webhooks"),
)
FOLDERS = (*PACKAGES, "configs", "docs", "requirements", "templates")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# A path from the project's folder on: docs/api.md, chain/settlement/, tests/chain/test_faults_*.py
PATH = re.compile(rf"(?<![\w/.:$-])((?:{'|'.join(FOLDERS)})/[\w./*-]*)")
FILE = re.compile(r"(?<![\w/.:$*-])([\w./-]+\.(?:py|md|sol|toml|conf|js|yml|html|css))\b(?!\()")
MEMBER = re.compile(r"([\w./-]+\.py)::(\w+(?:\.\w+)*)")
DOTTED = re.compile(r"`(\w+(?:\.\w+)+)(?:\(\))?`")
COMMENT = re.compile(r"(?:^|\s)# (.+)$", re.MULTILINE)
DOCSTRING = re.compile(r'"""(.+?)"""', re.DOTALL)
LITERAL = re.compile(r"\"(\w+(?:\.\w+)+)\"")
MAKE = re.compile(r"`make ([a-z-]+)")
COMMAND = re.compile(r"(?:manage\.py|CMD=\"?) ?([a-z_]+)")
NOT_FILES = ("Next.js", "Chart.js", "redoc.standalone.js")


# Django's own commands that the pages name.
DJANGOS = ("migrate", "check", "createsuperuser", "makemigrations", "shell", "runserver", "collectstatic")


@dataclass(frozen=True)
class Text:
    """A page, or the comments and docstrings of a module; `folder` is where relative links and names begin."""

    name: str
    body: str

    @property
    def path(self) -> Path:
        return PROJECT / self.name


@cache
def files() -> frozenset[str]:
    """Every file of the project by its path: what is installed or made here (`.venv`, caches) is none of it."""
    found = (path for name in FOLDERS for path in (PROJECT / name).rglob("*"))
    of_the_root = (path for path in PROJECT.iterdir() if not path.name.startswith(".venv"))
    return frozenset(
        path.relative_to(PROJECT).as_posix()
        for path in (*found, *of_the_root)
        if path.is_file() and "__pycache__" not in path.parts
    )


def pages() -> list[Text]:
    """The pages in Markdown."""
    return [_text(name) for name in sorted(files()) if name == "README.md" or re.fullmatch(r"docs/[\w-]+\.md", name)]


def modules() -> Iterator[Text]:
    """The comments and docstrings of each module that is not a migration."""
    for name in sorted(files()):
        if name.endswith(".py") and "/migrations/" not in name:
            yield Text(name, "\n".join(_said((PROJECT / name).read_text())))


def _text(name: str) -> Text:
    return Text(name, (PROJECT / name).read_text())


def _said(source: str) -> Iterator[str]:
    """By what they look like: parsing all files takes ten times as long, and a text in three quotes is a docstring."""
    yield from COMMENT.findall(source)
    yield from DOCSTRING.findall(source)


# --- what is mentioned and is not there ---


def broken_links(text: Text) -> list[str]:
    """Relative links of a page whose file, or whose heading in it, is not there."""
    targets = [target for target in LINK.findall(FENCED.sub("", text.body)) if "://" not in target]
    return [target for target in targets if not _leads_somewhere(text, target)]


def _leads_somewhere(text: Text, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (text.path.parent / name).resolve() if name else text.path
    if not path.exists():
        return False
    return not anchor or anchor in {_anchor(heading) for heading in HEADING.findall(FENCED.sub("", path.read_text()))}


def _anchor(heading: str) -> str:
    """As GitHub makes it: lower case, without punctuation, spaces as hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def missing_files(text: Text) -> list[str]:
    """Paths and names of files that the text mentions and that are not there. A bare name may stand in any folder."""
    body = LINK.sub("", text.body)
    paths = [path.rstrip(".-") for path in PATH.findall(body)]
    names = [name for name in FILE.findall(body) if name not in NOT_FILES]
    found = [path for path in paths if not _exists(path)]
    found += [name for name in names if not (_exists(name) if "/" in name else name in _bare_names())]
    return sorted(set(found))


def _exists(path: str) -> bool:
    if "*" in path:
        return any(PROJECT.glob(path))
    return path in files() or (PROJECT / path).is_dir()


@cache
def _bare_names() -> frozenset[str]:
    return frozenset(Path(name).name for name in files())


def missing_members(text: Text) -> list[str]:
    """`path::name` of which the file does not define the name."""
    return [f"{path}::{name}" for path, name in MEMBER.findall(text.body) if name not in defined_in(path)]


@cache
def defined_in(path: str) -> frozenset[str]:
    """What a Python file defines or imports, by name; methods as `Class.method` and alone."""
    if path not in files():
        return frozenset()
    names: set[str] = set()
    for node in ast.walk(ast.parse((PROJECT / path).read_text())):
        if isinstance(node, ast.ClassDef):
            members = {name for statement in node.body for name in _bound_by(statement)}
            names |= {node.name, *(f"{node.name}.{member}" for member in members)}
        names |= set(_bound_by(node))
    return frozenset(names)


def _bound_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [name.id for target in targets for name in ast.walk(target or ast.Pass()) if isinstance(name, ast.Name)]


def missing_names(text: Text) -> list[str]:
    """Dotted names of modules and what they define, from a package on (`loans.services.borrow.request_borrow`), or from
    the app, or the room, of the module that says them (`services.borrow`).
    """
    return [name for name in DOTTED.findall(text.body) if not _resolves(name, text.name)]


def _resolves(name: str, said_in: str) -> bool:
    first, *rest = name.split(".")
    if rest[-1] in ("py", "md", "js", "sol", "json", "toml", "yml", "conf"):
        return True  # a file's name
    if name in literals():
        return True  # no module: an action of the audit trail, the id of a system check
    folders = [""] if first in PACKAGES else []
    parts = said_in.split("/")[:-1]
    folders += ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts) + 1)]
    folders += ["partner_platform/"] if first == "core" else []
    starts = [folder + first for folder in folders if _is_module(folder + first)]
    return not starts or any(_follow(start, rest) for start in starts)


@cache
def literals() -> frozenset[str]:
    """Whatever with dots in it the code has between quotes."""
    sources = ((PROJECT / name).read_text() for name in files() if name.endswith(".py") and "test" not in name)
    return frozenset(name for source in sources for name in LITERAL.findall(source))


def _is_module(path: str) -> bool:
    return f"{path}.py" in files() or f"{path}/__init__.py" in files()


def _follow(path: str, rest: list[str]) -> bool:
    for part in rest:
        if _is_module(f"{path}/{part}"):
            path = f"{path}/{part}"
            continue
        file = f"{path}.py" if f"{path}.py" in files() else f"{path}/__init__.py"
        return part in defined_in(file)
    return True


def missing_targets(text: Text) -> list[str]:
    """`make …` of which the Makefile has no target."""
    targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    return [name for name in MAKE.findall(text.body) if name not in targets]


def missing_commands(text: Text) -> list[str]:
    """`manage.py …` that is no command of the project's or Django's."""
    ours = {Path(name).stem for name in files() if "/management/commands/" in name}
    return [name for name in COMMAND.findall(text.body) if name not in ours and name not in DJANGOS]
