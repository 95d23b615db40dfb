"""Lengths that are decoded and not believed, and files that are something else than they say."""

import io
import re
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_utils import audio, recordings
from course_utils.audio import AudioError

RATE = 16_000  # Hz


def tone(seconds=1.0, rate=RATE):
    return (0.4 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype("f4")


def encoded(kind="WAV", samples=None, rate=RATE, subtype=None, **options):
    file = io.BytesIO()
    samples = tone() if samples is None else samples
    soundfile.write(file, samples, rate, subtype, format=kind, **options)
    return file.getvalue()


def length(content):
    return len(audio.read_samples(content)[0])


def reason(content):
    with pytest.raises(AudioError) as error:
        audio.read_samples(content)
    return str(error.value).removeprefix("The recording ")


def put(content, place, new):
    return content[:place] + new + content[place + len(new) :]


# --- WAV --------------------------------------------------------------------------------------

#: What programs write that do not know the length, for the sound and for the whole file.
PLACEHOLDERS = {
    "espeak-ng, SoX": (0x7FFFF000, 0x7FFFF024),
    "three bytes a sample": (0x7FFFEFFF, 0x7FFFF023),
    "31 bits": (0x7FFFFFFF, 0x80000023),
    "31 bits, both": (0x7FFFFFFF, 0x7FFFFFFF),
    "one more than 31 bits": (0x80000000, 0x80000024),
    "a reserve taken off": (0x7FFFFF00, 0x7FFFFF24),
    "32 bits": (0xFFFFFFFF, 0xFFFFFFFF),
    "32 bits less the header": (0xFFFFFFDB, 0xFFFFFFFF),
    "32 bits less a reserve": (0xFFFFFF6F, 0xFFFFFF93),
    "flac -dc, a crash": (0, 0),
    "no sound yet": (0, 36),
}
CODECS = [
    ("WAV", subtype) for subtype in ("PCM_16", "PCM_24", "PCM_U8", "FLOAT", "ULAW", "IMA_ADPCM")
] + [("WAVEX", "PCM_16"), ("WAVEX", "FLOAT")]


@pytest.mark.parametrize(("size", "whole"), PLACEHOLDERS.values(), ids=PLACEHOLDERS)
@pytest.mark.parametrize(("kind", "subtype"), CODECS)
def test_a_size_that_stands_for_unknown(kind, subtype, size, whole):
    content = encoded(kind, subtype=subtype)
    expected, _ = audio.read_samples(content)
    place = content.index(b"data") + 4
    stream = put(content, place, struct.pack("<I", size))
    stream = put(stream, 4, struct.pack("<I", whole))
    samples, rate = audio.read_samples(stream)
    assert rate == RATE
    np.testing.assert_array_equal(samples, expected)


def test_a_stream_in_pieces_is_read_to_its_end():
    """The first bytes of a pipe, as of a reader that took some and left."""
    content = encoded()
    stream = put(content, content.index(b"data") + 4, struct.pack("<I", 0x7FFFF000))
    assert length(stream[: 44 + 2 * 4478]) == 4478
    assert length(stream[: 44 + 2 * 4478 + 1]) == 4478


def test_the_other_order_of_bytes():
    content = encoded(endian="BIG")
    assert content[:4] == b"RIFX"
    assert length(put(content, content.index(b"data") + 4, struct.pack(">I", 0x7FFFF000))) == RATE
    assert "cut off: 2,000 bytes" in reason(content[:-2_000])


@pytest.mark.parametrize("size", [0, 2**64 - 1, 2**63 - 1, 0xFFFFFFFF])
def test_long_sizes(size):
    content = encoded("RF64")
    assert length(content) == RATE
    place = content.index(b"ds64") + 8
    assert length(put(content, place, struct.pack("<QQ", size, size))) == RATE
    assert "is cut off: 2,000 bytes" in reason(content[:-2_000])


@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.9])
def test_sound_behind_the_size_in_the_header(share):
    # A recorder that crashed after its last visit to the header.
    content = encoded()
    size = struct.pack("<I", int(share * 2 * RATE))
    content = put(content, content.index(b"data") + 4, size)
    assert length(content) == RATE


