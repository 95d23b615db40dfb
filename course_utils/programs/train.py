"""Train a notebook's network, on one computer or many."""

import argparse
import contextlib
import io
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import filelock
import torch

from course_utils import files, settings
from course_utils.device import select_device
from course_utils.programs.base import Refused, decimal, example, whole
from course_utils.programs.fit import Fit, Stopped
from course_utils.programs.sentences import Sentences
from course_utils.programs.words import TASKS, Words
from course_utils.runs import checkpoint as checkpoints

#: What each kind of training takes where nothing else is said.
DEFAULTS: dict[str, dict[str, Any]] = {
    "ctc": {
        "notebook": "labsolutions/04_common_voice_ctc.ipynb", "epochs": 18, "batch_size": 8,
        "learning_rate": 0.004, "weight_decay": 0.01,
    },
    "words": {
        "notebook": "labsolutions/03_mfcc_lstm_augmentation.ipynb", "epochs": 16,
        "batch_size": 64, "learning_rate": 0.008, "weight_decay": 0.0,
    },
}  # fmt: skip
#: Options that change how fast a training is, and not what is learnt.
FREE = (
    "kind", "out", "resume", "devices", "nodes", "workers", "save_every", "steps", "command",
    "device", "notebook",
)  # fmt: skip


def options(parser: argparse.ArgumentParser) -> None:
    """Add what `train` takes."""
    example(
        parser, "python -m course_utils train ctc --epochs 2 --limit 100 --out runs/trial",
        "python -m course_utils train words --task 12 --epochs 1 --limit 8 --out runs/words-trial",
    )  # fmt: skip
    kinds = parser.add_subparsers(
        dest="kind", required=True, help="what is learnt", parser_class=type(parser)
    )
    for kind, purpose in {"ctc": "sentences by CTC", "words": "single words"}.items():
        one = kinds.add_parser(kind, help=purpose, description=f"Train on {purpose}.")
        one.formatter_class, one.allow_abbrev = parser.formatter_class, False
        one.usage = f"{one.prog} [options]"  # they are too many for a line
        _shared(one, DEFAULTS[kind])
        (_of_sentences if kind == "ctc" else _of_words)(one)


def _of_sentences(parser: argparse.ArgumentParser) -> None:
    example(
        parser, "python -m course_utils train ctc --epochs 2 --limit 100 --out runs/trial",
        "python -m course_utils train ctc --corpus FOLDER --language fr --mask 6 10 --out runs/fr",
    )  # fmt: skip
    data = parser.add_argument_group("sentences")
    data.add_argument(
        "--corpus",
        default=settings.common_voice_source(),
        help="embedded, mini_librispeech, mdc:DATASET_ID, or a folder of a release",
    )
    data.add_argument("--language", default=settings.language(), help="which one of the corpus")
    for name, value, which in (("min", 0.5, "shortest"), ("max", 10.0, "longest")):
        data.add_argument(
            f"--{name}-seconds", type=decimal(0), default=value, help=f"{which} clip, in seconds"
        )
    data.add_argument(
        "--max-clips", type=whole(1), help="most clips of each part that are decoded; none: all"
    )
    data.add_argument(
        "--mask",
        type=whole(0),
        nargs=2,
        default=[0, 0],
        metavar=("BANDS", "FRAMES"),
        help="SpecAugment: widest stretch that is hidden, in mel bands and frames; 0 0: none",
    )
    data.add_argument(
        "--speeds",
        type=decimal(0.25, 4),
        nargs="+",
        default=[1.0],
        metavar="FACTOR",
        help="each clip is heard at one of these speeds; 2 is twice as fast",
    )


def _of_words(parser: argparse.ArgumentParser) -> None:
    example(
        parser,
        "python -m course_utils train words --task 12 --epochs 1 --limit 8 --out runs/words-trial",
    )  # fmt: skip
    data = parser.add_argument_group("words")
    data.add_argument(
        "--corpus",
        default=settings.speech_commands_source(),
        help="embedded, mini, v0.01, v0.02, or a folder of words",
    )
    told = "; ".join(f"{name}: {what}" for name, what in TASKS.items())
    data.add_argument("--task", choices=TASKS, default="10", help=told)
    data.add_argument(
        "--no-augment",
        dest="augment",
        action="store_false",
        help="the clips as they are, not moved, nor faster, nor in noise",
    )


