"""Mistakes that students make in stage 2, and right answers that look unusual.

Most mistakes are a right cell with one thing changed. Should a change not take, the cell stays
right, its check accepts it, and the test says so.
"""

from textwrap import dedent, indent

from course_utils.tests.wrong_answers.stage1 import Answers, function

#: Exercise to (name of the mistake, source of the whole cell): its check rejects each one.
WRONG_ANSWERS: Answers = {}

#: The same for answers that are right: its check accepts each one.
RIGHT_ANSWERS: Answers = {}


# ---------------------------------------------------------------- 2.1 - Halve the rate of a batch


def halve(result: str) -> str:
    body = f"weights = low_pass().to(waveforms)[None, None]\n{dedent(result).strip()}"
    return function("halve_rate(waveforms)", body)


HALVE = halve("return F.conv1d(waveforms, weights, stride=2, padding=32)")

WRONG_ANSWERS["2.1"] = [
    ("no filter", halve("return waveforms[:, :, ::2]")),
    ("drops, then filters", halve("return F.conv1d(waveforms[:, :, ::2], weights, padding=32)")),
    ("no padding", HALVE.replace(", padding=32", "")),
    ("pads in front", halve("return F.conv1d(F.pad(waveforms, (64, 0)), weights, stride=2)")),
    ("too loud", HALVE.replace("weights,", "weights / weights.max(),")),
    (
        "the first clip for all",
        HALVE.replace("(waveforms,", "(waveforms[:1],").replace(
            "=32)", "=32).expand_as(waveforms[..., ::2])"
        ),
    ),
    (
        "a layer that could learn",
        halve("""
            layer = nn.Conv1d(1, 1, 65, stride=2, padding=32, bias=False)
            layer.weight.data = weights
            return layer(waveforms)"""),
    ),
]

RIGHT_ANSWERS["2.1"] = [
    ("windows", halve("return F.pad(waveforms, (32, 32)).unfold(2, 65, 2) @ weights[0, 0]")),
    (
        "clip by clip",
        halve("return torch.stack([F.conv1d(x, weights, None, 2, 32) for x in waveforms])"),
    ),
]


# ---------------------------------------------------------------- 2.2 - Pad a batch

PAD = function(
    "pad_batch(clips)",
    """
    lengths = torch.tensor([clip.shape[1] for clip in clips])
    longest = int(lengths.max())
    rows = [F.pad(clip, (0, longest - clip.shape[1])) for clip in clips]
    return torch.stack(rows), lengths""",
)

WRONG_ANSWERS["2.2"] = [
    ("pads to a second", PAD.replace("int(lengths.max())", "8_000")),
    ("pads in front", PAD.replace("(0, longest - clip.shape[1])", "(longest - clip.shape[1], 0)")),
    (
        "lengths after padding",
        PAD.replace("rows), lengths", "rows), lengths.new_full((len(rows),), longest)"),
    ),
    ("float lengths", PAD.replace("torch.tensor", "torch.Tensor")),
    ("glues", PAD.replace("torch.stack", "torch.cat")),
    ("lengths in a list", PAD.replace("rows), lengths", "rows), lengths.tolist()")),
    (
        "longest first",
        PAD.replace(
            "    lengths", "    clips.sort(key=lambda clip: -clip.shape[1])\n    lengths", 1
        ),
    ),
]

RIGHT_ANSWERS["2.2"] = [
    (
        "pad_sequence",
        function(
            "pad_batch(clips)",
            """
            rows = nn.utils.rnn.pad_sequence([clip[0] for clip in clips], batch_first=True)
            return rows.unsqueeze(1), torch.LongTensor([len(clip[0]) for clip in clips])""",
        ),
    ),
    (
        "fills a block of zeros",
        function(
            "pad_batch(clips)",
            """
            lengths = torch.zeros(len(clips), dtype=torch.int64)
            result = torch.zeros(len(clips), 1, max(clip.numel() for clip in clips))
            for row, clip in enumerate(clips):
                lengths[row] = clip.shape[-1]
                result[row, :, : lengths[row]] = clip
            return [result, lengths]""",
        ),
    ),
]