#: What taggers and editors put behind the sound.
BEHIND = {
    "nothing": b"",
    "LIST": b"LIST" + struct.pack("<I", 2_000) + b"INFO" * 500,
    "LIST, cut": b"LIST" + struct.pack("<I", 9_000) + b"INFO" * 500,
    "unknown": b"xyz " + struct.pack("<I", 2_000) + b"\xab" * 2_000,
    "ID3v1": b"TAG" + b"x" * 1_997,
    "id3": b"id3 " + struct.pack("<I", 2_000) + b"ID3" + b"\1" * 1_997,
    "zeros": bytes(4_096),
    "a few bytes": b"\x12\x34\x56",
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("samples", [RATE, 1001])
def test_what_stands_behind_the_sound_is_not_heard(behind, samples):
    content = encoded(samples=tone()[:samples], subtype="PCM_U8")
    pad = b"\0" * (samples % 2)
    content = content[: 44 + samples]
    assert length(content + pad + behind) == samples
    assert length(content + behind) == samples


def test_an_empty_file_with_a_list_is_empty():
    content = encoded(samples=tone()[:0])
    assert reason(content + BEHIND["LIST"]).startswith("holds 0 samples")


def test_two_files_in_one():
    assert reason(encoded() * 2).startswith("holds another recording behind its own 32,000 bytes")


def test_a_file_as_long_as_its_first_header_says():
    """The size of the sound is wrong, by whatever program; nothing was cut off."""
    content = encoded()
    assert length(put(content, content.index(b"data") + 4, struct.pack("<I", 64_000))) == RATE


def test_wav_behind_a_tag():
    tag = b"ID3\x04\0\0\0\0\0\x23" + bytes(35)
    assert length(tag + encoded()) == RATE
    assert length(tag + encoded("FLAC")) == RATE


def test_a_codec_that_is_not_known_is_named():
    content = encoded()
    g726 = put(content, content.index(b"fmt ") + 8, struct.pack("<H", 0x45))
    told = reason(g726)
    assert told.startswith("is a WAV file with the codec G.726 (0x0045), which cannot be decoded")
    other = put(content, content.index(b"fmt ") + 8, struct.pack("<H", 0x1234))
    assert reason(other).startswith("is a WAV file with a codec that is not known (0x1234)")


@pytest.mark.parametrize("rate", [0, 1, 999, 2_000_000])
def test_a_rate_that_no_recording_has(rate):
    content = encoded()
    told = reason(put(content, 24, struct.pack("<I", rate)))
    assert told.startswith((f"has a sample rate of {rate:,} Hz", "is damaged or cut off"))


# --- FLAC -------------------------------------------------------------------------------------


def with_total(content, samples):
    """A FLAC file whose header gives this many samples; 0 for unknown."""
    fields = int.from_bytes(content[18:26], "big") >> 36 << 36 | samples
    return put(content, 18, fields.to_bytes(8, "big"))


@pytest.mark.parametrize("stated", [0, 1, 4_096, 15_999])
@pytest.mark.parametrize("samples", [16_000, 4_096, 8_192, 100, 300_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_flac_with_an_unknown_length(stated, samples, channels):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (samples, channels)).astype("f4")
    content = encoded("FLAC", noise)
    expected, _ = audio.read_samples(content)
    assert len(expected) == samples
    stream = with_total(content, min(stated, samples))
    np.testing.assert_array_equal(audio.read_samples(stream)[0], expected)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.99])
def test_flac_with_an_unknown_length_that_is_cut_off(share):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype("f4")
    content = with_total(encoded("FLAC", noise), 0)
    assert "cut off" in reason(content[: int(share * len(content))])


def test_flac_without_one_whole_frame():
    content = with_total(encoded("FLAC"), 0)
    assert "cut off" in reason(content[:90])


def test_a_header_that_promises_too_much_takes_no_memory():
    content = with_total(encoded("FLAC"), 2**36 - 1)
    tracemalloc.start()
    assert "damaged" in reason(content)
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()


# --- MP3 --------------------------------------------------------------------------------------

RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # MPEG 2.5, 2, 1
MODES = ("CONSTANT", "VARIABLE")


def mp3(rate=48_000, mode="VARIABLE", channels=1, quiet=0.2, seconds=2.0):
    """Noise between two silences: where bits vary, the first frames are much smaller."""
    time = int(rate * seconds)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (time, channels))
    noise[: int(quiet * time)] = 0
    return encoded("MP3", noise, rate, bitrate_mode=mode, compression_level=0.5)