def _shared(parser: argparse.ArgumentParser, defaults: dict[str, Any]) -> None:
    add = parser.add_argument
    add("--notebook", default=str(settings.CHECKOUT / defaults["notebook"]),
        help="the .ipynb that defines features, network and loss")  # fmt: skip
    add("--out", type=Path, help="folder of checkpoint, logs and state; none: a new one in runs/")
    add("--resume", action="store_true", help="go on from the state in the folder of --out")
    add(
        "--limit", type=whole(1), help="for a trial: clips of each part, or of each word; none: all"
    )
    add("--steps", type=whole(1), help="for a trial: end after so many steps; none: all epochs")

    model = parser.add_argument_group("the network (mel bands are the notebook's own)")
    add = model.add_argument
    add("--model", help="name of the class; none: the one that the notebook trains")
    add("--hidden", type=whole(1), help="numbers of a recurrent state; none: as the class has it")
    add("--cell", type=str.upper, choices=("GRU", "LSTM"),
        help="recurrent cell; none: as the class has it")  # fmt: skip
    add("--dropout", type=decimal(0, 1), help="share of numbers dropped; none: as the class has it")
    add("--set", action="append", default=[], metavar="NAME=VALUE",
        help="another argument of the class, such as layers=4; may be repeated")  # fmt: skip

    learning = parser.add_argument_group("learning")
    add = learning.add_argument
    add("--epochs", type=whole(1), default=defaults["epochs"], help="passes over the clips")
    add("--batch-size", type=whole(1), default=defaults["batch_size"],
        help="clips of a step, of all processes together")  # fmt: skip
    add("--accumulate", type=whole(1), default=1,
        help="pieces that a process hears a step's clips in: less memory")  # fmt: skip
    add("--learning-rate", type=decimal(1e-9), default=defaults["learning_rate"],
        help="its highest value")  # fmt: skip
    add("--schedule", choices=("one-cycle", "steps", "constant"), default="one-cycle",
        help="of the learning rate; steps: halved every 10 epochs")  # fmt: skip
    add("--weight-decay", type=decimal(0), default=defaults["weight_decay"],
        help="of AdamW, a step and unit of learning rate; 0: Adam")  # fmt: skip
    add("--clip", type=decimal(0), default=1.0, help="longest gradient; 0: any length")
    add("--seed", type=whole(0, 2**32 - 1), default=settings.seed(), help="of every random number")
    add("--validate", type=whole(0), default=2_000, metavar="CLIPS",
        help="most clips that are scored after each epoch, of all lengths; 0: all")  # fmt: skip

    machine = parser.add_argument_group("the machine")
    add = machine.add_argument
    add("--device", default=settings.device_name(), help="cpu, cuda, mps; none: the best found")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 0))  # torchrun and `fabric run` set it
    nodes = int(os.environ["WORLD_SIZE"]) // here if here else 1
    add("--devices", type=whole(1), default=here or 1,
        help="processes on each computer: one for each GPU")  # fmt: skip
    add("--nodes", type=whole(1), default=nodes, help="computers")
    add("--precision", choices=("auto", "32-true", "bf16-mixed"), default="auto",
        help="of the arithmetic; auto: bf16-mixed on GPUs that have it")  # fmt: skip
    add("--workers", type=whole(0), default=min(4, max(1, (os.cpu_count() or 2) - 1)),
        help="processes that prepare clips, for each process that trains; 0: none")  # fmt: skip
    add("--save-every", type=decimal(0), default=10.0,
        help="minutes between two states inside an epoch; 0: after each step")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Train; see :func:`options`."""
    device = select_device(options.device)
    if "fork" not in torch.multiprocessing.get_all_start_methods() or sys.platform == "darwin":
        options.workers = 0  # what a notebook defines cannot be sent to a fresh process
    share = -(-options.batch_size // (options.devices * options.nodes))
    if options.accumulate > share:
        raise Refused(
            f"--accumulate {options.accumulate} cuts {share} clips, which a process hears in a "
            "step: give it at most as many pieces."
        )
    task = (Sentences if options.kind == "ctc" else Words)(options, device)
    folder = _folder(options)
    words = [word for word in sys.argv[1:] if word != "--resume"]
    if not options.out:
        words += ["--out", str(folder)]
    options.command = f"python -m course_utils {shlex.join(words)}"
    fabric = _fabric(options, device)
    if os.environ.get("LT_CLI_USED") != "1":  # `fabric run` has started all processes
        fabric.launch()
    task.space["device"] = fabric.device
    first = fabric.is_global_zero
    with contextlib.ExitStack() as held:
        if first:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(files.locked(folder / "state.pt", seconds=0))
            except filelock.Timeout:
                raise Refused(f"Another training writes into {folder} now.") from None
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                raise Refused(
                    f"The folder {folder} cannot be written ({why}): give another one with --out."
                ) from None
        else:  # said once
            held.enter_context(contextlib.redirect_stdout(io.StringIO()))
        task.open()
        fit = Fit(task, options, fabric, folder)
        decide = {name: value for name, value in vars(options).items() if name not in FREE}
        fit.about = checkpoints.described(
            task.make, task.arguments, notebook=Path(options.notebook).name, settings=decide,
            seed=options.seed, device=fabric.device, **task.about(),
        )  # fmt: skip
        task.corpus = None  # its texts are tokens now: memory for millions of clips
        if options.resume:
            fit.resume()
        try:
            fit.run()
        except (Stopped, KeyboardInterrupt) as ended:
            place = f"step {fit.step:,} of {fit.steps_an_epoch:,} in epoch {fit.epoch + 1}"
            kept = (folder / "state.pt").is_file()
            what = "the state is kept" if isinstance(ended, Stopped) else (
                "an earlier state is kept" if kept else "no state is kept yet"
            )  # fmt: skip
            print(f"Stopped after {place}; {what}." + " To go on:" * kept)
            if kept:
                print(f"  {options.command} --resume", flush=True)
            return 130
        program = f"transcribe {folder} FILE" if options.kind == "ctc" else f"test {folder}"
        print(f"{folder / 'summary.txt'} says what was trained. Try it:")
        print(f"  python -m course_utils {program}", flush=True)
    return 0


def _folder(options: argparse.Namespace) -> Path:
    """Where the training goes, or a Refused if it would overwrite another one."""
    if options.out is None:
        if options.resume:
            raise Refused("--resume needs the folder: --out FOLDER")
        runs = settings.runs_folder()
        name = f"{options.kind}-program-"
        taken = [path.name.removeprefix(name) for path in runs.glob(f"{name}*")]
        number = 1 + max((int(each) for each in taken if each.isdecimal()), default=0)
        return runs / f"{name}{number}"
    there = [name for name in ("state.pt", "checkpoint.pt") if (options.out / name).is_file()]
    if options.resume and "state.pt" not in there:
        raise Refused(f"{options.out} holds no state to go on from: leave out --resume.")
    is_child = int(os.environ.get("LOCAL_RANK", 0)) > 0
    if there and not options.resume and not is_child:
        raise Refused(
            f"{options.out} holds a training: add --resume to go on with it, or give another "
            "folder."
        )
    return options.out


def _fabric(options: argparse.Namespace, device: torch.device) -> Any:
    """Lightning's view of the machine."""
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise Refused(
            f'{error.name} is not installed: python -m pip install -e ".[programs]"'
        ) from error
    if options.precision == "auto":
        good = device.type == "cuda" and torch.cuda.is_bf16_supported()
        options.precision = "bf16-mixed" if good else "32-true"
    processes = options.devices * options.nodes
    one = device.type == "cuda" and processes == 1
    return Fabric(
        accelerator=device.type, devices=[device.index or 0] if one else options.devices,
        num_nodes=options.nodes, precision=options.precision,
        strategy="ddp" if processes > 1 else "auto",
    )  # fmt: skip