# ---------------------------------------------------------------- 2.3 - One convolution by hand


def by_hand(body: str) -> str:
    return function("convolve(x, weight, bias, stride=1)", body)


CONVOLVE = by_hand("""
    outputs, _, taps = weight.shape
    steps = (x.shape[1] - taps) // stride + 1
    result = torch.zeros(outputs, steps)
    for o in range(outputs):
        for t in range(steps):
            window = x[:, t * stride : t * stride + taps]
            result[o, t] = (weight[o] * window).sum() + bias[o]
    return result""")

WRONG_ANSWERS["2.3"] = [
    ("turns the kernel", CONVOLVE.replace("(weight[o] *", "(weight[o].flip(1) *")),
    ("no bias", CONVOLVE.replace(" + bias[o]", "")),
    ("a bias for each tap", CONVOLVE.replace("window).sum() + bias[o]", "window + bias[o]).sum()")),
    ("stride for the number of steps only", CONVOLVE.replace("t * stride", "t")),
    ("the first channel only", CONVOLVE.replace("weight[o] * window", "weight[o, 0] * window[0]")),
    ("one step short", CONVOLVE.replace(" + 1\n", "\n")),
]

RIGHT_ANSWERS["2.3"] = [
    (
        "windows",
        by_hand("""
            windows = x.unfold(1, weight.shape[2], stride)
            return torch.einsum("ist,oit->os", windows, weight) + bias[:, None]"""),
    ),
    (
        "numbers in lists, four loops",
        by_hand("""
            rows = []
            for o, kernel in enumerate(weight.tolist()):
                rows.append([])
                for start in range(0, x.shape[1] - len(kernel[0]) + 1, stride):
                    total = float(bias[o])
                    for i, taps in enumerate(kernel):
                        for k, tap in enumerate(taps):
                            total += tap * x[i, start + k].item()
                    rows[-1].append(total)
            return torch.tensor(rows, dtype=torch.float64)"""),
    ),
]


# ---------------------------------------------------------------- 2.4 - How long is the output?


def lengths(
    one: str = "return max(0, (samples - taps) // stride + 1)",
    through: str = """
        lengths = [samples]
        for taps, stride in layers:
            lengths.append(output_length(lengths[-1], taps, stride))
        return lengths""",
) -> str:
    return function("output_length(samples, taps, stride)", one) + function(
        "lengths_through(samples, layers)", through
    )


WRONG_ANSWERS["2.4"] = [
    ("rounds up", lengths("return max(0, math.ceil((samples - taps) / stride) + 1)")),
    ("forgets the first place", lengths("return max(0, (samples - taps) // stride)")),
    ("negative lengths", lengths("return (samples - taps) // stride + 1")),
    ("floats", lengths("return max(0, (samples - taps) / stride + 1)")),
    ("taps do not count", lengths("return samples // stride")),
    ("without the input", lengths().replace("return lengths\n", "return lengths[1:]\n")),
    ("each layer on the input", lengths().replace("lengths[-1], taps", "samples, taps")),
    ("the last length only", lengths().replace("return lengths\n", "return lengths[-1]\n")),
]

RIGHT_ANSWERS["2.4"] = [
    (
        "counts the places",
        lengths(
            "return len(range(0, samples - taps + 1, stride))",
            """
            result = (samples,)
            for layer in layers:
                result += (output_length(result[-1], *layer),)
            return result""",
        ),
    ),
    (
        "floor, and a recursion",
        lengths(
            "return 0 if taps > samples else math.floor((samples - taps) / stride) + 1",
            """
            if not layers:
                return [samples]
            return [samples, *lengths_through(output_length(samples, *layers[0]), layers[1:])]""",
        ),
    ),
]