def frames_of(content):
    """The frames of an MP3 file, by a search that knows no sizes."""
    version, layer_rate = content[1] & 0xFE, content[2] & 0x0C
    kbits = {3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)}.get(
        version >> 3 & 3, (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    )
    rates = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
    rate = rates[version >> 3 & 3][layer_rate >> 2]
    found, place = [], 0
    while place < len(content):
        factor = 144 if version >> 3 & 3 == 3 else 72
        size = factor * 1000 * kbits[content[place + 2] >> 4] // rate + (
            content[place + 2] >> 1 & 1
        )
        found.append(content[place : place + size])
        place += size
    assert place == len(content)
    return found


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate", RATES)
def test_mp3_without_a_header_is_read_to_its_end(rate, mode, channels):
    content = mp3(rate, mode, channels)
    frames = frames_of(content)
    samples = 1152 if rate >= 32_000 else 576
    assert length(content) == 2 * rate
    for stream in (frames[1:], frames[3:], frames[len(frames) // 2 :]):
        there = length(b"".join(stream))
        assert there == pytest.approx(len(stream) * samples, abs=2 * samples)
    assert len(audio.read_samples(b"".join(frames[1:]))[0]) >= 2 * rate


def test_variable_bits_without_a_header_were_lost():
    """The case that libsndfile, left alone, reads in part."""
    loud = b"".join(frames_of(mp3(quiet=0.0))[1:])
    quiet = b"".join(
        frames_of(encoded("MP3", np.zeros(96_000), 48_000, bitrate_mode="VARIABLE"))[1:]
    )
    joined = loud + quiet
    with soundfile.SoundFile(io.BytesIO(joined)) as sound:
        assert sound.frames < 0.8 * length(joined)
    assert length(joined) > 190_000


@pytest.mark.parametrize("stated", [0, 5, "with itself"])
def test_a_count_that_is_wrong(stated):
    content = mp3()
    frames = frames_of(content)
    place = max(content.find(b"Xing"), content.find(b"Info"))
    count = len(frames) if stated == "with itself" else stated
    wrong = put(content, place + 8, count.to_bytes(4, "big"))
    assert length(wrong) == length(content)


@pytest.mark.parametrize("has_header", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_mp3_cut_at_random_is_cut_off(mode, has_header):
    content = b"".join(frames_of(mp3(mode=mode))[0 if has_header else 1 :])
    sizes = [len(frame) for frame in frames_of(content)]
    borders = set(np.cumsum(sizes).tolist())
    for end in np.random.default_rng(1).integers(sizes[0] * 2, len(content), 60):
        if end not in borders or has_header:
            told = reason(content[:end])
            assert told.startswith("is cut off: its "), told
            assert "s are there" in told


APE = (
    b"APETAGEX" + struct.pack("<IIII8x", 2000, 60, 1, 0xA0000000) + b"x" * 28
    + b"APETAGEX" + struct.pack("<IIII8x", 2000, 60, 1, 0x80000000)
)  # fmt: skip
BEFORE = {
    "nothing": b"",
    "ID3v2": b"ID3\x04\0\0\0\0\0\x23" + bytes(35),
    "two": (b"ID3\x04\0\0\0\0\0\x23" + bytes(35)) * 2,
    "with a footer": b"ID3\x04\0\x10\0\0\0\x23" + bytes(45),
    "a picture": b"ID3\x03\0\0\0\0\x10\x00" + b"\xff\xfb\x90\x00" * 512,
    "zeros behind the tag": b"ID3\x04\0\0\0\0\0\x23" + bytes(35 + 500),
}
AFTER = {
    "nothing": b"",
    "ID3v1": b"TAG" + b"a" * 125,
    "APE": APE,
    "APE, ID3v1": APE + b"TAG" + b"a" * 125,
    "lyrics": b"LYRICSBEGIN" + b"la" * 50 + b"LYRICS200",
    "zeros": bytes(700),
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
def test_tags_are_no_sound_and_hide_no_cut(before, after):
    frames = frames_of(mp3())
    stream = b"".join(frames[1:])
    expected = length(stream)
    assert length(before + stream + after) == expected
    assert length(before + b"".join(frames) + after) == 96_000
    if after != AFTER["zeros"]:
        assert "is cut off: its" in reason(before + stream[:-50] + after)


def test_free_format():
    # A bit rate of 0 in the header: the size of a frame is the way to the next one.
    frames = [put(frame, 2, bytes([frame[2] & 0x0F])) for frame in frames_of(mp3(mode="CONSTANT"))]
    stream = b"".join(frames[1:])
    assert length(stream) == 1152 * (len(frames) - 1)
    assert "is cut off: its last frame lacks 50 of" in reason(stream[:-50])


def test_mp3_files_in_a_row():
    one, stereo, slow = mp3(), mp3(channels=2), mp3(rate=44_100)
    assert length(one + one) == pytest.approx(2 * 96_000, abs=4 * 1152)
    assert "changes its sample rate from 48000 to 44100 Hz after 2.1 s" in reason(one + slow)
    try:
        assert length(one + stereo) == pytest.approx(2 * 96_000, abs=4 * 1152)
    except AudioError as error:
        assert "mono and stereo" in str(error)


def test_damage_between_frames():
    frames = frames_of(mp3())[1:]
    spoilt = [*frames[:20], b"\x00\x11" * 40, *frames[20:]]
    assert length(b"".join(spoilt)) == pytest.approx(1152 * len(frames), abs=4 * 1152)
    spoilt = [*frames[:20], b"\x00\x11" * 40_000, *frames[20:]]
    assert reason(b"".join(spoilt)).startswith("is damaged: 80,000 of its")


@pytest.mark.parametrize("place, byte", [(1, 0xF3), (2, 0x90), (2, 0xA8), (0, 0x7F)])
def test_one_damaged_header_is_no_other_recording(place, byte):
    frames = frames_of(mp3(mode="CONSTANT"))[1:]
    frames[30] = put(frames[30], place, bytes([byte]))
    try:
        there = length(b"".join(frames))
    except AudioError as error:
        # The decoder stops there; what it left out is not left out in silence.
        assert re.search(r"is damaged, .* hold 2\.\d\d s, and 0\.\d\d s of these", str(error))
    else:
        assert there == pytest.approx(1152 * len(frames), abs=4 * 1152)


def test_an_mp3_whose_tag_is_cut():
    told = reason(b"ID3\x04\0\0\0\x10\0\0" + bytes(100))
    assert told.startswith("is cut off: 262,044 bytes of its tag, and all sound, are missing")


# --- Every format -----------------------------------------------------------------------------

#: Cannot be written with the library; MP3 in WAV is put together below.
UNWRITTEN = {
    ("AIFF", "DWVW_12"),
    ("MP3", "MPEG_LAYER_I"),
    ("MP3", "MPEG_LAYER_II"),
    ("WAV", "MPEG_LAYER_III"),
}
#: Read in part or not at all, or without a header that says what they are.
NAMED = {("AIFF", "DWVW_16"), ("AIFF", "DWVW_24")}
BARE = {"RAW", "SD2"}
EVERY = [
    (kind, subtype)
    for kind in soundfile.available_formats()
    for subtype in soundfile.available_subtypes(kind)
    if (kind, subtype) not in UNWRITTEN
]


@pytest.mark.parametrize(("kind", "subtype"), EVERY)
def test_every_format_is_decoded_or_named(kind, subtype, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # SD2 writes a second file, beside
    rate = 8_000 if kind in ("WVE", "OGG") else RATE
    samples = tone(rate=rate)
    content = encoded(kind, samples, rate, subtype)
    if kind in BARE:
        assert reason(content).startswith("is not audio that can be read: its first bytes are")
    elif (kind, subtype) in NAMED:
        assert "DWVW, and cannot be decoded here, or is cut off. Export" in reason(content)
    else:
        found, _ = audio.read_samples(content)
        assert len(samples) <= len(found) <= len(samples) + 400  # whole blocks
        likeness = np.corrcoef(found[1000:7000, 0], samples[1000:7000])[0, 1]
        assert likeness > 0.99


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [pair for pair in EVERY if pair[0] in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF",
                                           "FLAC", "OGG", "MP3", "NIST", "SVX")
     and pair not in NAMED],
)  # fmt: skip
def test_every_format_of_speech_is_called_cut_off(kind, subtype, share):
    rate = 8_000 if kind == "OGG" else RATE
    content = encoded(kind, tone(rate=rate), rate, subtype)
    assert "cut off" in reason(content[: int(share * len(content))])


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0])
def test_au_of_a_pipe(size):
    content = encoded("AU")
    assert length(put(content, 8, struct.pack(">I", size))) == RATE


def test_aiff_of_a_pipe():
    content = encoded("AIFF")
    assert length(put(content, content.index(b"SSND") + 4, struct.pack(">I", 0x7F000008))) == RATE


def test_caf_of_a_pipe():
    content = encoded("CAF")
    assert length(put(content, content.rindex(b"data") + 4, b"\xff" * 8)) == RATE


def test_mp3_in_wav():
    sound = mp3()
    fmt = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 48_000, 8_000, 1, 0, 12, 1, 2, 384, 1, 0)
    fact = b"fact" + struct.pack("<II", 4, 96_000)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + fact
    body += b"data" + struct.pack("<I", len(sound)) + sound
    content = b"RIFF" + struct.pack("<I", len(body)) + body
    assert length(content) == 96_000
    assert "is cut off: 300 bytes" in reason(content[:-300])


