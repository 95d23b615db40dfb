"""Recordings good and bad: what is read right, and what a student is told about the rest."""

import errno
import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from course_utils import audio
from course_utils.audio import AudioError

RATE = 16_000  # Hz


def sine(frequency=440.0, rate=RATE, seconds=1.0, amplitude=0.5):
    time = np.arange(int(rate * seconds)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def loudest_frequency(samples, rate):
    """In Hz, to the nearest bin of the Fourier transform."""
    return np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)


def encoded(kind="WAV", samples=None, rate=RATE, subtype=None):
    """The bytes of a recording; one second of 440 Hz unless told otherwise."""
    file = io.BytesIO()
    soundfile.write(file, sine() if samples is None else samples, rate, subtype, format=kind)
    return file.getvalue()


def with_nan():
    samples = sine()
    samples[[5, 700]] = np.nan, np.inf
    return encoded(samples=samples, subtype="FLOAT")


def with_data_size(size):
    """A WAV file whose header gives this many bytes of sound, as a program that streams does."""
    content = bytearray(encoded())
    place = content.index(b"data") + 4
    content[4:8] = content[place : place + 4] = struct.pack("<I", size)
    return bytes(content)


def reason(file, **options):
    """What a student is told when `file` is read."""
    with pytest.raises(AudioError) as error:
        audio.read(file, **options)
    return str(error.value)


#: Name, content, and what the message says: what happened, then what to do.
BAD = [
    ("empty.wav", b"", "is empty: 0 bytes. Copy or download it again."),
    ("header.wav", encoded(samples=np.zeros(0)), "holds 0 samples of sound. Record or download"),
    (
        "letter.wav",
        b"Dear all, this is a letter",
        "is not audio that can be read: it is text that begins 'Dear all, this is a letter'. Copy",
    ),
    ("unicode.wav", "Dear all".encode("utf-16"), "is not audio that can be read"),
    ("nan.wav", with_nan(), "holds 2 samples that are not numbers (NaN or infinite). Export it"),
    (
        "cut.wav",
        encoded()[:20_044],
        "is cut off: 12,000 bytes of its sound are missing. Copy or download it again.",
    ),
    ("cut_in_header.wav", encoded()[:20], "is damaged or cut off"),
    ("cut.flac", encoded("FLAC")[:5_000], "is damaged or cut off"),
    ("cut_in_header.flac", encoded("FLAC")[:30], "is damaged or cut off"),
    ("cut.mp3", encoded("MP3")[:-300], "is cut off: its header promises 1.08 s, and 1.01 s are"),
    ("cut_in_first_frame.mp3", encoded("MP3")[:100], "is damaged or cut off"),
    ("silent.wav", encoded(samples=np.zeros(RATE)), "is silent for its whole length: every sample"),
]


