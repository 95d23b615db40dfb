"""What an examination of a recording finds, and the tags before any format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Examined:
    """A recording whose header says how long it is.

    Attributes
    ----------
    content : bytes
        What to decode.
    complaint : str
        What is wrong with the file, as a predicate ("is cut off: ..."); "" if nothing was found.
    samples : int
        What the frames of an MP3 file hold, all of them whole, with the encoder's padding; else 0.
    states_length : bool
        False for an MP3 file without a Xing or Info header: a decoder then guesses its length.
    """

    content: bytes
    complaint: str = ""
    samples: int = 0
    states_length: bool = True


COPY = "Copy or download it again."


def after_id3(content: bytes, place: int) -> int:
    """The place behind the ID3v2 tags that begin here; taggers write them before any format."""
    while content[place : place + 3] == b"ID3" and len(content) >= place + 10:
        flags, size = content[place + 5], content[place + 6 : place + 10]
        # Four times seven bits; some programs write four times eight, which 0x80 shows.
        bits = 7 if max(size) < 0x80 else 8
        length = sum(byte << bits * power for power, byte in enumerate(reversed(size)))
        place += 10 + length + (10 if flags & 0x10 else 0)
    return place
