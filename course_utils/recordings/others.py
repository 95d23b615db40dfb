"""The length of AU, CAF and Ogg files, which corpora hold now and then under a wrong suffix."""

from __future__ import annotations

from course_utils.recordings.base import COPY, Examined
from course_utils.recordings.wav import is_placeholder


def with_au_length(content: bytes) -> bytes:
    """Write all ones for a length that was not known: that is what they mean in this format."""
    size = int.from_bytes(content[8:12], "big")
    unknown = size == 0 or is_placeholder(size)
    return content[:8] + b"\xff" * 4 + content[12:] if unknown else content


def with_caf_length(content: bytes) -> bytes:
    """Write the length of the sound where it is -1: up to the end of the file."""
    place = 8
    while place + 12 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 12], "big")
        if content[place : place + 4] == b"data" and size == 2**64 - 1:
            size = len(content) - place - 12
            return content[: place + 4] + size.to_bytes(8, "big") + content[place + 12 :]
        place += 12 + size
    return content


def examined_ogg(content: bytes) -> Examined:
    """Look at the last page: its head says how long its parts are."""
    page = content.rfind(b"OggS")
    count = content[page + 26 : page + 27]
    parts = content[page + 27 : page + 27 + count[0]] if count else b""
    if count and len(parts) == count[0] and page + 27 + len(parts) + sum(parts) <= len(content):
        return Examined(content)
    return Examined(content, f"is cut off: its last page is incomplete. {COPY}")
