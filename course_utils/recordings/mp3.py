"""The true length of an MP3 file, by a walk over the headers of its frames."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from course_utils.recordings.base import COPY, Examined, after_id3

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBIT = {  # by MPEG 1 or not, and layer
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def _mp3_heads() -> dict[int, tuple[int, int, int, int]]:
    """From bytes 1 and 2 of a frame: its size, its samples, its rate, its layer.

    Free format has the size 0: it does not say its bit rate.
    """
    heads = {}
    for head in range(0xE000, 0x10000):
        version, layer = head >> 11 & 3, 4 - (head >> 9 & 3)
        kbit, rate = head >> 4 & 15, head >> 2 & 3
        if version == 1 or layer == 4 or kbit == 15 or rate == 3:
            continue
        rate = _RATES[version][rate]
        samples = {1: 384, 2: 1152, 3: 1152 if version == 3 else 576}[layer]
        slot = 4 if layer == 1 else 1
        bits = 1000 * _KBIT[version == 3, layer][kbit]
        size = (samples // 8 // slot * bits // rate + (head >> 1 & 1)) * slot if bits else 0
        heads[head] = size, samples, rate, layer
    return heads


_HEADS = _mp3_heads()
#: What may stand behind the frames, or between them.
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")


@dataclass
class _Walk:
    """What the headers of an MP3 file's frames say."""

    first: int = 0  # where the first frame begins
    frames: int = 0
    samples: int = 0
    end: int = 0  # behind the last frame
    size: int = 0  # of the last frame
    lost: int = 0  # bytes that are neither frames nor tags
    changed: int = 0  # another rate than that of the first frame
    missing: int = 0  # bytes of the last frame


def _walked(content: bytes, place: int) -> _Walk:
    """Go from header to header, without a look at the sound."""
    walk = _Walk(first=place)
    known, length = _HEADS, _without_tags(content)
    free = rate = frames = samples = size = 0
    last = None
    while place + 4 <= length:
        head = known.get(content[place + 1] << 8 | content[place + 2])
        if head is last and head and content[place] == 0xFF:  # as the one before: most are
            place += size
            frames += 1
            samples += head[1]
            continue
        is_odd = content[place] != 0xFF or head is None
        # One damaged header looks like another rate; only two in a row are another recording.
        if not is_odd and rate not in (0, head[2]):
            is_odd = not _same_kind(content, place, place + head[0])
        if is_odd:
            if content.startswith(_TAGS, place):
                break
            beyond = after_id3(content, place)
            if beyond == place:
                beyond = _next_frame(content, place, rate)
                walk.lost += (beyond or length) - place
                if not beyond:
                    break
            place = beyond
            if not frames:
                walk.first = place
            continue
        size = head[0]
        if not size:
            padding = (content[place + 2] >> 1 & 1) * (4 if head[3] == 1 else 1)
            free = free or _free_size(content, place) - padding
            size = free + padding
            if size < 8:
                break
        if head[2] != rate:
            if rate:
                walk.changed = head[2]
                break
            rate = head[2]
        last = head
        place += size
        frames += 1
        samples += head[1]
    if frames and 0 < length - place < 4 and content[place] == 0xFF:  # cut within a header
        place += size
        frames, samples = frames + 1, samples + samples // frames
    walk.frames, walk.samples, walk.end, walk.size = frames, samples, place, size
    walk.missing = max(0, place - length) if frames else 0
    return walk


def _without_tags(content: bytes) -> int:
    """Where the tags at the end begin: ID3v1, APE, song texts."""
    end = len(content)
    if content[-128:-125] == b"TAG":
        end -= 128
    foot = content[max(0, end - 32) : end]
    if foot[:8] == b"APETAGEX":
        size, flags = struct.unpack_from("<I4xI", foot, 12)
        end -= size + (32 if flags >> 31 else 0)
    if content[max(0, end - 9) : end] in (b"LYRICSEND", b"LYRICS200"):
        begin = content.rfind(b"LYRICSBEGIN", max(0, end - 2**16), end)
        end = begin if begin > 0 else end
    return max(end, 0)


def _free_size(content: bytes, place: int) -> int:
    """The size of a frame of free format: up to the next one of the same kind."""
    kind, after = content[place : place + 2], place + 24
    while (after := content.find(kind, after)) >= 0:
        if _same_kind(content, place, after) and not content[after + 2] >> 4:
            return after - place
        after += 1
    return 0


def _next_frame(content: bytes, place: int, rate: int) -> int:
    """Where frames go on behind damaged bytes: two in a row, of the same rate; 0 if nowhere."""
    limit = min(len(content) - 4, place + 2**20)
    while (place := content.find(b"\xff", place + 1, limit)) >= 0:
        head = _HEADS.get(content[place + 1] << 8 | content[place + 2])
        if head and head[0] and (not rate or head[2] == rate):
            after = place + head[0]
            if after == len(content) or _same_kind(content, place, after):
                return place
    return 0