# ---------------------------------------------------------------- 2.5 - Receptive field

FIELD = function(
    "receptive_field(layers)",
    """
    field, step = 1, 1
    for taps, stride in layers:
        field += (taps - 1) * step
        step *= stride
    return field""",
)
OWN_FIRST = "step *= stride\n        field += (taps - 1) * step\n"

WRONG_ANSWERS["2.5"] = [
    ("no strides", FIELD.replace("step *= stride", "pass")),
    (
        "the own stride",
        FIELD.replace("field += (taps - 1) * step\n        step *= stride\n", OWN_FIRST),
    ),
    (
        "sum of the taps",
        FIELD.replace("field, step = 1", "field, step = 0").replace("(taps - 1) * step", "taps"),
    ),
    ("starts at 0", FIELD.replace("field, step = 1", "field, step = 0")),
    ("the last stride only", FIELD.replace("*=", "=")),
]

RIGHT_ANSWERS["2.5"] = [
    (
        "from the end to the start",
        function(
            "receptive_field(layers)",
            """
            field = 1
            for taps, stride in reversed(layers):
                field = (field - 1) * stride + taps
            return field""",
        ),
    ),
    (
        "a recursion",
        function(
            "receptive_field(layers)",
            """
            if not layers:
                return 1
            (taps, stride), *rest = layers
            return taps + stride * (receptive_field(rest) - 1)""",
        ),
    ),
]


# ---------------------------------------------------------------- 2.6 - The network

BLOCKS = """
sizes = ((1, 32, 80, 16), (32, 32, 3, 1), (32, 64, 3, 1), (64, 64, 3, 1))
blocks = []
for i, o, taps, stride in sizes:
    blocks += [nn.Conv1d(i, o, taps, stride), nn.BatchNorm1d(o), nn.ReLU(), nn.MaxPool1d(4)]
self.blocks = nn.Sequential(*blocks)
self.output = nn.Linear(64, classes)"""
MEAN = "return self.output(self.blocks(waveforms).mean(dim=2))"


def network(init: str = BLOCKS, forward: str = MEAN) -> str:
    init = "super().__init__()\n" + dedent(init).strip()
    methods = [
        function("__init__(self, classes)", init),
        function("forward(self, waveforms)", forward),
    ]
    return "class WaveformCNN(nn.Module):\n" + indent("".join(methods), "    ")


WRONG_ANSWERS["2.6"] = [
    ("no batch norm", network(BLOCKS.replace("nn.BatchNorm1d(o), ", ""))),
    (
        "ReLU, then norm",
        network(BLOCKS.replace("nn.BatchNorm1d(o), nn.ReLU()", "nn.ReLU(), nn.BatchNorm1d(o)")),
    ),
    (
        "pool, then norm",
        network(
            BLOCKS.replace(
                "nn.BatchNorm1d(o), nn.ReLU(), nn.MaxPool1d(4)",
                "nn.MaxPool1d(4), nn.BatchNorm1d(o), nn.ReLU()",
            )
        ),
    ),
    ("no ReLU", network(BLOCKS.replace("nn.ReLU(), ", ""))),
    ("pooling of 2", network(BLOCKS.replace("MaxPool1d(4)", "MaxPool1d(2)"))),
    ("average pooling", network(BLOCKS.replace("MaxPool", "AvgPool"))),
    ("no bias", network(BLOCKS.replace("stride)", "stride, bias=False)"))),
    ("the last step", network(forward=MEAN.replace("mean(dim=2)", "select(2, -1)"))),
    ("flattens", network(forward=MEAN.replace("mean(dim=2)", "flatten(1)"))),
    ("log-probabilities", network(forward=MEAN + ".log_softmax(dim=1)")),
    ("a plain list", network(BLOCKS.replace("nn.Sequential(*blocks)", "blocks"))),
]

