"""Mistakes that students make in stage 2, and right answers that look unusual."""

from textwrap import indent

from course_utils.tests.wrong_answers.stage1 import Answers, function

#: Exercise to (name of the mistake, source of the whole cell, words of the likely cause): its check
#: rejects each one, with this cause. Mistakes that are functions stand beside the checks.
WRONG_ANSWERS: Answers = {}

#: Exercise to (name, source of the whole cell): its check accepts each one.
RIGHT_ANSWERS: Answers = {}


def _right(exercise: str, name: str, *parts: str) -> None:
    """Add a right answer of functions: signature, body, signature, body ..."""
    source = "".join(function(*pair) for pair in zip(parts[::2], parts[1::2], strict=True))
    RIGHT_ANSWERS.setdefault(exercise, []).append((name, source))


WRONG_ANSWERS["2.2"] = [
    (
        "longest first",
        function("pad_batch(clips)", """
            clips.sort(key=lambda clip: -clip.shape[1])
            lengths = torch.tensor([clip.shape[1] for clip in clips])
            return nn.utils.rnn.pad_sequence([c[0] for c in clips], True)[:, None], lengths"""),
        "work on copies",
    ),
]  # fmt: skip

_right("2.1", "windows", "halve_rate(waveforms)", """
    return F.pad(waveforms, (32, 32)).unfold(2, 65, 2) @ low_pass().to(waveforms)""")
_right("2.1", "clip by clip", "halve_rate(waveforms)", """
    weights = low_pass().to(waveforms)[None, None]
    return torch.stack([F.conv1d(x, weights, None, 2, 32) for x in waveforms])""")
_right("2.2", "fills a block of zeros", "pad_batch(clips)", """
    lengths = torch.zeros(len(clips), dtype=torch.int64)
    result = clips[0].new_zeros(len(clips), 1, max(clip.numel() for clip in clips))
    for row, clip in enumerate(clips):
        lengths[row] = clip.shape[-1]
        result[row, :, : lengths[row]] = clip
    return [result, lengths]""")
_right("2.3", "windows, and no stride of its own", "convolve(x, weight, bias, stride)", """
    windows = x.unfold(1, weight.shape[2], stride)
    return torch.einsum("ist,oit->os", windows, weight) + bias[:, None]""")
_right("2.3", "numbers in lists, in double precision", "convolve(x, weight, bias, stride=1)", """
    taps, rows = weight.shape[2], []
    for o, kernel in enumerate(weight.flatten(1).tolist()):
        windows = [x[:, t : t + taps] for t in range(0, x.shape[1] - taps + 1, stride)]
        sums = [sum(a * b for a, b in zip(kernel, w.flatten().tolist())) for w in windows]
        rows.append([total + float(bias[o]) for total in sums])
    return torch.tensor(rows, dtype=torch.float64)""")
_right(
    "2.4", "counts the places, a recursion", "output_length(samples, taps, stride)",
    "return len(range(0, samples - taps + 1, stride))", "lengths_through(samples, layers)", """
    if not layers:
        return (samples,)
    return (samples, *lengths_through(output_length(samples, *layers[0]), layers[1:]))""",
)  # fmt: skip
_right("2.5", "from the end to the start", "receptive_field(layers)", """
    field = 1
    for taps, stride in reversed(layers):
        field = (field - 1) * stride + taps
    return field""")
RIGHT_ANSWERS["2.6"] = [
    (
        "lists of modules, functions for the rest, the last layer first",
        "class WaveformCNN(nn.Module):\n" + indent(function("__init__(self, classes)", """
            super().__init__()
            self.fc = nn.Linear(64, classes)
            channels = [1, 32, 32, 64, 64]
            self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
            for i, (a, b) in enumerate(zip(channels, channels[1:])):
                self.convolutions.append(nn.Conv1d(a, b, *((3, 1) if i else (80, 16))))
                self.norms.append(nn.BatchNorm1d(b))""") + function("forward(self, x)", """
            for convolution, norm in zip(self.convolutions, self.norms):
                x = F.max_pool1d(norm(convolution(x)), 4).clamp(min=0)
            return self.fc(F.avg_pool1d(x, x.shape[-1])[..., 0])"""), "    "),
    ),
]  # fmt: skip
_NORM = "batch_norm(x, gamma, beta, running_mean, running_var, training)"
_right("2.7", "torch's function on copies", _NORM, """
    mean, var = running_mean.clone(), running_var.clone()
    return F.batch_norm(x, mean, var, gamma, beta, training), mean, var""")
_right("2.7", "one long row a channel", _NORM, """
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
    return y, running_mean, running_var""")
_right(
    "2.8", "a DataLoader, and gradients emptied afterwards, too",
    "run_epoch(model, x, y, batch_size, optimiser=None, scheduler=None, augment=None)", """
    clips = torch.utils.data.TensorDataset(x, y)
    losses, hits = [], []
    model.train(bool(optimiser)).zero_grad()
    for x, y in torch.utils.data.DataLoader(clips, batch_size, shuffle=bool(optimiser)):
        with torch.enable_grad() if optimiser else torch.inference_mode():
            logits = model(augment(x) if augment and optimiser else x)
        if optimiser:
            nn.CrossEntropyLoss()(logits, y).backward()
            optimiser.step()
            optimiser.zero_grad()
            scheduler and scheduler.step()
        losses += F.cross_entropy(logits.detach(), y, reduction="none").tolist()
        hits += (logits.argmax(1) == y).tolist()
    return float(np.mean(losses)), sum(hits) / len(hits)""",
)  # fmt: skip
_right("2.9", "NumPy, with middle and swing", "one_cycle(step, steps, peak)", """
    top = 0.3 * steps - 1
    low = peak / 25 if step <= top else peak / 25 / 1e4
    away = (top - step) / top if step <= top else (step - top) / (steps - 1 - top)
    return (peak + low) / 2 + (peak - low) / 2 * np.cos(np.pi * away)""")
_right("2.10", "NumPy for the energy", "predict(model, words, waveform, sample_rate)", """
    if waveform.count_nonzero() == 0:
        return [None, 0.0, ("silence",)]
    notes, x = [], waveform.mean(dim=0, keepdim=True)
    if len(waveform) > 1:
        notes += [f"averaged {len(waveform)} channels"]
    if sample_rate != 8_000:
        notes += [f"resampled from {sample_rate} Hz"]
        x = audio.resample(x, sample_rate, 8_000)
    n = x.shape[1]
    if n < 8_000:
        notes += [f"padded from {n} samples"]
    if n > 8_000:
        notes += [f"kept the loudest second of {n} samples"]
        x = x[:, np.convolve(x[0].numpy() ** 2, np.ones(8_000), "valid").argmax().item() :]
    with torch.inference_mode():
        logits = model.train(False)(F.pad(x, (0, max(0, 8_000 - n)))[:, :8_000].reshape(1, 1, -1))
    probability, best = logits.softmax(-1).max(-1)
    return words[best], probability.item(), notes""")
