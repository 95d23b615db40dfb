"""A trained model as ONNX: waveform in, probabilities out, for programs without Python."""

from __future__ import annotations

import argparse
import contextlib
import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_utils import files, runs
from course_utils.corpora import common_voice, speech_commands
from course_utils.programs import page
from course_utils.programs.base import Refused, decimal, example, whole
from course_utils.programs.graph import RECURRENT, Probabilities

#: What a graph for clips of any length takes, in seconds.
SHORTEST, LONGEST = 0.5, 60
#: Largest difference between the probabilities of torch and of the file, measured: below 1e-6.
TOLERANCE = 1e-4


def options(parser: argparse.ArgumentParser) -> None:
    """Its options; see :func:`run`."""
    add = parser.add_argument
    add("checkpoint", help="folder of a finished run, or its checkpoint.pt")
    add("file", type=Path, metavar="model.onnx", help="what is written")
    add("--notebook", help="the .ipynb that defines the network; none: as the checkpoint names it")
    add("--int8", action="store_true", help="weights of layers in 8 bits, and say what that costs")
    add(
        "--clips",
        type=whole(1),
        default=200,
        help="test clips of the corpus in use, on which torch and the file are compared",
    )
    add("--page", type=Path, metavar="out.html",
        help="also one HTML file that hears words, offline; none: no page")  # fmt: skip
    add("--runtime", type=Path, metavar="FOLDER",
        help="for --page: the npm package onnxruntime-web, unpacked; none: no page")  # fmt: skip
    add("--threshold", type=decimal(0, 1), default=0.7,
        help="for --page: least probability of a word")  # fmt: skip
    example(
        parser,
        "python -m course_utils export runs/lstm-all-0123456789ab words.onnx --int8",
        "npm pack onnxruntime-web && tar xzf onnxruntime-web-*.tgz    # makes the folder package",
        "python -m course_utils export runs/lstm-all-0123456789ab words.onnx --page words.html "
        "--runtime package",
    )


def run(options: argparse.Namespace) -> int:
    """Export, compare with torch, and say what came out."""
    needed()
    if options.page is not None:
        runtime = page.runtime(options.runtime)
    model = runs.model(options.checkpoint, options.notebook)
    if options.page is not None and not says_words(model):
        raise Refused("--page hears words, and this network writes sentences: leave --page out.")
    path = options.file
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "exact.onnx"
        write(model, exact)
        clips = of_test_speakers(model, options.clips)
        compared = compare(lambda clip: probabilities(model(clip)), exact, clips)
        if compared.largest > TOLERANCE:
            raise Refused(
                f"The file gives other probabilities than torch, by up to {compared.largest:.1e}: "
                "nothing was written."
            )
        sizes = f"{path.name}: {exact.stat().st_size / 1e3:,.0f} kB"
        print(f"{sizes}, {'1 s' if says_words(model) else 'any length'} of sound at "
              f"{model.sample_rate} Hz to {len(model.labels)} probabilities")  # fmt: skip
        print(f"Probabilities differ from torch's by at most {compared.largest:.0e}, on "
              f"{len(clips)} test clips.")  # fmt: skip
        if options.int8:
            small = Path(folder) / "int8.onnx"
            left = quantise(exact, small)
            print(f"int8: {small.stat().st_size / 1e3:,.0f} kB"
                  + (f"; without a form in 8 bits: {', '.join(left)}" if left else ""))  # fmt: skip
            print(loss(model, exact, small, clips))
            exact = small
        with files.replace_with(path) as temporary:
            temporary.write_bytes(exact.read_bytes())
    if options.page is not None:
        text = page.made(path.read_bytes(), model.labels, runtime, options.threshold)
        with files.replace_with(options.page) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"{options.page.name}: {len(text) / 1e6:.1f} MB; open it in a browser.")
    return 0


