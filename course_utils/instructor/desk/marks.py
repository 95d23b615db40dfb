"""The marks of a class as they are kept: one file that a later run, and every page, reads."""

import hashlib
from dataclasses import dataclass, field

OUTCOMES = (
    "right",
    "wrong",  # the check says why
    "hidden",  # right for the numbers that the student saw, wrong for others
    "open",  # not filled in
    "missing",  # the notebook has no such cell
    "reference",  # the student loaded the course's answer
    "refused",  # the answer reaches for what it must not use
    "time",  # stopped by the limit of time
    "died",  # the process ended: memory, os._exit, a crash
    "tampered",  # the check no longer rejects what is known to be wrong
)


@dataclass
class Mark:
    """What one exercise of one submission got, and why."""

    points: int
    most: int  # as the release has it
    outcome: str
    cause: str = ""  # the likely cause, in the words of the check
    message: str = ""  # all of the check's message, or of the error
    notes: list[str] = field(default_factory=list)  # said to the student
    flags: list[str] = field(default_factory=list)  # for the instructor to look at
    answer: str = ""  # the cell as it was handed in
    replaced: list[str] = field(default_factory=list)  # needed exercises that ran as references
    seconds: float = 0.0


@dataclass
class Submission:
    """One notebook of one student; ``status`` is "marked" or says in a word why it was not."""

    key: str
    file_hash: str  # SHA-256 of the notebook
    status: str = "marked"
    reason: str = ""
    marks: dict[str, Mark] = field(default_factory=dict)  # by number of the exercise
    texts: dict[str, str] = field(default_factory=dict)  # answers to questions for people, by id
    predictions: dict[str, str] = field(default_factory=dict)  # by id of their cell
    notes: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        """Of all exercises."""
        return sum(mark.points for mark in self.marks.values())


def key_of(student: str, secret: str) -> str:
    """A name for files that are no list of names: the same student and secret, the same key."""
    return hashlib.sha256(f"{secret}\0{student}".encode()).hexdigest()[:12]
