"""Mistakes in whole cells of stage 4, its networks and error rates; right answers, unusual ones.

Most mistakes are a right cell with one thing changed. Should a change not take, the cell stays
right, its check accepts it, and the test says so.
"""


from course_utils.tests.wrong_answers.stage1 import Answers, function

#: Exercise to (name of the mistake, source of the whole cell, likely cause): its check rejects
#: each one, and names the cause. Mistakes that are functions stand beside the checks.
WRONG_ANSWERS: Answers = {}

#: The same for answers that are right: its check accepts each one.
RIGHT_ANSWERS: Answers = {}


# ---------------------------------------------------------------- 4.10 - 65 million parameters


DEEP = """
class DeepSpeech(nn.Module):
    def __init__(self, bands=20, symbols=44, hidden=1024, layers=4, cell=nn.GRU, dropout=0.1):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 32, (41, 11), stride=(2, 2), padding=(20, 5)),
            nn.BatchNorm2d(32),
            nn.Hardtanh(0, 20),
            nn.Dropout2d(dropout),
            nn.Conv2d(32, 32, (21, 11), stride=(2, 1), padding=(10, 5)),
            nn.BatchNorm2d(32),
            nn.Hardtanh(0, 20),
            nn.Dropout2d(dropout),
        )
        inputs = 32 * math.ceil(bands / 2)
        self.rnn = cell(inputs, hidden, layers, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * hidden, symbols)

    def forward(self, x):
        x = self.cnn(x)
        x = x.transpose(1, 2).flatten(2)
        x, _ = self.rnn(x)
        return self.output(x)
"""

WRONG_ANSWERS["4.10"] = [
    ("another name", DEEP.replace("self.rnn", "self.gru"), "self.rnn = nn. ..."),
    (
        "a list of layers",
        DEEP.replace("nn.Sequential(\n", "nn.ModuleList([\n")
        .replace("        )\n        inputs", "        ])\n        inputs")
        .replace("x = self.cnn(x)", "for layer in self.cnn:\n            x = layer(x)"),
        "self.cnn = nn. ...",
    ),
    ("a pair", DEEP.replace("x, _ = self.rnn(x)", "x = self.rnn(x)"), "take the outputs"),
    ("no super", DEEP.replace("        super().__init__()\n", ""), "super().__init__() comes"),
]

RIGHT_ANSWERS["4.10"] = [
    (
        "a loop, and einops by hand",
        """
class DeepSpeech(nn.Module):
    def __init__(self, bands=20, symbols=44, hidden=1024, layers=4, cell=nn.GRU, dropout=0.1):
        super().__init__()
        parts, channels = [], 1
        for kernel, stride in (((41, 11), (2, 2)), ((21, 11), (2, 1))):
            parts += [
                nn.Conv2d(channels, 32, kernel, stride, tuple(k // 2 for k in kernel)),
                nn.BatchNorm2d(num_features=32),
                nn.Hardtanh(min_val=0.0, max_val=20.0),
                nn.Dropout2d(p=dropout),
            ]
            channels = 32
        self.cnn = nn.Sequential(*parts)
        self.rnn = cell(
            input_size=32 * ((bands + 1) // 2), hidden_size=hidden, num_layers=layers,
            batch_first=True, bidirectional=True,
        )
        self.output = nn.Linear(in_features=2 * hidden, out_features=symbols)

    def forward(self, x):
        x = self.cnn(x)
        batch, channels, frames, bands = x.size()
        x = x.permute(0, 2, 1, 3).reshape(batch, frames, channels * bands)
        return self.output(self.rnn(x)[0])
""",
    ),
]


# ---------------------------------------------------------------- 4.11 - A small model


SMALL = """
class SpeechCTC(nn.Module):
    def __init__(self, bands, symbols, channels=96, hidden=128, layers=LAYERS, dropout=0.0):
        super().__init__()
        self.layers = layers
        self.convolutions = nn.ModuleList()
        for number, (kernel, stride) in enumerate(layers):
            inputs = channels if number else bands
            self.convolutions.append(nn.Sequential(
                nn.Conv1d(inputs, channels, kernel, stride, padding=kernel // 2),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
            ))
        self.rnn = nn.GRU(channels, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * hidden, symbols)

    def forward(self, features, lengths):
        x = self.masked(features, lengths)
        for layer, convolution in zip(self.layers, self.convolutions):
            lengths = output_frames(lengths, [layer])
            x = self.masked(convolution(x), lengths)
        packed = nn.utils.rnn.pack_padded_sequence(
            x.transpose(1, 2), lengths, batch_first=True, enforce_sorted=False
        )
        packed, _ = self.rnn(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(
            packed, batch_first=True, total_length=x.shape[2]
        )
        return self.output(self.dropout(states)).log_softmax(dim=2), lengths

    def masked(self, x, lengths):
        behind = torch.arange(x.shape[2]) >= lengths[:, None]
        return x.masked_fill(behind[:, None], 0)
"""