RIGHT_ANSWERS["2.6"] = [
    (
        "AdaptiveAvgPool1d, the last layer first",
        network(
            "self.last = nn.Linear(64, classes)\n"
            + BLOCKS.rsplit("\n", 1)[0]
            + "\nself.mean = nn.AdaptiveAvgPool1d(1)",
            "return self.last(self.mean(self.blocks(waveforms)).squeeze(2))",
        ),
    ),
    (
        "lists of modules, functions for the rest",
        network(
            """
            channels = [1, 32, 32, 64, 64]
            self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
            for i, (a, b) in enumerate(zip(channels, channels[1:])):
                first = {"kernel_size": 80, "stride": 16}
                self.convolutions.append(nn.Conv1d(a, b, **({"kernel_size": 3} if i else first)))
                self.norms.append(nn.BatchNorm1d(b))
            self.fc = nn.Linear(64, classes)""",
            """
            x = waveforms
            for convolution, norm in zip(self.convolutions, self.norms):
                x = F.max_pool1d(norm(convolution(x)).clamp(min=0), 4)
            return self.fc(F.avg_pool1d(x, x.shape[-1])[..., 0])""",
        ),
    ),
    (
        "the pool before the ReLU, which is the same",
        network(BLOCKS.replace("nn.ReLU(), nn.MaxPool1d(4)", "nn.MaxPool1d(4), nn.ReLU()")),
    ),
]


# ---------------------------------------------------------------- 2.7 - Batch normalisation


def norm(body: str) -> str:
    return function("batch_norm(x, gamma, beta, running_mean, running_var, training)", body)


NORM = norm("""
    if training:
        mean = x.mean(dim=(0, 2))
        var = x.var(dim=(0, 2), unbiased=False)
        running_mean = 0.9 * running_mean + 0.1 * mean
        running_var = 0.9 * running_var + 0.1 * x.var(dim=(0, 2), unbiased=True)
    else:
        mean, var = running_mean, running_var
    normal = (x - mean[:, None]) / (var[:, None] + 1e-5).sqrt()
    return gamma[:, None] * normal + beta[:, None], running_mean, running_var""")

WRONG_ANSWERS["2.7"] = [
    ("normalises with n - 1", NORM.replace("unbiased=False", "unbiased=True")),
    ("keeps the variance with n", NORM.replace("unbiased=True", "unbiased=False")),
    ("normalises with the running averages", NORM.replace("    else:\n        mean", "    mean")),
    ("always the batch's own", NORM.replace("if training:", "if True:")),
    (
        "evaluation updates",
        NORM.replace(
            "    else:\n        mean, var = running_mean, running_var\n",
            "    if not training:\n        mean, var = before\n",
        ).replace("    if training:", "    before = running_mean, running_var\n    if True:"),
    ),
    (
        "epsilon outside the root",
        NORM.replace("(var[:, None] + 1e-5).sqrt()", "(var[:, None].sqrt() + 1e-5)"),
    ),
    (
        "in place",
        NORM.replace("running_mean = 0.9 * running_mean +", "running_mean *= 0.9; running_mean +="),
    ),
    (
        "momentum the wrong way round",
        NORM.replace("0.9 *", "? *").replace("0.1 *", "0.9 *").replace("? *", "0.1 *"),
    ),
]

RIGHT_ANSWERS["2.7"] = [
    (
        "torch's function on copies",
        norm("""
            mean, var = running_mean.clone(), running_var.clone()
            return F.batch_norm(x, mean, var, gamma, beta, training), mean, var"""),
    ),
    (
        "one long row a channel",
        norm("""
            var, mean = running_var, running_mean
            if training:
                rows = x.permute(1, 0, 2).flatten(1)
                n = rows.shape[1]
                mean = rows.sum(1) / n
                var = ((rows - mean.view(-1, 1)) ** 2).sum(1) / n
                running_mean = torch.lerp(running_mean, mean, 0.1)
                running_var = torch.lerp(running_var, var * n / (n - 1), 0.1)
            scale = gamma * torch.rsqrt(var + 1e-5)
            y = x * scale.view(1, -1, 1) + (beta - mean * scale).view(1, -1, 1)
            return y, running_mean, running_var"""),
    ),
]