# --- No recordings ----------------------------------------------------------------------------

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
KINDS = [
    (LFS, "it is a Git LFS pointer: a note in place of the recording. Run git lfs pull"),
    (b"../.git/annex/objects/aa/bb/SHA256E-s1.wav", "it is a git-annex pointer"),
    (b"\0\0\0\x20ftypM4A \0\0\0\0", "it is MP4 or M4A (AAC). Open it in an audio editor, and"),
    (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01", "it is WebM or Matroska. Open it"),
    (b"<!DOCTYPE html>\n<html><head>", "it is a web page (HTML) that begins '<!DOCTYPE html>"),
    (b"\n<html>", "it is a web page (HTML)"),
    (b"<?xml version='1.0'?><Error><Code>AccessDenied", "it is XML that begins"),
    (b'{"error": "Not found"}', "it is JSON or text"),
    (b"404: Not Found", "it is text that begins '404: Not Found'"),
    ("Größe".encode(), "it is text that begins 'Größe'"),
    ("Größe".encode("utf-16"), "it is text that begins 'Größe'"),
    (b"PK\x03\x04\x14\0", "it is a zip archive. Unpack it"),
    (b"\x1f\x8b\x08\0", "it is a gzip archive"),
    (b"RIFF\x24\0\0\0AVI LIST", "it is a film (AVI)"),
    (b"\xff\xf1\x50\x80\x03\xdf\xfc", "it is AAC. Open it"),
    (b"#!AMR\n\x3c", "it is AMR, of a mobile phone"),
    (
        b"OggS\0\2" + bytes(20) + b"\x01\x50Speex   1.2" + bytes(70),
        "it is Ogg with the codec Speex",
    ),
    (b"\x89PNG\r\n\x1a\n", "it is a picture (PNG). Copy"),
    (b"%PDF-1.7", "it is a PDF document"),
    (bytes(5000), "it is 5,000 zeros and nothing else, as a failed copy leaves. Copy"),
    (b"\0\x05\x16\x07\0\2\0\0Mac OS X", "it is a side file of macOS (AppleDouble). Delete it"),
    (b"\x9a\x01\x83\xff\x10\x99", "its first bytes are b'\\x9a\\x01"),
]


@pytest.mark.parametrize(("content", "words"), KINDS, ids=[words[:40] for _, words in KINDS])
def test_what_is_no_audio_is_named_by_its_kind(content, words):
    assert reason(content).startswith(f"is not audio that can be read: {words}")


# --- Whatever bytes ---------------------------------------------------------------------------

SEEDS = [encoded("WAV"), encoded("FLAC"), mp3(seconds=0.5), encoded("MP3"), encoded("AIFF"), LFS]


def is_read_or_named(content):
    try:
        samples, rate = audio.read_samples(content)
    except AudioError as error:
        assert str(error).startswith("The recording ")
    else:
        assert len(samples) and np.isfinite(samples).all() and rate >= 1000


@given(st.binary(max_size=300))
@example(b"ID3")
@example(b"RIFF\0\0\0\0WAVE")
@example(b"\xff\xfb")
@example(b"fLaC" + bytes(60))
def test_whatever_bytes(content):
    is_read_or_named(content)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_whatever_is_spoilt(data):
    content = data.draw(st.sampled_from(SEEDS))
    place = data.draw(st.integers(0, min(len(content), 400)) | st.integers(0, len(content)))
    new = data.draw(st.binary(min_size=1, max_size=8))
    content = put(content, place, new)
    is_read_or_named(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])


