"""``marks.json``: all that a run knows, written after each submission, and read by the next."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from course_utils.files import replace_with
from course_utils.instructor.desk.marks import Mark, Submission
from course_utils.instructor.desk.stages import Stage

FILE = "marks.json"
_FORMAT = 1
#: The status of a submission that the desk itself stumbled over: the next run tries it again.
FAILED = "failed"
#: Hidden seeds lie between 1 and this.
_LARGEST_SEED = 1_000_000


class LedgerError(ValueError):
    """A folder holds something else than an earlier run of the same marking."""


@dataclass
class Ledger:
    """The marks of a class, with what they were made from.

    Attributes
    ----------
    stage : int
    fingerprint : str
        Of the release; with another one everything is marked anew.
    secret : str
        Makes the hidden seeds, and the keys of the students.
    seeds : list of int
        Of the checks: the student's, then the hidden ones.
    layers : list of str
        Of the sandbox, as they held in the last run.
    submissions : dict of str to Submission
        By key.
    """

    stage: int
    fingerprint: str
    secret: str
    seeds: list[int]
    layers: list[str] = field(default_factory=list)
    submissions: dict[str, Submission] = field(default_factory=dict)

    def done(self, key: str, file_hash: str) -> bool:
        """Whether a submission was marked, and is the same file."""
        known = self.submissions.get(key)
        return known is not None and known.file_hash == file_hash and known.status != FAILED

    def save(self, out: Path) -> None:
        """Write all of it; a run that is cut short leaves the last whole one."""
        content = {"format": _FORMAT, **asdict(self)}
        with replace_with(out / FILE) as path:
            path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def hidden_seeds(secret: str, count: int) -> list[int]:
    """As many seeds as asked for: the same for the same secret, and the first ones in each."""
    found: list[int] = []
    number = 0
    while len(found) < count:
        digest = hashlib.sha256(f"{secret}\0seed {number}".encode()).digest()
        seed = 1 + int.from_bytes(digest[:8], "big") % _LARGEST_SEED
        found += [seed] if seed not in found else []
        number += 1
    return found


def open_ledger(out: Path, stage: Stage, secret: str | None, hidden: int | None) -> Ledger:
    """The ledger of a folder: a new one, or that of an earlier run of the same marking.

    Parameters
    ----------
    out : Path
    stage : Stage
    secret : str or None
        None takes that of the earlier run, or makes one.
    hidden : int or None
        How many hidden seeds; None takes what the earlier run had, or 2.

    Raises
    ------
    LedgerError
        The folder holds something else; nothing was changed.
    """
    path = out / FILE
    if not path.exists():
        if out.is_file():
            raise LedgerError(f"{out} is a file; give a folder as --out.")
        if out.is_dir() and any(out.iterdir()):
            raise LedgerError(
                f"{out} holds other files and no {FILE}: give a new folder as --out, or that of an "
                "earlier run."
            )
        secret = secret or secrets.token_hex(8)
        seeds = [0, *hidden_seeds(secret, 2 if hidden is None else hidden)]
        return Ledger(stage.number, stage.fingerprint, secret, seeds)
    found = load(out)
    if found.stage != stage.number:
        raise LedgerError(
            f"{out} holds the marks of stage {found.stage}; give another folder for stage "
            f"{stage.number}."
        )
    if secret not in (None, found.secret):
        raise LedgerError(
            f"{out} was marked with another --secret: leave --secret out to go on with that one, "
            "or give a new folder as --out."
        )
    seeds = found.seeds if hidden is None else [0, *hidden_seeds(found.secret, hidden)]
    if seeds != found.seeds or found.fingerprint != stage.fingerprint:
        return Ledger(stage.number, stage.fingerprint, found.secret, seeds)
    return found


def load(out: Path) -> Ledger:
    """Read a folder's ledger.

    Raises
    ------
    LedgerError
        It cannot be read, or another version wrote it.
    """
    path = out / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise LedgerError(f"{path} was written by another version: give a new folder as --out.")
        submissions = {
            key: Submission(
                **{**item, "marks": {name: Mark(**mark) for name, mark in item["marks"].items()}}
            )
            for key, item in content.pop("submissions").items()
        }
        return Ledger(submissions=submissions, **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, LedgerError):
            raise
        raise LedgerError(
            f"{path} cannot be read ({error}): restore it, or give a new folder as --out."
        ) from None
