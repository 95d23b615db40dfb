"""One HTML file that hears words in a browser, from disk, with no network."""

import base64
import gzip
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from course_utils.programs.base import Refused

#: What is taken of onnxruntime-web: its code in one file, and its program for the processor.
PARTS = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")


def runtime(folder: Path | None) -> list[Path]:
    """The files of onnxruntime-web in its unpacked npm package, or in any folder below.

    Raises
    ------
    Refused
        They are not there.
    """
    wanted = (
        "the npm package onnxruntime-web, unpacked: npm pack onnxruntime-web && tar xzf "
        "onnxruntime-web-*.tgz makes the folder package"
    )
    if folder is None:
        raise Refused(f"--page needs --runtime FOLDER, {wanted}.")
    for place in (folder, folder / "dist", folder / "package" / "dist"):
        files = [place / name for name in PARTS]
        if all(file.is_file() for file in files):
            return files
    raise Refused(f"{folder} does not hold {' and '.join(PARTS)}: give {wanted}.")


def made(model: bytes, labels: Sequence[str], parts: Sequence[Path], threshold: float) -> str:
    """The page.

    Parameters
    ----------
    model : bytes
        An ONNX file: a second of sound at 16 kHz, float32 (1, 1, 16000), to probabilities.
    labels : list of str
        Words, in the order of the probabilities.
    parts : list of Path
        See :func:`runtime`.
    threshold : float
        Least probability of a word.
    """
    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    code, program = (_packed(path.read_bytes()) for path in parts)
    settings = json.dumps({"labels": list(labels), "threshold": threshold}).replace("<", "\\u003c")
    content = {"settings": settings, "model": _packed(model), "code": code, "program": program}
    for name, value in content.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def _packed(content: bytes) -> str:
    """Compressed, the same bytes for the same content, as base64."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")
