"""The true length of a WAV file."""

from __future__ import annotations

import struct

from course_utils.recordings.base import COPY, Examined
from course_utils.recordings.mp3 import examined_mp3


def is_placeholder(size: int) -> bool:
    """Whether a size stands for "unknown": near the largest that 31 or 32 or more bits hold.

    A program that writes to a pipe does not know the length when it writes the header: espeak-ng
    and SoX put 0x7ffff000 there, others 0x7fffffff, 0x80000000 or 0xffffffff, and some take their
    header or a reserve off. Nobody has a recording of just such a size: it would be two gigabytes.

    Examples
    --------
    >>> [is_placeholder(size) for size in (0x7FFFF000, 0xFFFFFFFF, 0xFFFFFF9B, 2**63 - 1)]
    [True, True, True, True]
    >>> [is_placeholder(size) for size in (0, 1_000_000, 0x7FFFFFFF // 2)]
    [False, False, False]
    """
    return 0x7EFF0000 <= size <= 0x80010000 or 0xFF000000 <= size < 2**32 or size >= 2**48


#: What may stand behind the sound of a WAV file, also where it was cut in the middle.
_CHUNKS = b"LIST|id3 |ID3 |bext|iXML|_PMX|cue |fact|PEAK|smpl|inst|afsp|PAD |JUNK|FLLR".split(b"|")


def examined_wav(content: bytes) -> Examined:
    """See whether a WAV file is whole, and put a size for a placeholder, or for one too small.

    libsndfile shortens a file that is cut off, and does not tell.
    """
    order = ">" if content[:4] == b"RIFX" else "<"
    if _was_text(content, order):
        return Examined(
            content,
            "was copied as if it were text: a byte 0D was put before each byte 0A, and what sounds "
            "now is noise. Copy it again as it is: in the binary mode of FTP, or without a change "
            "of line ends by git (* -text in .gitattributes).",
        )
    long_sizes = None  # where the sizes of 64 bits stand
    codec = 0
    place = 12
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}4sI", content, place)
        place += 8
        if kind == b"fmt " and place + 16 <= len(content):
            content, codec = _with_width(content, place, order)
        if kind == b"data":
            found = _with_wav_length(content, place, size, order, long_sizes)
            return found if found.complaint or codec != _MP3 else _unwrapped(found, place, order)
        if kind == b"ds64" and content[:4] in (b"RF64", b"BW64"):
            long_sizes = place
        place += size + size % 2
    return Examined(content)  # there is no sound: the decoder says so


_PCM, _MP3 = 0x0001, 0x0055  # codecs


def _was_text(content: bytes, order: str) -> bool:
    """Whether line ends were changed in the file: it is longer by just as many bytes."""
    (whole,) = struct.unpack_from(f"{order}I", content, 4)
    more = len(content) - 8 - whole
    return more > 0 and more == content.count(b"\r\n") == content.count(b"\n")


def _with_width(content: bytes, place: int, order: str) -> tuple[bytes, int]:
    """The file and its codec; samples that lie in wider places get the width of these.

    24 bits in 4 bytes, as some recorders and audio interfaces write: the decoder goes by the bits,
    takes 3 bytes for a sample, and reads noise. The bits that are used are the upper ones.
    """
    codec, channels, rate, each_second, frame, bits = struct.unpack_from(
        f"{order}HHIIHH", content, place
    )
    width = frame // channels if channels and frame % channels == 0 else 0
    # Headers with a wrong size of a frame exist too; then the bytes of a second tell.
    if codec != _PCM or not (bits + 7) // 8 < width <= 4 or each_second != rate * frame:
        return content, codec
    wide = struct.pack(f"{order}H", 8 * width)
    return content[: place + 14] + wide + content[place + 16 :], codec


def _unwrapped(found: Examined, place: int, order: str) -> Examined:
    """The frames of MP3 in a WAV file: they say themselves how long they are."""
    (size,) = struct.unpack_from(f"{order}I", found.content, place - 4)
    inside = examined_mp3(found.content[place : place + size], 0)
    return inside if inside.complaint or inside.content[:1] == b"\xff" else found


def _with_wav_length(
    content: bytes, place: int, size: int, order: str, long_sizes: int | None
) -> Examined:
    there = len(content) - place
    if long_sizes is not None and size == 0xFFFFFFFF:
        (size,) = struct.unpack_from("<Q", content, long_sizes + 8)
    (whole,) = struct.unpack_from(f"{order}I", content, 4)
    if size > there:
        # A file as long as its first header says was not cut; the size of the sound is wrong.
        if not is_placeholder(size) and whole + 8 != len(content):
            return Examined(
                content, f"is cut off: {size - there:,} bytes of its sound are missing. {COPY}"
            )
    else:
        behind = place + size
        another = content[behind : behind + 12]
        if another[:4] == b"RIFF" and another[8:] == b"WAVE":
            return Examined(
                content,
                f"holds another recording behind its own {size:,} bytes of sound: two WAV files "
                "were joined byte by byte. Join them in an audio editor, or copy each by itself.",
            )
        # A recorder that crashed left the size of its last visit to the header, or 0.
        if there - size < max(1, min(1024, size), size // 20) or _is_no_sound(content, behind):
            return Examined(content)
    sizes = struct.pack(f"{order}I", min(there, 0xFFFFFFFF))
    content = content[: place - 4] + sizes + content[place:]
    if long_sizes is None:
        whole = struct.pack(f"{order}I", min(len(content) - 8, 0xFFFFFFFF))
        return Examined(content[:4] + whole + content[8:])
    sizes = struct.pack("<QQ", len(content) - 8, there)
    return Examined(content[:long_sizes] + sizes + content[long_sizes + 16 :])


def _is_no_sound(content: bytes, place: int) -> bool:
    """Whether a further chunk, a tag or nothing but zeros stands behind the sound."""
    if not content[place:].strip(b"\0"):
        return True
    for begin in (place, place + 1):  # behind an odd size, the byte that makes it even may lack
        kind, size = content[begin : begin + 4], content[begin + 4 : begin + 8]
        if kind in _CHUNKS or kind[:3] in (b"TAG", b"ID3") or kind == b"APET":
            return True
        if len(size) == 4 and all(32 <= byte < 127 for byte in kind):
            smaller = min(int.from_bytes(size, "little"), int.from_bytes(size, "big"))
            if begin + 8 + smaller <= len(content):
                return True
    return False
