"""Mistakes that students make in the network of stage 3, and right answers that look unusual.

Most mistakes are a right cell with one thing changed. Should a change not take, the cell stays
right, its check accepts it, and the test says so.
"""

from textwrap import dedent, indent

from course_utils.tests.wrong_answers.stage1 import function

#: Exercise to (name of the mistake, source of the whole cell, words of the likely cause): its check
#: rejects each one, with this cause. Mistakes that are functions stand beside the checks.
WRONG_ANSWERS: dict[str, list[tuple[str, str, str]]] = {}

#: Exercise to (name, source of the whole cell): its check accepts each one.
RIGHT_ANSWERS: dict[str, list[tuple[str, str]]] = {}


# ---------------------------------------------------------------- 3.6 - Speed


def speed(body: str) -> str:
    return function("change_speed(waveforms, factors)", body)


SPEED = speed("""
    time = waveforms.shape[2]
    positions = torch.arange(time) * factors[:, None]
    left = positions.long()
    part = positions - left
    padded = F.pad(waveforms[:, 0], (0, 2))
    left = left.clamp(max=time)
    values = padded.gather(1, left) * (1 - part) + padded.gather(1, left + 1) * part
    return (values * (positions <= time - 1)).unsqueeze(1)""")

WRONG_ANSWERS["3.6"] = [
    ("factors along the time", SPEED.replace("factors[:, None]", "factors"), "(batch,) meets"),
    ("float64", SPEED.replace("factors[:, None]", "factors[:, None].double()"), "stay float32"),
    ("in place", SPEED.replace("return ", "waveforms[:] = ") + "    return 1", "work on copies"),
]

RIGHT_ANSWERS["3.6"] = [
    (
        "NumPy, clip by clip",
        speed("""
            time = waveforms.shape[2]
            rows = []
            for x, factor in zip(waveforms[:, 0].numpy(), factors.tolist()):
                rows.append(np.interp(np.arange(time) * factor, np.arange(time), x, right=0.0))
            return torch.tensor(np.array(rows), dtype=torch.float32)[:, None]"""),
    ),
    (
        "positions in double",
        speed("""
            time = waveforms.shape[-1]
            positions = torch.arange(time).double() * factors.double()[:, None, None]
            padded = F.pad(waveforms, (0, 2))
            left = positions.floor().long().clamp(0, time)
            part = (positions - left).clamp(0, 1)
            read = padded.gather(2, left).lerp(padded.gather(2, left + 1), part.float())
            return read.where(positions < time - 1 + 1e-6, 0.0)"""),
    ),
    (
        "grid_sample",
        speed("""
            batch, _, time = waveforms.shape
            positions = torch.arange(time) * factors[:, None]
            x = 2 * positions / (time - 1) - 1
            grid = torch.stack([x, torch.zeros_like(x)], dim=2)[:, None]
            read = F.grid_sample(waveforms[:, :, None], grid, align_corners=True)
            return read[:, :, 0] * (positions <= time - 1)[:, None]"""),
    ),
    (
        "only what can be read",
        speed("""
            result = torch.zeros_like(waveforms)
            for row, factor in enumerate(factors):
                positions = torch.arange(waveforms.shape[2]) * factor
                positions = positions[positions <= waveforms.shape[2] - 1]
                left = positions.long()
                right = torch.minimum(left + 1, torch.tensor(waveforms.shape[2] - 1))
                x = waveforms[row, 0]
                result[row, 0, : len(left)] = x[left] + (positions - left) * (x[right] - x[left])
            return result"""),
    ),
]


# ---------------------------------------------------------------- 3.7 - Noise


def noisy(body: str) -> str:
    return function("add_noise(waveforms, noises, snr)", body)


NOISE = noisy("""
    speech = waveforms.square().mean(dim=2, keepdim=True)
    noise = noises.square().mean(dim=2, keepdim=True)
    factor = (speech / (noise * 10 ** (snr[:, None, None] / 10))).sqrt()
    return waveforms + torch.where(noise > 0, factor, 0.0) * noises""")

WRONG_ANSWERS["3.7"] = [
    ("a safeguard of 1e-4", NOISE.replace("(noise *", "((noise + 1e-4) *"), "is too large"),
    ("ratios along the time", NOISE.replace("snr[:, None, None]", "snr"), "(batch,) meets"),
    ("in place", NOISE.replace("    return", "    noises *= 1.5\n    return"), "work on copies"),
]