@pytest.mark.parametrize("name, content, message", BAD, ids=[name for name, _, _ in BAD])
def test_a_bad_file_is_named_with_the_reason_and_the_way_out(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    told = reason(path)
    assert told.startswith(f"{path} {message}")
    assert re.search(r"\b(Copy|Record|Export|Use)\b[^.]*", told)


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3"])
def test_a_file_cut_anywhere_is_called_cut_off(kind, share):
    content = encoded(kind)
    told = reason(content[: int(share * len(content))])
    assert "cut off" in told
    assert told.endswith("Copy or download it again.")


def test_a_missing_file(tmp_path):
    told = reason(tmp_path / "yes.wav")
    assert told == f"{tmp_path / 'yes.wav'} does not exist. Check the folder and the spelling."


def test_a_folder_in_place_of_a_file(tmp_path):
    folder = tmp_path / "yes.wav"
    folder.mkdir()
    # Windows refuses to open a folder, and calls that a lack of permission.
    assert re.search("is a folder, not a recording|cannot be read", reason(folder))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "secret.wav"
    path.write_bytes(encoded())

    def refuse(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    told = reason(path)
    assert told == f"{path} cannot be read (Permission denied). Check its permissions."


def test_silence_is_read_where_it_is_allowed():
    content = encoded(samples=np.zeros(300))
    assert "Was the microphone muted?" in reason(content)
    waveform, rate = audio.read(content, allow_silence=True)
    assert waveform.shape == (1, 300)
    assert not waveform.any()
    assert rate == RATE


def test_a_recording_of_one_loud_sample_is_not_silent():
    samples = np.zeros(RATE)
    samples[-1] = 0.5
    waveform, _ = audio.read(encoded(samples=samples))
    assert waveform[0, -1] == 0.5


def test_stereo_keeps_its_channels():
    left, right = sine(440), sine(880, amplitude=0.25)
    waveform, rate = audio.read(encoded(samples=np.stack([left, right], axis=1)))
    assert (waveform.shape, waveform.dtype, rate) == ((2, RATE), torch.float32, RATE)
    # Half a step of 16 bits, and the rounding of float32.
    np.testing.assert_allclose(waveform[0], left, atol=2**-15)
    np.testing.assert_allclose(waveform[1], right, atol=2**-15)
    np.testing.assert_allclose(audio.to_mono(waveform)[0], (left + right) / 2, atol=2**-15)


@pytest.mark.parametrize(
    "rate, subtype, step", [(8_000, "PCM_16", 2**-15), (44_100, "PCM_24", 2**-23)]
)
def test_other_rates_and_depths(rate, subtype, step):
    samples = sine(rate=rate)
    waveform, found = audio.read(encoded(samples=samples, rate=rate, subtype=subtype))
    assert (waveform.shape, found) == ((1, rate), rate)
    np.testing.assert_allclose(waveform[0], samples, atol=step)


def test_three_samples():
    waveform, _ = audio.read(encoded(samples=np.array([0.25, -0.5, 0.125])))
    assert waveform.tolist() == [[0.25, -0.5, 0.125]]


def test_a_stream_that_never_wrote_its_size():
    waveform, _ = audio.read(with_data_size(0xFFFFFFFF))
    np.testing.assert_allclose(waveform[0], sine(), atol=2**-15)


def test_a_stream_that_promises_more_than_came():
    assert "968,000 bytes of its sound are missing" in reason(with_data_size(1_000_000))


def test_chunks_before_the_sound():
    content = encoded()
    note = b"LIST" + struct.pack("<I", 5) + b"hello\0"  # an odd size is filled up to an even one
    place = content.index(b"data")
    content = content[:place] + note + content[place:]
    waveform, _ = audio.read(content)
    np.testing.assert_allclose(waveform[0], sine(), atol=2**-15)
    assert "100 bytes of its sound are missing" in reason(content[:-100])


def test_bytes_and_file_objects(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded())
    expected, _ = audio.read(path)
    with path.open("rb") as file:
        for source in (str(path), encoded(), bytearray(encoded()), io.BytesIO(encoded()), file):
            waveform, rate = audio.read(source)
            assert rate == RATE
            torch.testing.assert_close(waveform, expected, rtol=0, atol=0)


def test_bytes_and_file_objects_have_a_name_in_messages(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    assert reason(b"").startswith("The recording is empty")
    with path.open("rb") as file:
        assert reason(file).startswith(f"{path} is empty")


def test_read_samples_has_time_first():
    samples, _ = audio.read_samples(encoded(samples=np.zeros((300, 2))))
    assert (samples.shape, samples.dtype) == ((300, 2), np.float32)


# --- write ------------------------------------------------------------------------------------


def with_tag(content):
    """An MP3 file behind an ID3 tag of 35 bytes, as FFmpeg writes it."""
    return b"ID3\x04\x00\x00\x00\x00\x00\x23" + bytes(35) + content


def test_an_mp3_file_that_does_not_state_its_length_is_whole():
    # libsndfile then guesses the length from the size: 205 samples too many.
    file, samples = io.BytesIO(), sine(rate=32_000, seconds=2)
    options = {"bitrate_mode": "CONSTANT", "compression_level": 0.9}
    soundfile.write(file, samples, 32_000, format="MP3", **options)
    first_frame = 252  # bytes at 56 kbit/s; it holds the header and no sound
    content = with_tag(file.getvalue()[first_frame:])
    assert soundfile.SoundFile(io.BytesIO(content)).frames > len(samples)
    found, rate = audio.read_samples(content)
    assert rate == 32_000
    assert 0 <= len(found) - len(samples) < 2 * 1152  # the padding of whole frames


def test_an_mp3_file_behind_a_tag_is_called_cut_off():
    assert audio.read_samples(with_tag(encoded("MP3")))[0].shape == (RATE, 1)
    assert "is cut off: its header promises" in reason(with_tag(encoded("MP3")[:-300]))


@pytest.mark.parametrize("suffix, error", [(".wav", 2**-15), (".flac", 2**-15), (".mp3", 0.1)])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_read_again(tmp_path, suffix, error, channels):
    waveform = torch.from_numpy(np.stack([sine(440), sine(880)][:channels]))
    path = audio.write(tmp_path / f"a{suffix}", waveform, RATE)
    again, rate = audio.read(path)
    assert (again.shape, rate) == (waveform.shape, RATE)
    assert (again - waveform).abs().max() <= error


def test_the_format_is_that_of_the_suffix(tmp_path):
    starts = {".wav": b"RIFF", ".flac": b"fLaC", ".mp3": b"\xff"}
    for suffix, start in starts.items():
        path = audio.write(tmp_path / f"a{suffix.upper()}", torch.from_numpy(sine()), RATE)
        assert path.read_bytes().startswith(start)
    info = soundfile.info(tmp_path / "a.WAV")
    assert (info.subtype, info.channels, info.frames) == ("PCM_16", 1, RATE)


def test_loud_samples_are_clipped(tmp_path):
    path = audio.write(tmp_path / "a.wav", torch.tensor([0.5, 3.0, -3.0], requires_grad=True), RATE)
    waveform, _ = audio.read(path)
    np.testing.assert_allclose(waveform, [[0.5, 1.0, -1.0]], atol=2**-15)


def test_loud_samples_are_clipped_in_mp3_too(tmp_path):
    loud = torch.from_numpy(sine(amplitude=3.0))
    waveform, _ = audio.read(audio.write(tmp_path / "a.mp3", loud, RATE))
    assert 0.9 < waveform.abs().max() < 1.5


ONES = torch.ones(1, 40)
CANNOT = [
    ("a.ogg", ONES, RATE, r"a\.ogg: the suffix must be one of \.wav, \.flac, \.mp3"),
    ("a.wav", torch.ones(1, 0), RATE, r"has the shape \(channel, time\); this one has \(1, 0\)"),
    ("a.wav", torch.ones(1, 1, 9), RATE, r"\(channel, time\); this one has \(1, 1, 9\)"),
    ("a.wav", torch.tensor([0.1, torch.nan]), RATE, "NaN or infinite samples; nothing was written"),
    ("a.wav", torch.ones(1, 40).short(), RATE, r"holds torch\.int16.* waveform\.float\(\) / 32768"),
    ("a.wav", ONES, 0, "sample rate is a whole number of Hz above 0; this is 0"),
    ("a.wav", ONES, 16e3, "whole number of Hz above 0; this is 16000.0"),
    ("a.mp3", ONES, 96_000, r"1 channels at 96000 Hz \(MPEG.*Resample it to 16000 Hz"),
    (
        "a.mp3",
        torch.ones(40, 1),
        RATE,
        r"40 channels at 16000 Hz .* the shape is \(channel, time\)",
    ),
]


@pytest.mark.parametrize("name, waveform, rate, message", CANNOT)
def test_what_cannot_be_written(tmp_path, name, waveform, rate, message):
    with pytest.raises(AudioError, match=message):
        audio.write(tmp_path / name, waveform, rate)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing(tmp_path):
    path = tmp_path / "none" / "a.wav"
    with pytest.raises(AudioError, match=r"No such file or directory\)\. Check that its folder"):
        audio.write(path, ONES, RATE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("suffix", audio.FORMATS)
def test_a_full_disk(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.symlink_to("/dev/full")
    with pytest.raises(AudioError, match=r"No space left.*that the disk is not full"):
        audio.write(path, ONES, RATE)


# --- resample and fit -------------------------------------------------------------------------


@pytest.mark.parametrize("new_rate", [8_000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("time", [1, 3, 999, 16_000])
def test_resampled_length(time, new_rate):
    waveform = audio.resample(torch.zeros(2, time), RATE, new_rate)
    assert waveform.shape == (2, -(-time * new_rate // RATE))  # the ceiling of the quotient


@pytest.mark.parametrize("new_rate", [8_000, 22_050, 44_100])
def test_440_hz_stay_440_hz(new_rate):
    waveform = audio.resample(torch.from_numpy(sine())[None], RATE, new_rate)
    assert loudest_frequency(waveform[0].numpy(), new_rate) == 440
    middle = slice(new_rate // 10, -new_rate // 10)  # the filter blurs both ends
    expected = sine(rate=new_rate)[middle]
    np.testing.assert_allclose(waveform[0].numpy()[middle], expected, atol=0.01)


def test_what_a_lower_rate_cannot_hold_is_filtered_out():
    # 8 kHz holds up to 4 kHz. A tone of 5 kHz would be folded to 3 kHz; its power must be gone.
    tone = torch.from_numpy(sine(5_000))[None]
    waveform = audio.resample(tone, RATE, 8_000)
    loss = 10 * torch.log10(waveform.square().mean() / tone.square().mean())
    assert loss < -40  # dB
    assert tone[:, ::2].square().mean() > 0.1  # every other sample alone would be as loud


def test_the_same_rate_changes_nothing():
    waveform = torch.rand(1, 9)
    assert audio.resample(waveform, RATE, RATE) is waveform


@pytest.mark.parametrize("rate", [0, -8_000, 16e3, "16000", None])
def test_a_rate_that_is_none(rate):
    for rates in ((rate, RATE), (RATE, rate)):
        with pytest.raises(AudioError, match=f"whole number of Hz above 0; this is {rate!r}"):
            audio.resample(ONES, *rates)


def test_fit_pads_and_cuts_the_end():
    waveform = torch.arange(1.0, 7).reshape(2, 3)
    assert audio.fit(waveform, 5).tolist() == [[1, 2, 3, 0, 0], [4, 5, 6, 0, 0]]
    assert audio.fit(waveform, 2).tolist() == [[1, 2], [4, 5]]
    assert audio.fit(waveform, 3).equal(waveform)


def test_load_clip_gives_what_the_models_want():
    stereo = np.stack([sine(rate=44_100, seconds=0.5)] * 2, axis=1)
    waveform = audio.load_clip(encoded(samples=stereo, rate=44_100), RATE, RATE)
    assert waveform.shape == (1, RATE)
    assert loudest_frequency(waveform[0, :8_000].numpy(), RATE) == 440
    assert not waveform[0, 8_000:].any()
    assert audio.load_clip(encoded(), RATE).shape == (1, RATE)


def test_a_folder_is_read_in_order_and_a_broken_file_is_named(tmp_path, capsys):
    for name in ("b.wav", "a/c.FLAC"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        audio.write(tmp_path / name.lower(), torch.full((1, 800), 0.1), 16_000)
    (tmp_path / "a/c.flac").rename(tmp_path / "a/c.FLAC")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "notes.txt").write_text("no sound")
    found = [(path.name, tuple(waveform.shape), rate)
             for path, waveform, rate in audio.read_folder(tmp_path)]  # fmt: skip
    assert found == [("c.FLAC", (1, 800), 16_000), ("b.wav", (1, 800), 16_000)]
    assert capsys.readouterr().out.startswith("broken.wav       left out: broken.wav is not audio")


def test_a_file_is_a_folder_of_one_and_a_missing_one_is_named(tmp_path):
    file = audio.write(tmp_path / "a.wav", torch.full((1, 800), 0.1), 16_000)
    assert [path for path, _, _ in audio.read_folder(file)] == [file]
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere"):
        list(audio.read_folder(tmp_path / "nowhere"))