# ---------------------------------------------------------------- 2.8 - One epoch


def epoch(body: str) -> str:
    return function(
        "run_epoch(model, waveforms, labels, batch_size, optimiser=None, scheduler=None, "
        "augment=None)",
        body,
    )


EPOCH = epoch("""
    training = optimiser is not None
    model.train(training)
    order = torch.randperm(len(labels)) if training else torch.arange(len(labels))
    loss_sum, correct = 0.0, 0
    with torch.set_grad_enabled(training):
        for rows in order.split(batch_size):
            x, y = waveforms[rows], labels[rows]
            if training and augment is not None:
                x = augment(x)
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            if training:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if scheduler is not None:
                    scheduler.step()
            loss_sum += loss.item() * len(y)
            correct += (logits.argmax(dim=1) == y).sum().item()
    return loss_sum / len(labels), correct / len(labels)""")
SCHEDULE = "                if scheduler is not None:\n                    scheduler.step()\n"
BATCHES = "math.ceil(len(labels) / batch_size)"

WRONG_ANSWERS["2.8"] = [
    ("no eval mode", EPOCH.replace("model.train(training)", "model.train()")),
    ("gradients in evaluation", EPOCH.replace("set_grad_enabled(training)", "enable_grad()")),
    (
        "scheduler once an epoch",
        EPOCH.replace(SCHEDULE, "").replace(
            "    return", "    if scheduler is not None:\n        scheduler.step()\n    return"
        ),
    ),
    (
        "scheduler before the optimiser",
        EPOCH.replace(SCHEDULE, "").replace(
            "                optimiser.zero", SCHEDULE + "                optimiser.zero"
        ),
    ),
    ("augments in evaluation", EPOCH.replace("if training and augment", "if augment")),
    ("augment called in vain", EPOCH.replace("x = augment(x)", "augment(x)")),
    ("no shuffle", EPOCH.replace("torch.randperm", "torch.arange")),
    (
        "labels not shuffled",
        EPOCH.replace("in order.split(b", "in order.argsort().split(b").replace(
            "waveforms[rows], labels[rows]", "waveforms[rows], labels[order[rows]]"
        ),
    ),
    (
        "the mean of the batches' means",
        EPOCH.replace(" * len(y)", "").replace("loss_sum / len(labels)", f"loss_sum / {BATCHES}"),
    ),
    (
        "zero_grad once an epoch",
        EPOCH.replace("                optimiser.zero_grad()\n", "").replace(
            "    model.train", "    if training:\n        optimiser.zero_grad()\n    model.train"
        ),
    ),
    (
        "drops the last batch",
        EPOCH.replace(
            "order.split(batch_size)", "order.split(batch_size)[: len(labels) // batch_size]"
        ),
    ),
    ("returns tensors", EPOCH.replace(".item()", "")),
    (
        "never evaluates",
        EPOCH.replace(
            "    model.train", "    if not training:\n        return 0.0, 0.0\n    model.train"
        ),
    ),
]