RIGHT_ANSWERS["3.7"] = [
    (
        "a loop, with rules for silence",
        noisy("""
            result = []
            for speech, noise, ratio in zip(waveforms, noises, snr.tolist()):
                if not noise.any() or not speech.any():
                    result.append(speech)
                    continue
                level = 10 * math.log10(float((speech**2).mean() / (noise**2).mean()))
                result.append(speech + 10 ** ((level - ratio) / 20) * noise)
            return torch.stack(result)"""),
    ),
    (
        "a small safeguard",
        NOISE.replace("(speech / (noise *", "(speech / (noise.clamp(min=1e-12) *"),
    ),
    (
        "norms",
        noisy("""
            factor = waveforms.norm(dim=2) / noises.norm(dim=2).clamp(min=1e-9)
            factor = factor * 10 ** (-snr[:, None] / 20)
            return torch.addcmul(waveforms, factor[..., None], noises)"""),
    ),
    (
        "torchaudio, and NaN put right",
        noisy("""
            mixed = torchaudio.functional.add_noise(waveforms, noises, snr.unsqueeze(1))
            silent = (noises == 0).all(dim=2, keepdim=True)
            return torch.where(silent, waveforms, mixed)"""),
    ),
]


# ---------------------------------------------------------------- 3.8 - One step of an LSTM


def cell(body: str) -> str:
    return function("lstm_cell(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh)", body)


CELL = cell("""
    rows = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh
    i, f, g, o = rows.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return h, c""")

WRONG_ANSWERS["3.8"] = [
    ("in place", CELL.replace("    c = ", "    c[:] = "), "work on copies"),
    (
        "nn.LSTM",
        cell("""
        layer = nn.LSTM(x.shape[1], h.shape[1], batch_first=True)
        with torch.no_grad():
            for own, given in zip(layer.parameters(), (weight_ih, weight_hh, bias_ih, bias_hh)):
                own.copy_(given)
        _, (h, c) = layer(x[:, None], (h[None], c[None]))
        return h[0], c[0]"""),
        "lstm does it for you",
    ),
    ("one gate detached", CELL.replace("(f) *", "(f).detach() *"), "no .detach()"),
    ("NumPy at the end", CELL.replace("h, c\n", "torch.tensor(h.numpy()), c\n"), "or NumPy"),
]

RIGHT_ANSWERS["3.8"] = [
    (
        "slices and F.linear",
        cell("""
            hidden = h.shape[1]
            gates = F.linear(x, weight_ih, bias_ih) + F.linear(h, weight_hh, bias_hh)
            i = gates[:, :hidden].sigmoid()
            f = gates[:, hidden : 2 * hidden].sigmoid()
            g = gates[:, 2 * hidden : 3 * hidden].tanh()
            o = gates[:, 3 * hidden :].sigmoid()
            new = i * g + f * c
            return [o * new.tanh(), new]"""),
    ),
    (
        "one matrix, formulas for the rest",
        cell("""
            weight = torch.cat([weight_ih, weight_hh, (bias_ih + bias_hh)[:, None]], dim=1)
            known = torch.cat([x, h, torch.ones(len(x), 1)], dim=1)
            rows = torch.einsum("bi,gi->gb", known, weight).reshape(4, -1, len(x))
            i, f, o = (1 / (1 + torch.exp(-rows[k])) for k in (0, 1, 3))
            c = f * c.T + i * rows[2].tanh()
            return (o * (2 / (1 + torch.exp(-2 * c)) - 1)).T, c.T"""),
    ),
]


# ---------------------------------------------------------------- 3.9 - The network

LAYERS = """
self.lstm = nn.LSTM(features, hidden, layers, batch_first=True)
self.output = nn.Linear(hidden, classes)"""
PACKED = """
x = x.transpose(1, 2)
if lengths is None:
    return self.output(self.lstm(x)[0].mean(dim=1))
packed = nn.utils.rnn.pack_padded_sequence(
    x, lengths.cpu(), batch_first=True, enforce_sorted=False
)
states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
return self.output(states.sum(dim=1) / lengths[:, None].to(x))"""
MASKED = """
states, _ = self.lstm(x.transpose(1, 2))
if lengths is None:
    return self.output(states.mean(dim=1))
valid = (torch.arange(states.shape[1]) < lengths[:, None])[..., None]
return self.output((states * valid).sum(dim=1) / lengths[:, None])"""


def network(init: str = LAYERS, forward: str = PACKED) -> str:
    init = "super().__init__()\n" + dedent(init).strip()
    methods = [
        function("__init__(self, classes, features=12, hidden=64, layers=3)", init),
        function("forward(self, x, lengths=None)", forward),
    ]
    return "class SpeechLSTM(nn.Module):\n" + indent("".join(methods), "    ")


