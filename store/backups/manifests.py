"""What a backup consists of: one JSON document, written last, so that what has none is none."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from store.backups.sealed import Damaged, Key, Written
from store.kit.system_words import refused_place

NAME = "manifest.json"
FORMAT = 1
SEALED = ".sealed"
# What we write, and nothing else: a name that somebody else wrote there may lead out of the folder.
_STORED = re.compile(r"(?:assets|covers|faces)/([0-9a-f]{64})(?:\.png|\.jpg)?")
_FILE = re.compile(r"([0-9a-f]{64})(?:\.[0-9a-f]{12})?")


class FromTheFuture(Damaged):
    """Written by a version that came after this one."""


@dataclass(frozen=True)
class Part:
    """A file of a backup: its name there, and what it holds once it is opened."""

    name: str
    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path, written: Written) -> "Part":
        """What was just written there."""
        return cls(path.name, written.sha256, written.size)


@dataclass(frozen=True)
class Manifest:
    """A backup: its moment, its tables with their rows, its files by key, and by what it is opened.

    `missing` are files that neither the shop nor the place of backups has. `salt` and `key` are empty
    where nothing is encrypted; `signs` is the fingerprint of the key that links are signed with.
    """

    name: str
    made_at: datetime
    shop: str
    version: str
    kind: str
    revision: str
    signs: str
    database: Part
    settings: Part
    rows: dict[str, int]
    files: dict[str, Part]
    missing: list[str] = field(default_factory=list)
    salt: str = ""
    key: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether everything that the database names is in it."""
        return not self.missing

    @property
    def is_sealed(self) -> bool:
        """Whether a passphrase is needed."""
        return bool(self.key)

    @property
    def size(self) -> int:
        """Bytes of all that it holds, before it was encrypted."""
        parts = {one.name: one.size for one in self.files.values()}
        return self.database.size + self.settings.size + sum(parts.values())

    def as_text(self, key: Key | None) -> str:
        """The document, with a proof that who has the passphrase wrote it."""
        said = {"format": FORMAT} | asdict(self) | {"made_at": self.made_at.isoformat()}
        if key:
            said["proof"] = key.proof(_plain(said))
        return json.dumps(said, indent=1)


def read_manifest(folder: Path) -> Manifest:
    """The manifest in the folder of a backup. Refuses (`Damaged`)."""
    return _from(_said(folder), folder.name)


def prove(folder: Path, key: Key) -> None:
    """Refuses (`Damaged`) where the manifest is not as who had the passphrase wrote it."""
    said = _said(folder)
    proof = said.pop("proof", "")
    if proof != key.proof(_plain(said)):
        raise Damaged(f"The manifest of {folder.name} was changed after it was written.")


def _said(folder: Path) -> dict[str, Any]:
    try:
        said = json.loads((folder / NAME).read_text())
    except OSError as fault:
        why = refused_place(fault)
        raise Damaged(f"The manifest of {folder.name} cannot be read. {why}".strip()) from None
    except ValueError:
        raise Damaged(f"The manifest of {folder.name} cannot be read.") from None
    if not isinstance(said, dict):
        raise Damaged(f"The manifest of {folder.name} cannot be read.")
    return said


def _from(said: dict[str, Any], name: str) -> Manifest:
    known = {one: value for one, value in said.items() if one not in {"format", "proof"}}
    if said.get("format") != FORMAT:
        raise FromTheFuture(
            f"{name} was written by another version of the shop ({said.get('version')}), in a form that "
            "this one does not know. Install that version or a newer one."
        )
    try:
        known["made_at"] = datetime.fromisoformat(known["made_at"])
        for part in ("database", "settings"):
            known[part] = Part(**known[part])
        known["files"] = {key: Part(**part) for key, part in known["files"].items()}
        found = Manifest(**known)
        strange = next(_not_ours(found, name), None)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Damaged(f"The manifest of {name} cannot be read.") from None
    if strange is not None:
        raise Damaged(
            f"The manifest of {name} names “{strange}”, which no backup of ours does: somebody has "
            "changed it. Use another backup (--name)."
        )
    return found


def _not_ours(found: Manifest, folder: str) -> Iterator[str]:
    """Each name in a manifest that leads elsewhere than those which we write."""
    if found.name != folder:
        yield found.name
    for part, plain in ((found.database, "database"), (found.settings, "settings.env")):
        if part.name not in (plain, plain + SEALED):
            yield part.name
    for stored, part in found.files.items():
        key, file = _STORED.fullmatch(stored), _FILE.fullmatch(part.name)
        if key is None or key[1] != part.sha256:
            yield stored
        if file is None or file[1] != part.sha256:
            yield part.name


def _plain(said: dict[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
