"""Who is in which part of a corpus: the sharing out, and what a reader of a score should know."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from course_utils.corpora.clips import SPLITS
from course_utils.corpora.folders import composed

#: A corpus that is smaller tells nothing by having as many speakers as clips.
_FEW = 20
_AROUND = " .,;:!?…¿¡\"'“”„«»‹›‘’-–—()[]。、！？،؟।"


@dataclass(frozen=True)
class Row:
    """What a table says about one clip."""

    path: str  # relative to the folder of the language, with "/" on every system
    speaker: str
    transcript: str
    split: str = ""
    age: str = ""
    gender: str = ""
    accents: str = ""
    locale: str = ""


def split_by_speaker(rows: Iterable[Row]) -> list[Row]:
    """Share the speakers out, so that training gets about 80 % of the clips, and most in any case.

    Speakers come in the order of a hash of their names. Test and then validation take everybody
    who fits into a tenth of the clips, or else whoever has the fewest; each part gets one at least.

    Examples
    --------
    >>> rows = split_by_speaker(Row(f"{name}.mp3", name, "oui") for name in "abcdefghij")
    >>> Counter(row.split for row in rows)
    Counter({'train': 8, 'validation': 1, 'test': 1})
    """
    rows = list(rows)
    clips = Counter(row.speaker for row in rows)
    left = sorted(clips, key=_name_hash)
    share = max(1, round(len(rows) / 10))
    split = dict.fromkeys(left, "train")
    for part in ("test", "validation"):
        if len(left) < 2:  # nobody would be left to train with
            break
        room, taken = share, []
        for speaker in left:
            if clips[speaker] <= room and len(taken) < len(left) - 1:
                taken.append(speaker)
                room -= clips[speaker]
        taken = taken or [min(left, key=lambda name: clips[name])]
        if part == "test" and len(left) > 2 and len(left) - len(taken) < 2:
            taken.pop()  # one for validation, and one to train with
        split |= dict.fromkeys(taken, part)
        left = [speaker for speaker in left if speaker not in set(taken)]
    return [replace(row, split=split[row.speaker]) for row in rows]


def _name_hash(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()


def notes(rows: list[Row]) -> list[tuple[str, str]]:
    """What the splits promise and the rows do not keep: each as a note, and in a few words."""
    speakers: dict[str, set[str]] = defaultdict(set)
    parts: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for row in rows:
        speakers[row.speaker].add(row.split)
        parts[row.split].append(row)
    found = []
    if shared := sum(len(where) > 1 for where in speakers.values()):
        few = f"{shared:,} speakers in more than one split"
        found.append(
            (f"{shared:,} speakers are in more than one split: scores will be too high", few)
        )
    found += _shared_sentences(parts)
    trained = len(parts["train"])
    if trained < len(rows) and 2 * trained <= len(rows):
        few = f"{trained:,} of {len(rows):,} clips in training"
        found.append((f"training has only {trained:,} of {len(rows):,} clips", few))
    alone = [split for split, part in parts.items() if len({row.speaker for row in part}) == 1]
    if alone:
        few = f"one speaker in {' and '.join(alone)}"
        found.append((f"only {few}: scores say little about other people", few))
    if nameless := sum(not row.speaker for row in rows):
        note = f"{nameless:,} clips name no speaker (client_id): they count as one person's"
        found.append((note, f"{nameless:,} clips without a speaker"))
    if len(speakers) == len(rows) >= _FEW:
        note = (
            "as many speakers as clips: if client_id does not name people, the splits are not by "
            "speaker, and scores will be too high"
        )
        found.append((note, "as many speakers as clips"))
    return found


def _shared_sentences(parts: dict[str, list[Row]]) -> list[tuple[str, str]]:
    trained = {_plain(row.transcript) for row in parts["train"]}
    tested = [_plain(row.transcript) for row in parts["test"]]
    known = [sentence for sentence in tested if sentence in trained]
    if not known:
        return []
    few = f"{len(set(known)):,} of {len(set(tested)):,} test sentences"
    note = (
        f"{few} ({len(known):,} of {len(tested):,} test clips) stand in training too: scores will "
        "be too high for new sentences"
    )
    return [(note, f"{few} in training")]


def _plain(sentence: str) -> str:
    """A sentence for comparisons: without capitals, and without the signs around it."""
    return composed(sentence.casefold()).strip(_AROUND)