def test_what_is_whole_is_handed_on_as_it_is():
    for content in SEEDS:
        assert recordings.examined(content).content == content


# --- what other programs leave -----------------------------------------------------------------


def chunk(kind, content):
    return kind + struct.pack("<I", len(content)) + content


def wave(codec, channels, rate, frame, bits, sound, each_second=None):
    about = struct.pack("<HHIIHH", codec, channels, rate, each_second or rate * frame, frame, bits)
    return chunk(b"RIFF", b"WAVE" + chunk(b"fmt ", about) + chunk(b"data", sound))


@pytest.mark.parametrize(("bits", "width", "channels"), [(24, 4, 1), (24, 4, 2), (8, 2, 1)])
def test_samples_in_wider_places(bits, width, channels):
    """24 bits in 4 bytes, as some recorders write, were read as noise, three bytes at a time."""
    expected = np.repeat(tone()[:, None], channels, axis=1)
    sound = (expected * 2 ** (8 * width - 1)).astype(f"<i{width}").tobytes()
    content = wave(1, channels, RATE, width * channels, bits, sound)
    samples, _ = audio.read_samples(content)
    np.testing.assert_allclose(samples, expected, atol=1e-4)


def test_a_wrong_size_of_a_frame_widens_nothing():
    sound = (tone() * 32767).astype("<i2").tobytes()
    samples, _ = audio.read_samples(wave(1, 1, RATE, 4, 16, sound, each_second=2 * RATE))
    np.testing.assert_allclose(samples[:, 0], tone(), atol=1e-4)