def needed() -> None:
    """Raise Refused if a package of the extra is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise Refused(
            f'{error.name} is not installed: python -m pip install -e ".[export]"'
        ) from error


def says_words(model: runs.TrainedModel) -> bool:
    """Whether it takes a clip for one word; otherwise it writes sentences."""
    return not model.checkpoint["table"]


def write(model: runs.TrainedModel, path: Path) -> None:
    """Write the graph: ``waveform`` float32 (1, 1, time) to ``probabilities``.

    A network of words takes one second; one of sentences takes clips of any length.

    Raises
    ------
    Refused
        Something in it has no form in ONNX; the message is the exporter's.
    """
    import onnx
    from onnxscript import optimizer
    from onnxscript.function_libs.torch_lib.ops.core import aten_gru, aten_lstm

    rate, words = model.sample_rate, says_words(model)
    dimensions: dict[str, Any] = {}
    if not words:
        time = torch.export.Dim("time", min=int(SHORTEST * rate), max=LONGEST * rate)
        dimensions = {"dynamic_shapes": ({2: time},)}
    try:
        with quiet(), torch.no_grad():
            module = Probabilities(model, (rate, rate if words else 3 * rate // 2)).eval()
            program = torch.onnx.export(
                module, (torch.zeros(1, 1, rate),), dynamo=True, verbose=False, **dimensions,
                input_names=["waveform"], output_names=["probabilities"],
                custom_translation_table={
                    RECURRENT["lstm"]: aten_lstm, RECURRENT["gru"]: aten_gru
                },
            )  # fmt: skip
            # Gates of recurrent layers stand in another order in ONNX: they are put so once.
            optimizer.optimize(program.model, input_size_limit=2**30, output_size_limit=2**30)
            program.save(path)
    except Exception as error:  # an exporter fails in any way
        name = model.checkpoint["class"]
        raise Refused(f"{name} cannot be exported: {_reason(error)}") from error
    found = onnx.load(path)
    for node in found.graph.node:  # where on this computer the code lies is nobody's business
        kept = [p for p in node.metadata_props if p.key.endswith("class_hierarchy")]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
        node.doc_string = ""
    onnx.helper.set_model_props(
        found, {"labels": "\n".join(model.labels), "sample_rate": str(rate)}
    )
    onnx.save(found, path)


def _reason(error: Exception) -> str:
    """What an exporter says, without its advice to developers."""
    text = re.sub(r"\x1b\[\d+m", "", str(error))
    found = re.search(r"Exception summary\s+(.+?)(?:\n\s*\n|\n\(Refer|$)", text, re.DOTALL)
    reason = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", found[1] if found else text)
    reason = reason.split("See the stack trace")[0]
    return " ".join(reason.split()) or type(error).__name__


@contextlib.contextmanager
def quiet():
    """Without an exporter's remarks on its own work."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def opened(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """The file as a function of waveforms (1, 1, time), on one thread of the CPU."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return lambda clip: torch.from_numpy(session.run(None, {"waveform": clip.numpy()})[0])


def quantise(path: Path, small: Path) -> list[str]:
    """Write a copy whose layers hold 8-bit weights; features stay as they are.

    Returns
    -------
    list of str
        Kinds of layers that stay as they are, too.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    layers = [node for node in onnx.load(path).graph.node if _is_layer(node)]
    kinds = ("Conv", "Gemm", "MatMul", "LSTM")
    with quiet():
        quantize_dynamic(
            path, small, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=kinds,
            nodes_to_quantize=[node.name for node in layers if node.op_type in kinds],
        )  # fmt: skip
    return sorted({node.op_type for node in layers if node.op_type in ("GRU", "RNN")})


def _is_layer(node: Any) -> bool:
    """Whether a node computes one of torch's layers, and not a feature."""
    return any(
        "torch.nn.modules" in p.value and "torchaudio" not in p.value for p in node.metadata_props
    )


def of_test_speakers(model: runs.TrainedModel, count: int) -> list[tuple[torch.Tensor, int | None]]:
    """Waveforms (1, 1, time) of test speakers, each with its class, if it has one.

    The corpus is the one in use; see the settings of the course.
    """
    generator = np.random.default_rng(0)
    if not says_words(model):
        part = common_voice.load(verbose=False).split("test")
        rows = generator.permutation(len(part))[:count]
        least = int(SHORTEST * model.sample_rate)
        clips = [part[int(row)].waveform[None] for row in rows]
        return [(clip, None) for clip in clips if clip.shape[2] >= least]
    part = speech_commands.load(words=model.labels, verbose=False).split("test")
    waveforms, classes = part.tensors()
    rows = generator.permutation(len(part))[:count]
    names = [model.labels.index(part.words[int(classes[row])]) for row in rows]
    return [(waveforms[row][None], name) for row, name in zip(rows, names, strict=True)]


@dataclass(frozen=True)
class Compared:
    """Two functions on the same clips.

    Attributes
    ----------
    largest : float
        Difference between two probabilities.
    other : float
        Share of clips, or of frames of sentences, with another best answer.
    right : float or None
        Share of clips that the second one names rightly.
    """

    largest: float
    other: float
    right: float | None


def compare(
    one: Callable, path: Path, clips: Sequence[tuple[torch.Tensor, int | None]]
) -> Compared:
    """A model, or a function that gives probabilities, beside an ONNX file."""
    other = opened(path)
    largest, differ, right = 0.0, [], []
    for clip, name in clips:
        first, second = one(clip), other(clip)
        largest = max(largest, (first - second).abs().max().item())
        differ.append((first.argmax(-1) != second.argmax(-1)).float().mean().item())
        right.append(int(second.argmax(-1)[0]) == name if name is not None else None)
    known = [hit for hit in right if hit is not None]
    return Compared(largest, float(np.mean(differ)), float(np.mean(known)) if known else None)


def probabilities(answer: Any) -> torch.Tensor:
    """Of what a trained model says: logits, or log-probabilities and their lengths."""
    if isinstance(answer, tuple):
        return answer[0].exp()
    return answer.softmax(-1)


def loss(model: runs.TrainedModel, exact: Path, small: Path, clips: Sequence) -> str:
    """What 8 bits cost, in words."""
    before = compare(opened(small), exact, clips)  # right: of the second one
    after = compare(opened(exact), small, clips)
    unit = "clips" if says_words(model) else "frames"
    text = f"int8 gives another best answer in {after.other:.1%} of the {unit}"
    if after.right is None:
        return f"{text}."
    return f"{text}: {after.right:.1%} of {len(clips)} are right, {before.right:.1%} before."