WRONG_ANSWERS["4.11"] = [
    (
        "layers in a plain list",
        SMALL.replace("nn.ModuleList()", "[]"),
        "a plain list hides its layers",
    ),
    ("changes its input", SMALL.replace("x.masked_fill(", "x.masked_fill_("), "work on copies"),
    (
        "changes the lengths",
        SMALL.replace("  lengths = output_frames", "  lengths[:] = output_frames"),
        "work on copies",
    ),
    (
        "eval mode of batch norm",
        SMALL.replace("x = self.masked(f", "self.convolutions.eval()\n        x = self.masked(f"),
        "train() and eval() stay when your function has ended",
    ),
]

RIGHT_ANSWERS["4.11"] = [
    (
        "batch norm of the valid frames only",
        SMALL.replace(
            "x = self.masked(convolution(x), lengths)",
            """x = convolution[0](x)
            valid = torch.arange(x.shape[2]) < lengths[:, None]
            y = torch.zeros_like(x).transpose(1, 2).contiguous()
            y[valid] = convolution[1](x.transpose(1, 2)[valid]).relu()
            x = y.transpose(1, 2)""",
        ),
    ),
    (
        "one more mask before batch norm",
        SMALL.replace(
            "self.masked(convolution(x)",
            "self.masked(convolution[1:](self.masked(convolution[0](x), lengths))",
        ),
    ),
    (
        "Sequential, each clip alone through the GRU",
        """
class SpeechCTC(nn.Module):
    def __init__(self, bands, symbols, channels=96, hidden=128, layers=None, dropout=0.0):
        super().__init__()
        self.layers = list(layers or LAYERS)
        widths = [bands] + [channels] * len(self.layers)
        self.convolutions = nn.ModuleList([
            nn.Conv1d(a, b, k, stride=s, padding=k // 2)
            for a, b, (k, s) in zip(widths, widths[1:], self.layers)
        ])
        self.norms = nn.ModuleList([nn.BatchNorm1d(channels) for _ in self.layers])
        self.rnn = nn.GRU(channels, hidden, bidirectional=True)
        self.output = nn.Linear(2 * hidden, symbols)
        self.share = dropout

    def forward(self, features, lengths):
        x, count = features, lengths
        for number in range(len(self.layers) + 1):
            count = output_frames(lengths, self.layers[:number])
            x = x * (torch.arange(x.shape[-1]) < count.unsqueeze(1)).unsqueeze(1)
            if number < len(self.layers):
                x = F.relu(self.norms[number](self.convolutions[number](x)))
        states = [self.rnn(clip[:, :n].T)[0] for clip, n in zip(x, count.tolist())]
        states = torch.stack([F.pad(s, (0, 0, 0, x.shape[2] - len(s))) for s in states])
        states = F.dropout(states, self.share, training=self.training)
        return F.log_softmax(self.output(states), dim=-1), count
""",
    ),
    (
        "sorts, and undoes it",
        SMALL.replace(
            "        packed = nn",
            "        order = lengths.argsort(descending=True)\n        packed = nn",
        )
        .replace("x.transpose(1, 2), lengths,", "x.transpose(1, 2)[order], lengths[order],")
        .replace(", enforce_sorted=False", "")
        .replace("(self.dropout(states))", "(self.dropout(states[order.argsort()]))"),
    ),
]


# ---------------------------------------------------------------- 4.12 - Edit distance


DISTANCE = function(
    "edit_distance(reference, hypothesis)",
    """
    row = [(j, 0, j, 0) for j in range(len(hypothesis) + 1)]
    for i, said in enumerate(reference, start=1):
        above, row = row, [(i, 0, 0, i)]
        for j, written in enumerate(hypothesis, start=1):
            wrong = int(said != written)
            total, s, n, d = above[j - 1]
            ways = [(total + wrong, s + wrong, n, d)]
            total, s, n, d = row[j - 1]
            ways.append((total + 1, s, n + 1, d))
            total, s, n, d = above[j]
            ways.append((total + 1, s, n, d + 1))
            row.append(min(ways))
    return row[-1][1:]""",
)
RATE = function(
    "error_rate(references, hypotheses, words=False)",
    """
    errors = length = 0
    for reference, hypothesis in zip(references, hypotheses):
        if words:
            reference, hypothesis = reference.split(), hypothesis.split()
        errors += sum(edit_distance(reference, hypothesis))
        length += len(reference)
    return errors / length""",
)


def distance(body: str) -> str:
    return function("edit_distance(reference, hypothesis)", body) + RATE


WRONG_ANSWERS["4.12"] = [
    ("four numbers", DISTANCE.replace("row[-1][1:]", "row[-1]") + RATE, "(substitutions, insert"),
    (
        "ways from above and from the left mixed up inside the table, not at its edges",
        DISTANCE.replace("n + 1, d)", "@")
        .replace("n, d + 1)", "n + 1, d)")
        .replace("@", "n, d + 1)")
        + RATE,
        "the sum is right, its parts are not",
    ),
]