def test_line_ends_changed_in_a_wav_file():
    """FTP in its text mode, or git told that all files are text: noise at the right length."""
    content = encoded()
    assert content.count(b"\n") > 20
    assert "copied as if it were text" in reason(content.replace(b"\n", b"\r\n"))
    # A sample of 0x0A0D again and again is no sign of it.
    length(encoded(samples=np.full(RATE, 0x0A0D / 32768, "f4")))


def test_mp3_in_a_wav_file():
    inside = encoded("MP3")
    content = wave(0x55, 1, RATE, 1, 0, inside, each_second=8_000)
    assert length(content) == length(inside)
    assert "is cut off" in reason(content[:-500])
    short = wave(0x55, 1, RATE, 1, 0, inside[: len(inside) // 2], each_second=8_000)
    assert "is cut off" in reason(short)


def test_zeros_around_mp3():
    content = encoded("MP3")
    expected = length(content)
    assert length(bytes(1_000) + content) == expected
    assert length(content + bytes(5_000)) == expected
    assert length(content + bytes(5_000) + b"TAG" + bytes(125)) == expected
    # Zeros in place of sound: a download that reserved its room, and did not end.
    half = len(content) // 2
    assert "is cut off" in reason(content[:half] + bytes(half))


def test_zeros_behind_mp3_that_states_no_length():
    content = encoded("MP3")
    walk = recordings.examined(content)
    plain = walk.content[next(m.start() for m in re.finditer(b"\xff\xf3", walk.content[4:])) + 4 :]
    assert length(plain) > 0
    assert "zeros" in reason(plain + bytes(5_000))


@pytest.mark.parametrize("kind", ["AVR", "MAT4", "MAT5", "MPC2K", "VOC", "W64", "NIST", "AIFF"])
def test_a_cut_end_in_rarer_formats(kind):
    content = encoded(kind, subtype="PCM_16")
    assert length(content) == RATE
    assert "is cut off" in reason(content[: len(content) * 2 // 3])


def test_a_voc_file_in_several_parts():
    """The decoder takes the heads of the further parts for sound: a click at each."""
    content = encoded("VOC", subtype="PCM_16")
    head, sound = content[:42], content[42 : 42 + 2 * RATE]
    parts = [sound[place : place + 2_000] for place in range(0, len(sound), 2_000)]
    content = put(head, 27, (len(parts[0]) + 12).to_bytes(3, "little")) + parts[0]
    content += b"".join(b"\x02" + len(part).to_bytes(3, "little") + part for part in parts[1:])
    assert "in several parts" in reason(content + b"\0")


def test_whole_numbers_written_as_floating_point_ones():
    content = encoded(samples=tone() * 32768, subtype="FLOAT")
    assert "Divide them by 32768" in reason(content)
    assert length(encoded(samples=tone() * 3, subtype="FLOAT")) == RATE  # only too loud


@pytest.mark.parametrize("kind", [b"\x7fFLAC", b"Speex   "])
def test_codecs_in_ogg_that_are_not_read(kind):
    page = b"OggS\0\2" + bytes(20) + bytes([1, 100]) + kind.ljust(100, b"\1")
    assert kind.decode().strip("\x7f ") in reason(page)


@pytest.mark.parametrize(
    ("target", "way_out"),
    [("nowhere.wav", "Copy the recording"), (".git/annex/objects/a/b/SHA256E-s9", "git annex get")],
)
def test_a_link_that_leads_nowhere(tmp_path, target, way_out):
    link = tmp_path / "anna.wav"
    link.symlink_to(target)
    with pytest.raises(AudioError, match=f"is a link to .*{way_out}"):
        audio.read_samples(link)
