"""How long a recording is, by its bytes and not by its header's word, and what a file really is.

A program that writes to a pipe cannot go back and fill in a length: it leaves a placeholder. A
decoder that believes it reads too little, or calls a whole file cut off. `examined` puts the true
length into the header; nothing is decoded here.
"""

from course_utils.recordings.base import Examined, after_id3
from course_utils.recordings.flac import with_flac_length
from course_utils.recordings.kinds import codec_of, kind_of
from course_utils.recordings.mp3 import examined_mp3, with_mp3_length
from course_utils.recordings.others import examined_ogg, with_au_length, with_caf_length
from course_utils.recordings.wav import examined_wav, is_placeholder

__all__ = ["Examined", "codec_of", "examined", "is_placeholder", "kind_of", "with_mp3_length"]


def examined(content: bytes) -> Examined:
    """Put the true length into the header of a file, and see whether it is cut off.

    Parameters
    ----------
    content : bytes
        Of any file; what is no WAV, FLAC, MP3, Ogg, AU or CAF stays as it is.
    """
    start = after_id3(content, 0)
    if content[start : start + 1] == b"\0":  # some recorders and taggers write zeros first
        filled = len(content) - len(content[start:].lstrip(b"\0"))
        is_frame = content[filled : filled + 1] == b"\xff" and filled - start >= 4
        if is_frame or after_id3(content, filled) > filled:
            return examined(content[filled:])
    inside = content[start : start + 12]
    if inside[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and inside[8:] == b"WAVE":
        return examined_wav(content[start:])
    if inside[:4] == b"fLaC":
        return Examined(with_flac_length(content[start:]))
    if inside[:4] == b".snd":
        return Examined(with_au_length(content[start:]))
    if inside[:4] == b"caff":
        return Examined(with_caf_length(content[start:]))
    if inside[:4] == b"OggS":
        return examined_ogg(content[start:])
    return examined_mp3(content, start)