WRONG_ANSWERS["3.9"] = [
    ("not transposed", network(forward=PACKED.replace("x = x.tr", "x.tr")), "must be the features"),
    ("lengths without a default", network().replace("lengths=None", "lengths"), "lengths=None"),
    ("needs lengths", network(forward=PACKED.replace("is None", "is False")), "look for None"),
    ("no gradients", network(forward="torch.set_grad_enabled(False)" + MASKED), "whole program"),
    ("eval mode", network(forward="self.eval()" + MASKED), "the caller chose the mode"),
    (
        "goes on where the last batch ended",
        network(
            LAYERS + "\nself.state = {}",
            MASKED.replace("states, _ =", "states, self.state[len(x)] =").replace(
                "(1, 2))", "(1, 2), self.state.get(len(x)))"
            ),
        ),
        "no random or kept states",
    ),
]

RIGHT_ANSWERS["3.9"] = [
    ("a mask in place of packing", network(forward=MASKED)),
    (
        "masked_fill, lengths always",
        network(
            forward="""
            batch, _, frames = x.shape
            if lengths is None:
                lengths = x.new_full((batch,), frames)
            states = self.lstm(x.mT)[0]
            gone = torch.arange(frames, device=x.device).expand(batch, -1) >= lengths[:, None]
            states = states.masked_fill(gone.unsqueeze(2), 0)
            return self.output(torch.einsum("bth,b->bh", states, 1 / lengths))"""
        ),
    ),
    (
        "clip by clip",
        network(
            forward="""
            rows = []
            for row, clip in enumerate(x):
                end = clip.shape[1] if lengths is None else int(lengths[row])
                states, _ = self.lstm(clip[:, :end].T)
                rows.append(self.output(states).mean(dim=0))
            return torch.stack(rows)"""
        ),
    ),
    (
        "frames first",
        network(
            LAYERS.replace(", batch_first=True", ""),
            """
            if lengths is None:
                lengths = torch.full((len(x),), x.shape[2])
            packed = nn.utils.rnn.pack_padded_sequence(
                x.permute(2, 0, 1), lengths.cpu(), enforce_sorted=False
            )
            states, lengths = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0])
            return self.output(states.sum(dim=0) / lengths[:, None])""",
        ),
    ),
]


# ---------------------------------------------------------------- 3.10 - Transfer

LOAD = function(
    "load_matching(model, weights)",
    """
    left = []
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name in weights and weights[name].shape == tensor.shape:
                tensor.copy_(weights[name])
            else:
                left.append(name)
    return left""",
)
FREEZE = function(
    "freeze_all_but(model, prefix)",
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(prefix))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]""",
)


def loading(body: str) -> str:
    return function("load_matching(model, weights)", body) + FREEZE


def freezing(body: str) -> str:
    return LOAD + function("freeze_all_but(model, prefix)", body)


WRONG_ANSWERS["3.10"] = [
    ("strict", loading("model.load_state_dict(weights)\nreturn []"), "first leave out"),
    ("takes weights out", LOAD.replace("s[name])\n", "s.pop(name))\n") + FREEZE, "work on copies"),
    (
        "the state dict does not learn anyway",
        freezing("""
            for name, tensor in model.state_dict().items():
                tensor.requires_grad = tensor.is_floating_point() and name.startswith(prefix)
            return [p for name, p in model.named_parameters() if name.startswith(prefix)]"""),
        "on tensors of state_dict() it has no effect",
    ),
    ("eval mode", LOAD + FREEZE.replace("    for", "    model.eval()\n    for", 1), "the mode"),
]

RIGHT_ANSWERS["3.10"] = [
    (
        "load_state_dict with what matches, freeze all first",
        loading("""
            own = model.state_dict()
            match = {n: w for n, w in weights.items() if n in own and own[n].shape == w.shape}
            return model.load_state_dict(match, strict=False).missing_keys""").replace(
            FREEZE,
            function(
                "freeze_all_but(model, prefix)",
                """
                model.requires_grad_(False)
                learning = {n: p for n, p in model.named_parameters() if n.startswith(prefix)}
                for parameter in learning.values():
                    parameter.requires_grad = True
                return list(learning.values())""",
            ),
        ),
    ),
    (
        "a full dictionary",
        loading("""
            state = dict(model.state_dict())
            left = [n for n in state if n not in weights or weights[n].shape != state[n].shape]
            for name in state:
                if name not in left:
                    state[name] = weights[name].detach().clone()
            model.load_state_dict(state)
            return left"""),
    ),
    (
        "data copied in",
        loading("""
            left = []
            tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
            for name in model.state_dict().keys():
                new = weights.get(name)
                if new is None or new.size() != tensors[name].size():
                    left += [name]
                else:
                    tensors[name].data.copy_(new)
            return left"""),
    ),
]
