"""Archive files of the API log: gzip, a JSON object a line, every column; read back before anything is deleted.

`api-log-2026-01-05-<id>.jsonl.gz` holds calls of that UTC day, `refused-calls-…` the counts of refused ones;
`sha256sum -c` reads the `.sha256` beside it.
"""

import datetime as dt
import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from audit.models import AppendOnlyModel
from audit.trail.canonical import plain_text


class ArchiveDamaged(Exception):
    """A file is missing or was altered."""


def write_archive(folder: Path, name: str, rows: Sequence[AppendOnlyModel]) -> str:
    """Write the rows durably; the file appears under its name only when complete. Returns the file's SHA-256."""
    lines = "".join(json.dumps(_as_json(row), ensure_ascii=True) + "\n" for row in rows)
    content = gzip.compress(lines.encode(), mtime=0)
    checksum = hashlib.sha256(content).hexdigest()
    _write_durably(folder, f"{name}.sha256", f"{checksum}  {name}\n".encode())
    _write_durably(folder, name, content)
    return checksum


def read_ids(folder: Path, name: str, sha256: str) -> list[str]:
    """The ids of the rows in a file; `ArchiveDamaged` unless it is the one with this checksum, whole."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ArchiveDamaged(f"{name}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ArchiveDamaged(f"{name}: its SHA-256 is not the recorded one")
    return [json.loads(line)["id"] for line in gzip.decompress(content).splitlines()]


def file_name(kind: str, day: dt.date, unique: str) -> str:
    """The name of a file with rows of this kind and day."""
    return f"{kind}-{day.isoformat()}-{unique}.jsonl.gz"


def _as_json(row: AppendOnlyModel) -> dict[str, object]:
    return {field.attname: plain_text(getattr(row, field.attname)) for field in row._meta.concrete_fields}


def _write_durably(folder: Path, name: str, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".writing-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(folder / name)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)  # the name itself
    finally:
        os.close(directory)