RIGHT_ANSWERS["4.12"] = [
    (
        "a table, and the way back",
        distance("""
            n, m = len(reference), len(hypothesis)
            table = np.zeros((n + 1, m + 1), dtype=int)
            table[:, 0], table[0] = np.arange(n + 1), np.arange(m + 1)
            for i in range(1, n + 1):
                for j in range(1, m + 1):
                    wrong = reference[i - 1] != hypothesis[j - 1]
                    table[i, j] = min(
                        table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + wrong
                    )
            s = a = d = 0
            while n or m:
                if m and table[n, m] == table[n, m - 1] + 1:
                    a, m = a + 1, m - 1
                elif n and table[n, m] == table[n - 1, m] + 1:
                    d, n = d + 1, n - 1
                else:
                    s += int(table[n, m] != table[n - 1, m - 1])
                    n, m = n - 1, m - 1
            return s, a, d"""),
    ),
    (
        "a recursion with a memory, and joined lists",
        function(
            "edit_distance(reference, hypothesis)",
            """
            import functools

            @functools.lru_cache(None)
            def best(i, j):
                if i == 0 or j == 0:
                    return 0, j, i
                s, n, d = best(i - 1, j - 1)
                ways = [(s + (reference[i - 1] != hypothesis[j - 1]), n, d)]
                s, n, d = best(i, j - 1)
                ways.append((s, n + 1, d))
                s, n, d = best(i - 1, j)
                return min(*ways, (s, n, d + 1), key=sum)

            return best(len(reference), len(hypothesis))""",
        )
        + function(
            "error_rate(references, hypotheses, words=False)",
            """
            split = str.split if words else list
            pairs = [(split(r), split(h)) for r, h in zip(references, hypotheses)]
            return sum(sum(edit_distance(*p)) for p in pairs) / sum(len(r) for r, _ in pairs)""",
        ),
    ),
]


# ---------------------------------------------------------------- 4.17 - The loss of a batch

RIGHT_ANSWERS["4.17"] = [
    (
        "clip by clip, only those that fit",
        function(
            "loss_of(model, batch)",
            """
            features, lengths, targets, target_lengths = batch
            log_probs, frames = model(features, lengths)
            kept = feasible(frames, targets, target_lengths).nonzero().flatten().tolist()
            total = 0 * log_probs.sum()
            for i in kept:
                clip, count = log_probs[i, : frames[i]], target_lengths[i : i + 1]
                given = clip[:, None], targets[i : i + 1, :count], frames[i : i + 1], count
                total = total + nn.CTCLoss()(*given) / len(kept)
            return total""",
        ),
    ),
]


# ---------------------------------------------------------------- 4.18 - A step of bounded length

STEP = function(
    "train_step(model, optimiser, batch, loss_of=loss_of, longest=1.0)",
    """
    model.train()
    optimiser.zero_grad()
    loss = loss_of(model, batch)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), longest)
    optimiser.step()
    return loss.item()""",
)

WRONG_ANSWERS["4.18"] = [
    (
        "a loss of its own",
        STEP.replace("loss = loss_of(", "loss = (lambda *_: next(model.parameters()).sum())("),
        "train, loss_of, zero_grad, backward, clip_grad_norm_, step",
    ),
]

RIGHT_ANSWERS["4.18"] = [
    (
        "the length by hand",
        STEP.replace(
            "nn.utils.clip_grad_norm_(model.parameters(), longest)",
            """length = sum(p.grad.square().sum() for p in model.parameters()).sqrt()
    for p in model.parameters():
        p.grad *= longest / length.clamp(min=longest)""",
        ),
    ),
]


# -------------------------------------------------------------- 4.16 - The large one, with lengths

RIGHT_ANSWERS["4.16"] = [
    (
        "block by block, lengths by arithmetic",
        """
class DeepSpeechCTC(DeepSpeech):
    def forward(self, features, lengths):
        def silent(x, n):
            keep = torch.arange(x.size(2), device=x.device) < n.to(x.device).unsqueeze(1)
            return torch.where(keep[:, None, :, None], x, torch.zeros((), device=x.device))

        x = silent(features.transpose(1, 2).unsqueeze(1), lengths)
        for block in (self.cnn[:4], self.cnn[4:]):
            lengths = (lengths + 1) // 2
            x = silent(block(x), lengths)
        x = x.permute(0, 2, 1, 3).flatten(2)
        frames, order = x.shape[1], lengths.argsort(descending=True)
        packed = nn.utils.rnn.pack_padded_sequence(x[order], lengths[order].cpu(), True)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], True, total_length=frames)
        return F.log_softmax(self.output(y[order.argsort()]), dim=-1), lengths
""",
    ),
]


# ---------------------------------------------------------------- 4.20 - A price for large weights

RIGHT_ANSWERS["4.20"] = [
    (
        "all weights in one row",
        function(
            "penalty(model, l1, l2)",
            """
            trained = [p.flatten() for p in model.parameters() if p.requires_grad]
            if not trained:
                return torch.tensor(0.0)
            row = torch.cat(trained)
            return l1 * row.norm(p=1) + l2 * row.dot(row)""",
        ),
    ),
]
