"""What a file is that is no recording which can be decoded."""

from __future__ import annotations

import struct

from course_utils.recordings.base import COPY

_EXPORT = "Open it in an audio editor, and export it as WAV."
_UNPACK = "Unpack it, and use the recordings inside."

#: Where a mark stands, the mark, what such a file is, and what to do.
_KINDS = (
    (4, b"ftyp", "MP4 or M4A (AAC)", _EXPORT),
    (4, b"moov", "MP4 (QuickTime)", _EXPORT),
    (4, b"mdat", "MP4 (QuickTime)", _EXPORT),
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska", _EXPORT),
    (28, b"Speex   ", "Ogg with the codec Speex", _EXPORT),
    (28, b"\x80theora", "a film (Ogg Theora)", _EXPORT),
    (0, b"#!AMR", "AMR, of a mobile phone", _EXPORT),
    (1, b"#!SILK", "SILK, of a messenger", _EXPORT),
    (0, b"#!SILK", "SILK, of a messenger", _EXPORT),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA or WMV (ASF)", _EXPORT),
    (0, b"ADIF", "AAC", _EXPORT),
    (0, b"wvpk", "WavPack", _EXPORT),
    (0, b"MAC ", "Monkey's Audio", _EXPORT),
    (0, b"TTA1", "True Audio", _EXPORT),
    (0, b"DSD ", "DSD", _EXPORT),
    (0, b"FRM8", "DSD", _EXPORT),
    (0, b".RMF", "RealMedia", _EXPORT),
    (0, b"ajkg", "Shorten", _EXPORT),
    (28, b"\x7fFLAC", "FLAC in an Ogg stream", _EXPORT),
    (28, b"Speex ", "Speex", _EXPORT),
    (0, b"FLV", "Flash video", _EXPORT),
    (8, b"AVI ", "a film (AVI)", _EXPORT),
    (8, b"WEBP", "a picture (WebP)", ""),
    (0, b"MThd", "MIDI: notes, not sound", ""),
    (8, b"RMID", "MIDI: notes, not sound", ""),
    (0, b"PK\x03\x04", "a zip archive", _UNPACK),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"BZh", "a bzip2 archive", _UNPACK),
    (0, b"\xfd7zXZ", "an xz archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"%PDF", "a PDF document", ""),
    (0, b"\x89PNG", "a picture (PNG)", ""),
    (0, b"\xff\xd8\xff", "a picture (JPEG)", ""),
    (0, b"GIF8", "a picture (GIF)", ""),
    (0, b"\x93NUMPY", "an array of NumPy", ""),
    (0, b"\x89HDF", "HDF5", ""),
    (0, b"PAR1", "a Parquet table", ""),
    (0, b"SQLite format 3", "a database (SQLite)", ""),
    (0, b"\x7fELF", "a program", ""),
    (0, b"MZ", "a program", ""),
    (0, b"\x00\x05\x16\x07", "a side file of macOS (AppleDouble)", "Delete it."),
)
_CODECS = {
    0x02: "MS ADPCM", 0x45: "G.726", 0x50: "MPEG layer II", 0x55: "MP3", 0xFF: "AAC",
    0x160: "WMA", 0x161: "WMA", 0x162: "WMA", 0x1610: "AAC", 0x2000: "AC-3", 0x704F: "Opus",
    0x22: "TrueSpeech", 0x42: "G.723.1", 0x83: "G.729", 0x674F: "Ogg Vorbis",
}  # fmt: skip


def kind_of(content: bytes) -> tuple[str, str]:
    """What a file is that cannot be decoded as sound, and what to do; ("", "") if nobody knows.

    Examples
    --------
    >>> kind_of(b"version https://git-lfs.github.com/spec/v1\\noid sha256:4d7a")[1]
    'Run git lfs pull in its folder.'
    >>> kind_of(bytes(4) + b"ftypM4A ")[0]
    'MP4 or M4A (AAC)'
    """
    if content.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer: a note in place of the recording", (
            "Run git lfs pull in its folder."
        )
    if b"/annex/objects/" in content[:200]:
        return "a git-annex pointer: a note in place of the recording", (
            "Run git annex get in its folder."
        )
    for place, mark, kind, advice in _KINDS:
        if content.startswith(mark, place):
            return kind, advice or COPY
    if len(content) > 1 and content[0] == 0xFF and content[1] & 0xF6 == 0xF0:
        return "AAC", _EXPORT
    if not content.strip(b"\0"):
        return f"{len(content):,} zeros and nothing else, as a failed copy leaves", COPY
    text = _text(content[:2000])
    if not text:
        return "", ""
    page = text.lower()
    begins = f"{' '.join(text.split())[:40]!r}"
    if "<html" in page or page.startswith("<!doctype html"):
        return f"a web page (HTML) that begins {begins}", "Download the recording itself."
    if page.startswith("<?xml"):
        return f"XML that begins {begins}", "Download the recording itself."
    if page[0] in "{[":
        return f"JSON or text that begins {begins}", "Download the recording itself."
    return f"text that begins {begins}", COPY


def _text(content: bytes) -> str:
    """The content as text; "" if it is none."""
    is_wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if is_wide or error.start < len(content) - 3 or len(content) < 2000:
            return ""
        text = content[: error.start].decode("utf-8-sig")
    text = text.strip()
    return text if all(sign.isprintable() or sign.isspace() for sign in text) else ""


def codec_of(content: bytes) -> str:
    """The codec of a WAV file that the decoder refused; "" if that is not the reason."""
    place = content.find(b"fmt ", 12, 4096)
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE" or place < 0 or len(content) < place + 10:
        return ""
    (tag,) = struct.unpack_from("<H", content, place + 8)
    if tag in (1, 3, 0xFFFE):
        return ""
    name = f"the codec {_CODECS[tag]}" if tag in _CODECS else "a codec that is not known"
    return f"{name} (0x{tag:04x})"