RIGHT_ANSWERS["2.8"] = [
    (
        "a DataLoader, and gradients emptied afterwards",
        epoch("""
            clips = torch.utils.data.TensorDataset(waveforms, labels)
            loader = torch.utils.data.DataLoader(clips, batch_size, shuffle=bool(optimiser))
            losses, hits = [], []
            if optimiser:
                model.train()
            else:
                model.eval()
            for x, y in loader:
                if optimiser is None:
                    with torch.no_grad():
                        logits = model(x)
                else:
                    logits = model(augment(x) if augment else x)
                    nn.CrossEntropyLoss()(logits, y).backward()
                    optimiser.step()
                    optimiser.zero_grad()
                    if scheduler:
                        scheduler.step()
                losses += F.cross_entropy(logits.detach(), y, reduction="none").tolist()
                hits += (logits.argmax(1) == y).tolist()
            return float(np.mean(losses)), sum(hits) / len(hits)"""),
    ),
    (
        "shuffled copies, slices",
        epoch("""
            model.train(optimiser is not None)
            if optimiser is not None:
                order = torch.randperm(len(waveforms), device=labels.device)
                waveforms, labels = waveforms[order], labels[order]
            losses, right = 0.0, 0
            for start in range(0, len(labels), batch_size):
                x, y = waveforms[start : start + batch_size], labels[start : start + batch_size]
                if optimiser is None:
                    with torch.inference_mode():
                        logits = model(x)
                        loss = F.cross_entropy(logits, y)
                else:
                    if augment:
                        x = augment(x)
                    model.zero_grad()
                    logits = model(x)
                    loss = -logits.log_softmax(1).gather(1, y[:, None]).mean()
                    loss.backward()
                    optimiser.step()
                    scheduler and scheduler.step()
                losses += float(loss.detach()) * len(x)
                right += int((logits.max(1).indices == y).sum())
            return losses / len(labels), right / len(labels)"""),
    ),
]


# ---------------------------------------------------------------- 2.9 - One cycle

CYCLE = function(
    "one_cycle(step, steps, peak)",
    """
    up = 0.3 * steps - 1
    if step <= up:
        start, end, u = peak / 25, peak, step / up
    else:
        start, end, u = peak, peak / 250_000, (step - up) / (steps - 1 - up)
    return start + (end - start) * (1 - math.cos(math.pi * u)) / 2""",
)

WRONG_ANSWERS["2.9"] = [
    ("starts at the peak", CYCLE.replace("peak / 25, peak,", "peak, peak,")),
    ("straight lines", CYCLE.replace("(1 - math.cos(math.pi * u)) / 2", "u")),
    ("the peak a step late", CYCLE.replace("steps - 1\n", "steps\n")),
    ("stays at the peak", CYCLE.replace("peak / 250_000", "peak")),
    ("another end", CYCLE.replace("250_000", "10_000")),
    ("u of the whole", CYCLE.replace("(step - up) / (steps - 1 - up)", "step / (steps - 1)")),
    ("a tensor", CYCLE.replace("math.cos(math.pi * u)", "torch.cos(torch.tensor(math.pi * u))")),
]

RIGHT_ANSWERS["2.9"] = [
    (
        "sine squared, the peak with the second part",
        CYCLE.replace("step <= up", "step < up").replace(
            "(1 - math.cos(math.pi * u)) / 2", "math.sin(math.pi * u / 2) ** 2"
        ),
    ),
    (
        "NumPy, with middle and swing",
        function(
            "one_cycle(step, steps, peak)",
            """
            top = 0.3 * steps - 1
            low = peak / 25 if step <= top else peak / 25 / 1e4
            away = (top - step) / top if step <= top else (step - top) / (steps - 1 - top)
            return (peak + low) / 2 + (peak - low) / 2 * np.cos(np.pi * away)""",
        ),
    ),
]


# ---------------------------------------------------------------- 2.10 - Predict one clip

SILENCE = """
if not waveform.any():
    return None, 0.0, ["silence"]
notes = []"""
CHANNELS = """
if len(waveform) > 1:
    notes.append(f"averaged {len(waveform)} channels")
    waveform = waveform.mean(dim=0, keepdim=True)"""
RESAMPLE = """
if sample_rate != 8_000:
    notes.append(f"resampled from {sample_rate} Hz")
    waveform = audio.resample(waveform, sample_rate, 8_000)"""
