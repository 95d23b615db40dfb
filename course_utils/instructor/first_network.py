"""Fit the small network that opens stage 1: ``python -m course_utils.instructor.first_network``.

It tells *yes*, *no*, *up* and *down* from each other and from everything else. It learns from the
embedded corpus alone, in many rooms and noises, and is scored on people it has never heard. What
is written is one program, ``interactive/first_network.pt2``: a waveform goes in, probabilities
come out, and no class is needed to run it. What it was made of and what it scored lies inside.
Of the seeds the one is kept that does best on real speakers outside of the test.

::

    python -m course_utils.instructor.first_network --real FOLDER
"""

import argparse
import copy
import hashlib
import io
import json
import sys
from collections.abc import Callable, Mapping
from datetime import date

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from course_utils import audio, files
from course_utils.corpora import embedded, noises, speech_commands
from course_utils.instructor import measure
from course_utils.interactive import opening
from course_utils.runs.code import collected

RATE = 16_000  # Hz; a clip is a second
WORDS = ("yes", "no", "up", "down")
CLASSES = (*WORDS, "something else")
MELS = 40
COPIES = (4, 1)  # of each clip in other rooms and noises: of the four words, of all others
EPOCHS, STEPS, BATCH = 12, 80, 72
FORMANTS = 0.08  # spread of the factor that stretches the frequency axis
#: Readers are asked for one of the words: anything else is so much rarer than in the training.
RARER = 0.3
SLOWEST, FASTEST = 0.75, 1.35  # factors of the time axis


class LogMel(nn.Module):
    """Waveform (batch, 16000) to log-mel (batch, frame, mel), whatever its level and microphone."""

    def __init__(self):
        super().__init__()
        bank = torchaudio.functional.melscale_fbanks(257, 60.0, 7600.0, MELS, RATE)
        self.register_buffer("bank", bank)
        self.register_buffer("window", torch.hann_window(400))

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel without the mean of each band."""
        level = waveform.square().mean(1, keepdim=True).sqrt()
        spectrum = torch.stft(
            waveform / (level + 1e-4), 512, 160, 400, self.window, return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()  # (batch, frequency, frame)
        mel = (power.transpose(1, 2) @ self.bank + 1e-2).log()
        return mel - mel.mean(1, keepdim=True)


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs)
        )
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs))
        self.around = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channel, frame, mel), each smaller by the stride."""
        return (self.second(self.first(x).relu()) + self.around(x)).relu()


class Listener(nn.Module):
    """Log-mel (batch, frame, mel) to logits (batch, class): convolutions, then any moment."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16))
        self.blocks = nn.Sequential(
            Block(16, 24, (1, 2)), Block(24, 40, (2, 2)), Block(40, 56, (2, 2))
        )
        self.mix = nn.Linear(56 * 3, 96)
        self.leave = nn.Sequential(nn.Dropout(0.3), nn.Linear(96, len(CLASSES)))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """What is heard at the best moment, and on average."""
        x = self.blocks(self.enter(mel[:, None]).relu())  # (batch, channel, frame, mel)
        x = self.mix(x.transpose(1, 2).flatten(2)).relu()  # (batch, frame, feature)
        return self.leave(x.amax(1) + x.mean(1))


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """Numbers drawn between two bounds, (count, 1)."""
    return low + (high - low) * torch.rand(count, 1, generator=generator)


def elsewhere(clips: torch.Tensor, noise: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The clips at another moment, in another room, with another microphone and in noise.

    Parameters
    ----------
    clips, noise : tensor (clip, 16000)
    generator : torch.Generator

    Returns
    -------
    tensor (clip, 16000)
        At any level.
    """
    count, size = len(clips), 2 * clips.shape[1]
    clips = audio.shift(clips[:, None], torch.randint(-2400, 2400, (count,), generator=generator))
    moments = torch.arange(1, int(0.4 * RATE)) / RATE
    # An echo of 60 dB a reverberation time: amplitude 10 ** (-3 t / T60).
    tail = torch.randn(count, len(moments), generator=generator)
    tail = tail * 10 ** (-3 * moments / uniform(count, 0.05, 0.5, generator))
    wet = uniform(count, 0, 0.7, generator) * (uniform(count, 0, 1, generator) < 0.6)
    tail = wet * tail / tail.square().sum(1, keepdim=True).sqrt()
    room = torch.cat([torch.ones(count, 1), tail], 1)
    frequency = torch.fft.rfftfreq(size, 1 / RATE) + 1
    tilt = 4 * torch.randn(count, 1, generator=generator)  # dB an octave
    microphone = 10 ** (tilt * torch.log2(frequency / 1000) / 20)
    microphone /= (1 + (uniform(count, 30, 300, generator) / frequency) ** 4).sqrt()
    microphone /= (1 + (frequency / uniform(count, 3500, 8000, generator)) ** 6).sqrt()
    spectrum = torch.fft.rfft(clips[:, 0], size) * torch.fft.rfft(room, size) * microphone
    speech = torch.fft.irfft(spectrum, size)[:, : clips.shape[2]]

    hiss = torch.fft.rfft(torch.randn(count, size, generator=generator))
    hiss = hiss * frequency ** (uniform(count, -1.5, 0.3, generator) / 2)
    hiss = torch.fft.irfft(hiss, size)[:, : clips.shape[2]]
    noise = torch.where(uniform(count, 0, 1, generator) < 0.5, unit(hiss), unit(noise))
    return unit(speech) + noise * 10 ** (-uniform(count, -3, 35, generator) / 20)


