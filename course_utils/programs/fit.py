"""Training in one process or many, for as long as it takes: stopped anywhere, it goes on exactly.

Every random number depends on the seed, the epoch, the step and the clip alone. So the state of a
training is weights, optimiser and a place, and a training that goes on from it reaches the weights
of one that was never stopped.
"""

import argparse
import contextlib
import csv
import math
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from course_utils import files
from course_utils.programs import synced
from course_utils.programs.base import Refused
from course_utils.programs.shares import Share, loader, seed_of, shares
from course_utils.programs.tasks import Task, built
from course_utils.runs import checkpoint as checkpoints

if TYPE_CHECKING:  # an extra: whoever trains has it
    from lightning_fabric import Fabric

STEP_COLUMNS = ("step", "epoch", "loss", "learning_rate", "gradient_norm", "waiting", "seconds")
SAMPLES = 2  # decoded after each epoch


class Stopped(Exception):
    """Ctrl-C; the state is kept."""


class Fit:
    """One training.

    Parameters
    ----------
    task : Task
        Opened.
    options : Namespace
        See ``train --help``.
    fabric : Fabric
        Launched.
    folder : Path
        For checkpoints and logs.
    """

    def __init__(self, task: Task, options: argparse.Namespace, fabric: "Fabric", folder: Path):
        self.task, self.options, self.fabric, self.folder = task, options, fabric, folder
        self.steps_an_epoch = len(task.batches(0, options.batch_size))
        torch.manual_seed(options.seed)
        network = built(task.make, task.arguments, options)
        if fabric.world_size > 1:
            network = synced.together(network)
        self.bare = network
        kind = torch.optim.AdamW if options.weight_decay else torch.optim.Adam
        optimiser = kind(
            network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )  # fmt: skip
        self.schedule = _schedule(optimiser, options, self.steps_an_epoch)
        self.network, self.optimiser = fabric.setup(network, optimiser)
        self.epoch, self.step = 0, 0  # the next step: its epoch, and its place in that
        self.loss_sum, self.seconds = 0.0, 0.0
        self.history: dict[str, list[float]] = {}
        self.decodings: list[str] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_score = -math.inf
        self.stop = False
        self.about: dict[str, Any] = {}

    def resume(self) -> None:
        """Go on from the state in the folder."""
        state = checkpoints.read(self.folder / "state.pt")
        if state is None:
            raise Refused(f"{self.folder} holds no state to go on from: leave out --resume.")
        settings = self.about["settings"]
        known = state["settings"]
        if other := [name for name, value in settings.items() if known.get(name) != value]:
            told = ", ".join(f"{name} {known.get(name)} (now {settings[name]})" for name in other)
            raise Refused(
                f"{self.folder} was trained with other options: {told}. Give the same, or another "
                "folder with --out."
            )
        if state["fingerprint"] != self.about["fingerprint"] or state["code"] != self.about["code"]:
            raise Refused(
                f"The clips or the notebook's code are not those of {self.folder}: give another "
                "folder with --out, to train anew."
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        for name in ("epoch", "step", "loss_sum", "seconds", "history", "decodings", "best"):
            setattr(self, name, state[name])
        self.best_score = state["best_score"]
        place = f"step {self.step:,} of {self.steps_an_epoch:,}, epoch {self.epoch + 1}"
        print(f"Going on at {place} of {self.options.epochs}.")

    def save(self) -> None:
        """Keep the state; a kill leaves the one before, or this one."""
        if not self.fabric.is_global_zero:
            return
        names = ("epoch", "step", "loss_sum", "seconds", "history", "decodings", "best")
        state = {name: getattr(self, name) for name in names} | {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best_score": self.best_score,
            **{name: self.about[name] for name in ("settings", "fingerprint", "code")},
        }
        with files.replace_with(self.folder / "state.pt") as temporary:
            torch.save(checkpoints.plain(state, "state"), temporary)
        self.saved = time.monotonic()

    def run(self) -> None:
        """Train to the end.

        Raises
        ------
        Stopped
            Ctrl-C was pressed; the state is kept.
        Refused
            The loss is no number any more.
        """
        with _ctrl_c(self), _logs(self) as log:
            self.saved = time.monotonic()
            if not self.epoch and not self.step:
                self.decode(log)
            while self.epoch < self.options.epochs and not self.tried:
                began = time.perf_counter()
                try:
                    waited = self._epoch(log)
                finally:
                    self.seconds += time.perf_counter() - began
                self._end_epoch(log, waited)

    @property
    def tried(self) -> bool:
        """Whether a trial has had its steps."""
        done = self.epoch * self.steps_an_epoch + self.step
        return bool(self.options.steps) and done >= self.options.steps

    def _epoch(self, log: "Log") -> float:
        """The steps of this epoch that are still to be done; the share of time without data."""
        options, fabric = self.options, self.fabric
        batches = self.task.batches(self.epoch, options.batch_size)
        plan = [
            shares(batch, fabric.global_rank, fabric.world_size, options.accumulate)
            for batch in batches[self.step :]
        ]
        keys = [[(self.epoch, row) for row in share.rows] for parts in plan for share in parts]
        pin = fabric.device.type == "cuda"
        data = loader(self.task.train, keys, self.task.collate, options.workers, pin)
        waited, began = 0.0, time.perf_counter()
        with _bar(self, len(batches), fabric.is_global_zero) as bar:
            for parts in plan:
                rate = self.schedule.get_last_lr()[0]
                before = time.perf_counter()
                loss, norm, waiting = self._step(parts, data)
                waited += waiting
                share = waited / (time.perf_counter() - began)
                self.loss_sum += loss
                done = self.epoch * self.steps_an_epoch + self.step
                took = time.perf_counter() - before
                log.step(done, self.epoch + 1, loss, rate, norm, waiting, took)
                bar.set_postfix_str(f"loss {loss:.3f}, waiting {share:.0%}", refresh=False)
                bar.update()
                if self.stop:
                    self.save()
                    raise Stopped
                if done == options.steps:
                    break
                if time.monotonic() - self.saved >= 60 * options.save_every:
                    self.save()
        return waited / (time.perf_counter() - began)

    def _step(self, parts: Sequence[Share], data: Iterator) -> tuple[float, float, float]:
        """One step of the optimiser: mean loss of the whole batch, norm, seconds without data."""
        fabric, options = self.fabric, self.options
        self.network.train()
        torch.manual_seed(seed_of(options.seed, self.epoch, self.step, fabric.global_rank))
        waiting, loss = 0.0, torch.zeros((), device=fabric.device)
        for number, share in enumerate(parts, start=1):
            began = time.perf_counter()
            batch = next(data)
            waiting += time.perf_counter() - began
            batch = self.task.ready(fabric.to_device(batch), self._longest)
            with fabric.no_backward_sync(self.network, enabled=number < len(parts)):
                piece = share.weight * self.task.loss(self.network, batch)
                fabric.backward(piece)
            loss += piece.detach()
        norm = fabric.clip_gradients(
            self.network, self.optimiser, max_norm=options.clip or math.inf,
            error_if_nonfinite=False,
        )  # fmt: skip
        numbers = torch.stack([loss, loss.new_tensor(float(self.stop)), norm.to(loss)])
        loss, stop, norm = fabric.all_reduce(numbers, reduce_op="mean").tolist()
        for name, number in (("loss", loss), ("norm of the gradient", norm)):
            if not math.isfinite(number):  # no weight has changed yet
                raise Refused(
                    f"The {name} is {number} in step {self.step + 1} of epoch {self.epoch + 1}: a "
                    "lower --learning-rate or a smaller --clip may help. The last state is kept."
                )
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()
        self.step += 1
        self.stop = stop > 0  # all processes end after the same step
        return loss, norm, waiting

    def _longest(self, length: int) -> int:
        """The largest of a number over all processes."""
        if self.fabric.world_size == 1:
            return length
        given = torch.tensor([length], device=self.fabric.device)
        return int(self.fabric.all_reduce(given, reduce_op="max"))

    def _end_epoch(self, log: "Log", waited: float) -> None:
        began = time.perf_counter()
        measures, tried = {"train_loss": self.loss_sum / self.step}, self.tried
        measures |= self.validate()
        score = measures[self.task.score]
        score = score if self.task.score.endswith("accuracy") else -score
        for name, value in {**measures, "waiting": waited}.items():
            self.history.setdefault(name, []).append(value)
        if score >= self.best_score:
            self.best_score, self.best = score, self._weights()
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        self.decode(log)
        self.seconds += time.perf_counter() - began
        if self.fabric.is_global_zero:
            log.epoch(self.epoch, measures | {"waiting": waited})
            self.keep()
        if not tried:  # not a whole epoch: nothing to go on from
            self.save()

    def validate(self) -> dict[str, float]:
        """Measures on the validation part, shared out among the processes."""
        fabric, task = self.fabric, self.task
        rows = sorted(range(len(task.validation)), key=task.validation.lengths.__getitem__)
        mine = rows[:: -(-len(rows) // self.options.validate)] if self.options.validate else rows
        size = self.options.batch_size
        batches = [mine[start : start + size] for start in range(0, len(mine), size)]
        total = torch.zeros(task.counts, dtype=torch.float64)
        for batch in self._heard(batches[fabric.global_rank :: fabric.world_size]):
            total += task.sums(self.bare, batch)
        if fabric.world_size > 1:
            total = fabric.all_reduce(total.to(fabric.device), reduce_op="sum").cpu()
        return task.measures(total)

    def _heard(self, batches: Sequence[Sequence[int]]) -> Iterator[Sequence[torch.Tensor]]:
        """Batches of the validation part, on the device, with the network in eval mode."""
        keys = [[(0, row) for row in batch] for batch in batches]
        self.network.eval()
        data = loader(self.task.validation, keys, self.task.collate, self.options.workers, False)
        # Not through what keeps processes in step: they may have different numbers of batches.
        with torch.no_grad(), self.fabric.autocast():
            for batch in data:
                yield self.task.ready(self.fabric.to_device(batch), lambda length: length)

    def decode(self, log: "Log") -> None:
        """Write down some clips of both parts, to look at; only the first process does."""
        if not self.fabric.is_global_zero:
            return
        self.network.eval()
        found = []
        for name, data in (("training", self.task.train), ("validation", self.task.validation)):
            some = [data[self.epoch, row] for row in range(min(SAMPLES, len(data)))]
            batch = self.task.ready(
                self.fabric.to_device(self.task.collate(some)), lambda length: length
            )
            with torch.no_grad(), self.fabric.autocast():
                found += [f"{name}\n{text}" for text in self.task.decoded(self.bare, batch)]
        self.decodings = found
        log.text("decodings", "\n\n".join(found), self.epoch)

    def _weights(self) -> dict[str, torch.Tensor]:
        state = self.network.state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}

    def keep(self) -> None:
        """Write the checkpoint that the other programs and the notebooks read, and its summary."""
        checkpoint = self.about | {
            "best": self.best, "last": self._weights(), "history": self.history,
            "extras": {"decodings": self.decodings}, "seconds": self.seconds,
            "epochs": self.epoch, "keep": "best",
        }  # fmt: skip
        text = checkpoints.summary(checkpoint, self.bare, str(self.folder))
        text += f"\nCommand\n  {self.options.command}\n"
        text += "\nDecoded\n" + "\n\n".join(self.decodings) + "\n"
        with files.replace_with(self.folder / "checkpoint.pt") as temporary:
            torch.save(checkpoint, temporary)
        with files.replace_with(self.folder / "summary.txt") as temporary:
            temporary.write_text(text, encoding="utf-8")


def _schedule(
    optimiser: torch.optim.Optimizer, options: argparse.Namespace, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate over time; `steps` is those of an epoch."""
    kinds = torch.optim.lr_scheduler
    if options.schedule == "one-cycle":
        planned = min(options.epochs * steps, options.steps or math.inf)
        return kinds.OneCycleLR(optimiser, options.learning_rate, max(2, planned))
    if options.schedule == "steps":
        return kinds.StepLR(optimiser, 10 * steps, 0.5)
    return kinds.ConstantLR(optimiser, 1.0)


def _bar(fit: Fit, total: int, show: bool) -> tqdm:
    """Progress of an epoch with the time that is left; in a file a line every half minute."""
    return tqdm(
        total=total, initial=fit.step, desc=f"epoch {fit.epoch + 1} of {fit.options.epochs}",
        unit=" steps", disable=not show, mininterval=0.5 if sys.stderr.isatty() else 30,
    )  # fmt: skip


@contextlib.contextmanager
def _ctrl_c(fit: Fit) -> Iterator[None]:
    """The first Ctrl-C, or a request to end, ends after this step; a second one at once."""

    def pressed(number: int, frame: Any) -> None:
        if fit.stop:
            raise KeyboardInterrupt
        fit.stop = True

    asked = (signal.SIGINT, signal.SIGTERM)  # the second: kill, Slurm's limit, docker stop
    before = [signal.signal(number, pressed) for number in asked]
    try:
        yield
    finally:
        for number, handler in zip(asked, before, strict=True):
            signal.signal(number, handler)


class Log:
    """Measures for TensorBoard and in CSV: `steps.csv` and `scalars.csv`.

    Parameters
    ----------
    folder : Path
    done : int
        Steps before: what a killed training wrote after its last state is taken out.
    epoch : int
        Epochs before.
    """

    def __init__(self, folder: Path, done: int, epoch: int):
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        self.writer = SummaryWriter(str(folder), purge_step=done + 1 if done else None)
        path, rows = folder / "steps.csv", []
        if done and path.is_file():
            lines = csv.reader(path.read_text("utf-8").splitlines()[1:])
            rows = [row for row in lines if len(row) == len(STEP_COLUMNS) and int(row[0]) <= done]
        path.write_text("", encoding="utf-8")
        self.file = path.open("a", encoding="utf-8", newline="", buffering=1)
        self.rows = csv.writer(self.file, lineterminator="\n")
        self.rows.writerows([STEP_COLUMNS, *rows])

    def step(self, step: int, epoch: int, *values: float) -> None:
        """A row of `STEP_COLUMNS`."""
        self.rows.writerow([step, epoch, *values])
        for name, value in zip(STEP_COLUMNS[2:], values, strict=True):
            self.writer.add_scalar(f"step/{name}", value, step)

    def epoch(self, epoch: int, measures: dict[str, float]) -> None:
        """A row of `scalars.csv`."""
        path = self.folder / "scalars.csv"
        kept = path.read_text("utf-8").splitlines()[1:epoch] if path.is_file() else []
        lines = [",".join(["epoch", *measures]), *kept]
        lines.append(",".join(map(str, [epoch, *measures.values()])))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        for name, value in measures.items():
            self.writer.add_scalar(f"epoch/{name}", value, epoch)
        told = ", ".join(
            f"{name.replace('_', ' ')} {value:.4f}" for name, value in measures.items()
        )
        print(f"epoch {epoch}: {told}", flush=True)

    def text(self, name: str, text: str, epoch: int) -> None:
        """Words, by epoch."""
        self.writer.add_text(name, text.replace("\n", "  \n"), epoch)

    def close(self) -> None:
        """Write all that is left."""
        self.writer.close()
        self.file.close()


class _Nothing:
    """Where other processes log: nowhere."""

    def __getattr__(self, name: str) -> Any:
        return lambda *given: None


@contextlib.contextmanager
def _logs(fit: Fit) -> Iterator[Any]:
    if not fit.fabric.is_global_zero:
        yield _Nothing()
        return
    log = Log(fit.folder, fit.epoch * fit.steps_an_epoch + fit.step, fit.epoch)
    try:
        log.text("summary", str(fit.about["settings"]), 0)
        yield log
    finally:
        log.close()