LENGTH = """
samples = waveform.shape[1]
if samples < 8_000:
    notes.append(f"padded from {samples} samples")
    waveform = F.pad(waveform, (0, 8_000 - samples))
elif samples > 8_000:
    notes.append(f"kept the loudest second of {samples} samples")
    energy = F.pad(waveform[0].double().square().cumsum(0), (1, 0))
    start = int((energy[8_000:] - energy[:-8_000]).argmax())
    waveform = waveform[:, start : start + 8_000]"""
MODEL = """
model.eval()
with torch.no_grad():
    probabilities = model(waveform[None]).softmax(dim=1)[0]
best = int(probabilities.argmax())
return words[best], float(probabilities[best]), notes"""


def predicting(*parts: str) -> str:
    return function("predict(model, words, waveform, sample_rate)", "".join(parts))


PREDICT = predicting(SILENCE, CHANNELS, RESAMPLE, LENGTH, MODEL)

WRONG_ANSWERS["2.10"] = [
    ("no rule for silence", predicting("notes = []", CHANNELS, RESAMPLE, LENGTH, MODEL)),
    (
        "a threshold for silence",
        PREDICT.replace("not waveform.any()", "waveform.abs().max() < 0.01"),
    ),
    (
        "silence last",
        PREDICT.replace("not waveform.any()", "False").replace(
            "    return words",
            '    if not waveform.any():\n        return None, 0.0, ["silence"]\n    return words',
        ),
    ),
    ("resamples first", predicting(SILENCE, RESAMPLE, CHANNELS, LENGTH, MODEL)),
    ("sums channels", PREDICT.replace("mean(dim=0", "sum(dim=0")),
    ("the first channel", PREDICT.replace("waveform.mean(dim=0, keepdim=True)", "waveform[:1]")),
    (
        "channels in place",
        PREDICT.replace(
            "waveform = waveform.mean(dim=0, keepdim=True)",
            "waveform[:] = waveform.mean(dim=0)\n        waveform = waveform[:1]",
        ),
    ),
    ("no resampling", PREDICT.replace("audio.resample(waveform, sample_rate, 8_000)", "waveform")),
    ("the first second", PREDICT.replace("start : start + 8_000", ":8_000")),
    ("the sum without the square", PREDICT.replace(".square()", "")),
    ("pads in front", PREDICT.replace("(0, 8_000 - samples)", "(8_000 - samples, 0)")),
    ("no eval", PREDICT.replace("model.eval()", "pass")),
    (
        "no batch axis",
        PREDICT.replace("waveform[None]", "waveform").replace("dim=1)[0]", "dim=-1).flatten()"),
    ),
    ("logits", PREDICT.replace(".softmax(dim=1)", "")),
    (
        "makes the clip louder",
        PREDICT.replace(
            "    notes = []", "    notes = []\n    waveform = waveform / waveform.abs().max()"
        ),
    ),
]

RIGHT_ANSWERS["2.10"] = [
    (
        "NumPy for the energy",
        predicting(
            SILENCE.replace("not waveform.any()", "waveform.count_nonzero() == 0"),
            CHANNELS,
            RESAMPLE,
            LENGTH.replace(
                "int((energy[8_000:] - energy[:-8_000]).argmax())",
                "np.convolve(waveform[0].numpy() ** 2, np.ones(8_000), 'valid').argmax().item()",
            ),
            MODEL,
        ),
    ),
    (
        "average pooling for the energy",
        predicting(
            SILENCE.replace("not waveform.any()", "bool((waveform == 0).all())"),
            CHANNELS,
            RESAMPLE,
            LENGTH.replace(
                "int((energy[8_000:] - energy[:-8_000]).argmax())",
                "int(F.avg_pool1d(waveform[None] ** 2, 8_000, 1)[0, 0].argmax())",
            ),
            """
with torch.inference_mode():
    logits = model.train(False)(waveform.reshape(1, 1, -1))
probability, best = logits.softmax(-1).max(-1)
return words[best], probability.item(), notes""",
        ),
    ),
]