def unit(waveform: torch.Tensor) -> torch.Tensor:
    """The same sound (clip, time) with a root mean square of 1; silence stays."""
    return waveform / (waveform.square().mean(1, keepdim=True).sqrt() + 1e-6)


def another_throat(mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The log-mels (batch, frame, mel) spoken faster or slower, with other formants, and a gap."""
    count = len(mel)
    change = torch.zeros(count, 2, 3)
    formants = 1 + FORMANTS * torch.randn(count, generator=generator)
    change[:, 0, 0] = formants.clamp(0.8, 1.25)
    change[:, 0, 2] = uniform(count, -0.06, 0.06, generator)[:, 0]
    change[:, 1, 1] = uniform(count, SLOWEST, FASTEST, generator)[:, 0]
    grid = F.affine_grid(change, [count, 1, *mel.shape[1:]], align_corners=False)
    mel = F.grid_sample(mel[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    for axis, widest in ((1, 20), (2, 8)):
        place = torch.arange(mel.shape[axis])[None]
        width = torch.randint(widest, (count, 1), generator=generator)
        start = uniform(count, 0, 1, generator) * (mel.shape[axis] - width)
        hidden = (place >= start) & (place < start + width)
        mel = mel.masked_fill(hidden.unsqueeze(3 - axis), 0.0)
    return mel - mel.mean(1, keepdim=True)


def labelled(corpus: speech_commands.SpeechCommands) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips (clip, 16000) and their classes (clip,)."""
    clips, _ = corpus.tensors()
    known = [WORDS.index(word) if word in WORDS else len(WORDS) for word in corpus.spoken]
    return clips[:, 0], torch.tensor(known)


def material(
    corpus: speech_commands.SpeechCommands, features: LogMel, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-mels (clip, frame, mel) of all clips in several rooms, and of noise; their classes."""
    clips, classes = labelled(corpus)
    noise = list(corpus.background_noise().values())
    is_word = classes < len(WORDS)
    rows = torch.cat([
        torch.nonzero(is_word == wanted)[:, 0].repeat(copies)
        for wanted, copies in zip((True, False), COPIES, strict=True)
    ])
    clips = torch.cat([clips, clips.new_zeros(1, RATE)])  # the last: nothing but noise
    classes = torch.cat([classes, torch.tensor([len(WORDS)])])
    rows = torch.cat([rows, torch.full((len(rows) // 20,), len(clips) - 1)])
    mels = []
    for part in rows.split(128):
        crops = noises.random_crops(noise, len(part), RATE, generator)[:, 0]
        mels.append(features(elsewhere(clips[part], crops, generator)))
    return torch.cat(mels), classes[rows]


def fit(corpus: speech_commands.SpeechCommands, seed: int) -> Listener:
    """Train a network on a part of a corpus; it is in eval mode."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = Listener().to(memory_format=torch.channels_last)  # a third faster
    mels, classes = material(corpus, LogMel(), generator)
    groups = [torch.nonzero((classes < len(WORDS)) == wanted)[:, 0] for wanted in (True, False)]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=EPOCHS * STEPS)
    for epoch in range(EPOCHS):
        total = 0.0
        for _ in range(STEPS):
            rows = torch.cat([  # of each class as many as of each other, and twice as many others
                group[torch.randint(len(group), (share,), generator=generator)]
                for group, share in zip(groups, (2 * BATCH // 3, BATCH // 3), strict=True)
            ])
            logits = network(another_throat(mels[rows], generator))
            loss = F.cross_entropy(logits, classes[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"seed {seed}, epoch {epoch + 1}/{EPOCHS}: loss {total / STEPS:.3f}", flush=True)
    return network.to(memory_format=torch.contiguous_format).eval()


class Program(nn.Module):
    """Waveforms (batch, 16000) to probabilities (batch, class), with weights of half precision."""

    def __init__(self, network: Listener):
        super().__init__()
        network = without_norms(network)
        self.features = LogMel()
        self.register_buffer("prior", torch.tensor([1.0] * len(WORDS) + [RARER]).log())
        weights = nn.utils.parameters_to_vector(network.parameters()).detach()
        self.register_buffer("weights", weights.half())
        self._network = (network,)  # in a tuple its own weights do not count

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """The probabilities of the classes."""
        [network] = self._network
        sizes = [parameter.numel() for parameter in network.parameters()]
        parts = self.weights.float().split(sizes)
        named = zip(network.named_parameters(), parts, strict=True)
        weights = {name: part.view(like.shape) for (name, like), part in named}
        logits = torch.func.functional_call(network, weights, (self.features(waveforms),))
        return (logits + self.prior).softmax(1)


def without_norms(network: Listener) -> Listener:
    """A copy whose convolutions do what their normalisation did; in eval mode it is the same."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.BatchNorm2d):
            module[0] = fuse_conv_bn_eval(*module)
            del module[1]
    return network


def exported(network: Listener) -> torch.export.ExportedProgram:
    """The network as a program for any number of clips; nothing in it names this computer."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        Program(network).eval(), (torch.zeros(2, RATE),), dynamic_shapes=({0: batch},)
    )
    program.example_inputs = None  # they would be pickled
    for node in program.graph.nodes:
        for name in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
            node.meta.pop(name, None)
    return program


def seconds_of(noise: Mapping[str, torch.Tensor], most: int = 20) -> torch.Tensor:
    """Silence, and the first seconds of each noise: (second, 16000)."""
    cut = [sound[0].unfold(0, RATE, RATE)[:most] for sound in noise.values()]
    return torch.cat([torch.zeros(1, RATE), *cut])


@torch.no_grad()
def scores(program: Callable, corpus: speech_commands.SpeechCommands) -> dict[str, float | int]:
    """How a part of a corpus is heard: counts of clips, and shares of them.

    Returns
    -------
    dict
        ``words``, clips of the four words: the share that is named ``right``, and the share that is
        taken for one of the other three (``mistaken``); the rest is refused. ``others``, clips of
        other words, and ``noises``, seconds without a word: the share that is taken for a word.
    """
    clips, classes = labelled(corpus)
    quiet = seconds_of(corpus.background_noise())
    clips = torch.cat([clips, quiet])
    shares = torch.cat([program(part) for part in clips.split(256)])[:, : len(WORDS)]
    best, named = shares.max(1)
    sure, quiet = best >= opening.LEAST, torch.arange(len(clips)) >= len(classes)
    classes = F.pad(classes, (0, int(quiet.sum())), value=len(WORDS))
    words, others = classes < len(WORDS), (classes == len(WORDS)) & ~quiet
    found = {"speakers": len(set(corpus.speakers))}
    for name, chosen in (("words", words), ("others", others), ("noises", quiet)):
        found[name] = int(chosen.sum())
    right = named == classes
    for name, hit, among in (
        ("right", sure & right, words), ("mistaken", sure & ~right, words),
        ("others_named", sure, others), ("noises_named", sure, quiet),
    ):
        found[name] = round(hit[among].float().mean().item(), 4)
    for place, word in enumerate(WORDS):
        found[word] = round((sure & right)[classes == place].float().mean().item(), 4)
    return found


def code() -> dict[str, str]:
    """Everything that decides what the program is, each with a hash: see ``runs.code``."""
    return collected(fit, exported)


def recipe() -> dict:
    """What the embedded corpus is made from."""
    text = (embedded.speech_commands() / "corpus.json").read_text(encoding="utf-8")
    return json.loads(text)["recipe"]


def weights_of(program: torch.export.ExportedProgram) -> str:
    """Twelve characters that change with the weights."""
    return hashlib.sha256(program.state_dict["weights"].numpy().tobytes()).hexdigest()[:12]


def write(program: torch.export.ExportedProgram, seed: int, found: list[dict]) -> None:
    """Write the program, and inside its file what it was made of and what was measured."""
    about = {
        "date": date.today().isoformat(), "classes": CLASSES, "recipe": recipe(), "code": code(),
        "weights": weights_of(program), "seed": seed, "scores": found,
        "torch": str(torch.__version__), "machine": measure.machine(),
    }
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={"about.json": json.dumps(about)})
    with files.replace_with(opening.PROGRAM) as temporary:
        temporary.write_bytes(content.getvalue())
    print(f"{opening.PROGRAM.name}: {len(content.getvalue()):,} bytes", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.first_network",
        description="Fit and write the network that opens stage 1.",
    )
    parser.add_argument("--real", required=True, help="v0.02, or a folder: people to be scored on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments)
    corpus = speech_commands.load("embedded", verbose=False)
    real = speech_commands.load(options.real, verbose=False)
    rest = real.take(np.flatnonzero(real.splits != "test"))
    found, best = [], -1.0
    for seed in options.seeds:
        program = exported(fit(corpus.split("train"), seed))
        chosen = scores(program.module(), rest)
        found += [
            {"seed": seed, "tested_on": part.name, **scores(program.module(), part.split("test"))}
            for part in (corpus, real)
        ]
        print("\n".join(map(str, found[-2:])), flush=True)
        if (merit := chosen["right"] - chosen["mistaken"] - chosen["others_named"]) > best:
            best, kept = merit, (program, seed)
        write(*kept, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
