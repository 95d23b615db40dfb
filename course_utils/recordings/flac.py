"""The true length of a FLAC file."""

from __future__ import annotations


def _crc8(content: bytes) -> int:
    check = 0
    for byte in content:
        check = _CRC8[check ^ byte]
    return check


def _crc8_of_a_byte(check: int) -> int:
    for _ in range(8):
        check = (check << 1 ^ 0x107) if check & 0x80 else check << 1
    return check


_CRC8 = [_crc8_of_a_byte(byte) for byte in range(256)]


def with_flac_length(content: bytes) -> bytes:
    """Write the number of samples into a FLAC header that lacks it, or gives too few.

    The number of a frame and of its samples stands in its own header: the last one tells where
    the sound ends. One that was begun and not finished counts, so that its lack is noticed.
    """
    start = 4
    while start + 4 <= len(content):  # blocks of metadata, the last of which has a mark
        is_last = content[start] & 0x80
        start += 4 + int.from_bytes(content[start + 1 : start + 4], "big")
        if is_last:
            break
    if len(content) < 42 or content[4] & 0x7F or start >= len(content):
        return content
    fields = int.from_bytes(content[18:26], "big")
    stated = fields & (2**36 - 1)
    block = int.from_bytes(content[10:12], "big")  # the size of all frames but the last one
    ends: dict[int, int] = {}  # of frames, by their first sample
    place = len(content)
    mark = content[start : start + 2]  # says whether frames or samples are counted
    while (place := content.rfind(mark, start, place)) >= 0:
        span = _flac_frame(content[place : place + 16], block)
        if span is None:
            continue
        # Bytes of sound look like the head of a frame once in a million times: two must agree.
        first, end = span
        if end == stated and not ends:
            return content
        length = ends.get(end) or (end if place == start else 0)
        if length > stated:
            fields += length - stated
            return content[:18] + fields.to_bytes(8, "big") + content[26:]
        if length:
            return content
        ends.setdefault(first, end)
    return content


def _flac_frame(head: bytes, block: int) -> tuple[int, int] | None:
    """The first sample of a frame, and the one behind its last; None if this is no frame."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[3] >> 4 > 10:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    number, length = head[4], 1
    if number >= 0x80:  # as in UTF-8, up to 36 bits
        length = 8 - (number ^ 0xFF).bit_length()
        if not 2 <= length <= 7:
            return None
        number &= 0x7F >> length
        for byte in head[5 : 4 + length]:
            number = number << 6 | byte & 0x3F
    place = 4 + length
    size_bytes = {6: 1, 7: 2}.get(size_code, 0)
    rate_bytes = {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    end = place + size_bytes + rate_bytes
    if size_code == 0 or rate_code == 15 or len(head) <= end or _crc8(head[:end]) != head[end]:
        return None
    if size_bytes:
        size = int.from_bytes(head[place : place + size_bytes], "big") + 1
    elif size_code == 1:
        size = 192
    else:
        size = 576 << size_code - 2 if size_code < 6 else 256 << size_code - 8
    first = number if head[1] & 1 else number * block
    return first, first + size