def _same_kind(content: bytes, place: int, after: int) -> bool:
    """Whether two frames have the same version, layer and rate."""
    ours, theirs = content[place : place + 3], content[after : after + 3]
    return len(theirs) == 3 and ours[:2] == theirs[:2] and not (ours[2] ^ theirs[2]) & 0x0C


def examined_mp3(content: bytes, start: int) -> Examined:
    """See whether an MP3 file is whole, and correct what its Xing header counts.

    Parameters
    ----------
    content : bytes
        Of a file that may be something else, which then stays as it is.
    start : int
        Behind the tags.
    """
    if start > len(content):
        missing = start - len(content)
        return Examined(
            content, f"is cut off: {missing:,} bytes of its tag, and all sound, are missing. {COPY}"
        )
    head = content[start : start + 3]
    if not start and not (
        len(head) == 3 and head[0] == 0xFF and (head[1] << 8 | head[2]) in _HEADS
    ):
        return Examined(content)
    walk = _walked(content, start)
    whole = walk.frames - (walk.missing > 0)
    if whole < 1 or (whole < 2 and not start and head[1] & 6 != 2):
        return Examined(content)  # the decoder knows best: this may be anything
    content, end = content[walk.first :], walk.end - walk.first
    rate = _HEADS[content[1] << 8 | content[2]][2]
    if walk.changed:
        return Examined(
            content,
            f"changes its sample rate from {rate} to {walk.changed} Hz after "
            f"{walk.samples / rate:.1f} s: two recordings were joined byte by byte. Join them in "
            "an audio editor, or copy each by itself.",
        )
    place, stated = _stated_frames(content)
    each = walk.samples / walk.frames / rate  # seconds
    sound = whole - (place > 0)
    behind = content[end : _without_tags(content)]
    zeros = len(behind) if not behind.strip(b"\0") else 0
    # Recorders and disks fill up with zeros; a download that reserved its room leaves them too.
    if zeros and place and stated <= sound:
        content = content[:end]
        walk.lost -= zeros
    elif zeros > len(content) // 10:
        return Examined(
            content,
            f"is cut off: its last {zeros:,} bytes are zeros, as a download leaves that did not "
            f"end, and {sound * each:.2f} s are there. {COPY}",
        )
    if walk.lost > len(content) // 10:
        return Examined(
            content,
            f"is damaged: {walk.lost:,} of its {len(content):,} bytes are no frames of MP3. {COPY}",
        )
    if stated > sound + (not walk.missing):
        return Examined(
            content,
            f"is cut off: its header promises {stated * each:.2f} s, and {sound * each:.2f} s are "
            f"there. {COPY}",
        )
    if walk.missing:
        return Examined(
            content,
            f"is cut off: its last frame lacks {walk.missing:,} of {walk.size:,} bytes, and "
            f"whatever came behind it is missing; {sound * each:.2f} s are there. {COPY}",
        )
    if not place:
        return Examined(content, samples=walk.samples, states_length=False)
    states_size = content[place + 7] & 2
    size = int.from_bytes(content[place + 12 : place + 16], "big") if states_size else 0
    if stated == sound or (stated == walk.frames and size > end):
        return Examined(content)  # right, or one frame is missing
    # It counts itself too, or was written before the end was known.
    counts = sound.to_bytes(4, "big") + (end.to_bytes(4, "big") if states_size else b"")
    content = content[: place + 8] + counts + content[place + 8 + len(counts) :]
    return Examined(content, samples=walk.samples)


def _stated_frames(content: bytes) -> tuple[int, int]:
    """Where a Xing or Info header stands in the first frame, and how many frames it counts.

    It stands in place of the sound of that frame, and does not count it. (0, 0) without one.
    """
    place = 4 + _side_size(content)
    for begin in (place, place + 2):  # some programs leave room for a checksum
        if content[begin : begin + 4] in (b"Xing", b"Info") and content[begin + 7] & 1:
            return begin, int.from_bytes(content[begin + 8 : begin + 12], "big")
    return 0, 0


def _side_size(content: bytes) -> int:
    """Bytes between the header and the sound of a frame of layer III."""
    is_mono = content[3] >> 6 == 3
    return (17 if is_mono else 32) if content[1] >> 3 & 3 == 3 else 9 if is_mono else 17


def with_mp3_length(content: bytes) -> bytes:
    """Put a frame before an MP3 file that says how many frames there are.

    Parameters
    ----------
    content : bytes
        From the first frame on, as `examined` gives it.
    """
    walk = _walked(content, 0)
    size, _, _, layer = _HEADS[content[1] << 8 | content[2]]
    if layer != 3:  # no such header exists
        return content
    frame = bytearray(size or walk.size)
    frame[:4] = content[:4]
    frame[1] |= 1  # without a checksum
    place = 4 + _side_size(content)
    frame[place : place + 12] = b"Info" + struct.pack(">II", 1, walk.frames)
    return bytes(frame) + content
