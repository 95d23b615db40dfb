"""The large network of stage 4 with lengths: it trains, and 65 million parameters fit a laptop."""

import json
import os
import subprocess
import sys

import pytest
import torch

from course_utils import exercises
from course_utils.settings import CHECKOUT

NOTEBOOK = CHECKOUT / "labsolutions" / "04_common_voice_ctc.ipynb"
MILLION = {"bands": 40, "symbols": 29, "hidden": 128, "layers": 2, "dropout": 0.0}

ONE_STEP = """
import json, resource, sys
from course_utils.tests.test_large_network import batch_of, solutions
import torch
torch.manual_seed(0)
names = solutions()
model = names["DeepSpeechCTC"](bands=20).eval()
batch = batch_of(20, [130, 90])
with torch.no_grad():
    together, counts = model(*batch[:2])
    alone, _ = model(batch[0][1:, :, :90], batch[1][1:])
padding = float((together[1:, : counts[1]] - alone).abs().max())
optimiser = torch.optim.SGD(model.parameters(), 0.1)
losses = [names["train_step"](model, optimiser, batch) for _ in range(2)]
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
megabytes = used / (2**20 if sys.platform == "darwin" else 2**10)
count = sum(p.numel() for p in model.parameters())
print(json.dumps({"count": count, "padding": padding, "losses": losses, "MB": megabytes}))
"""


def solutions():
    return exercises.definitions(NOTEBOOK, ["DeepSpeechCTC", "train_step", "greedy"])


def batch_of(bands, frames):
    """Clips of noise with these numbers of frames, and a text for each."""
    random = torch.Generator().manual_seed(len(frames))
    features = torch.randn(len(frames), bands, max(frames), generator=random)
    targets = torch.randint(1, 29, (len(frames), 4), generator=random)
    return features, torch.tensor(frames), targets, torch.tensor([4, 3] * (len(frames) // 2))


@pytest.mark.skipif(sys.platform == "win32", reason="resource is not there on Windows")
def test_65_million_parameters_take_one_step_on_a_cpu_and_do_not_hear_padding():
    variables = os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", ONE_STEP], capture_output=True, text=True, env=variables, check=True
    )
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["count"] == 65_271_116
    assert found["padding"] < 1e-5
    assert found["losses"][1] < found["losses"][0]
    assert found["MB"] < 2_500  # weights and gradients are 520 of them


def test_a_million_parameters_learn_sixteen_clips_by_heart():
    names = solutions()
    torch.manual_seed(1)
    model = names["DeepSpeechCTC"](**MILLION)
    assert 0.9e6 < sum(p.numel() for p in model.parameters()) < 1.3e6
    batch = batch_of(40, [64, 60, 57, 52] * 4)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
    wanted = [row[:count].tolist() for row, count in zip(*batch[2:], strict=True)]
    for step in range(150):
        loss = names["train_step"](model, optimiser, batch)
        if step % 10 == 0 and loss < 0.1:
            with torch.no_grad():
                if names["greedy"](*model.eval()(*batch[:2])) == wanted:
                    return
    raise AssertionError(f"not by heart after {step + 1} steps, loss {loss:.2f}")
