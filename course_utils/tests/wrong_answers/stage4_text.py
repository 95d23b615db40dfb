"""Mistakes that students make in texts and batches of stage 4, and right answers that look unusual.

Most mistakes are functions beside the checks; these change what is not theirs.
"""

from course_utils.tests.wrong_answers.stage1 import function

#: Exercise to (name of the mistake, source of the whole cell, words of the likely cause): its check
#: rejects each one, with this cause.
WRONG_ANSWERS: dict[str, list[tuple[str, str, str]]] = {}

#: Exercise to (name, source of the whole cell): its check accepts each one.
RIGHT_ANSWERS: dict[str, list[tuple[str, str]]] = {}


# ---------------------------------------------------------------- 4.1 - Text to tokens


NORMALISE = function(
    "normalise(text, table)",
    """
    text = unicodedata.normalize("NFC", text).lower()
    text = "".join(table.get(character, character) for character in text)
    return " ".join(text.split())""",
)
CHARMAP = """
class CharMap:
    def __init__(self, symbols):
        self.all = ["", *symbols]

    def __len__(self):
        return len(self.all)

    def encode(self, text):
        unknown = sorted(set(text) - set(self.all))
        if unknown:
            raise ValueError(f"unknown: {unknown}")
        return [self.all.index(character) for character in text]

    def decode(self, tokens):
        if 0 in tokens:
            raise ValueError("blank in tokens: collapse first")
        return "".join(self.all[token] for token in tokens)
"""

WRONG_ANSWERS["4.1"] = [
    ("takes spaces out of the table",
        NORMALISE.replace("    text", "    table.pop(' ', table.pop('-', ''))\n    text", 1)
        + CHARMAP,
        "work on copies"),
    ("unknown letters are printed",
        NORMALISE
        + CHARMAP.replace("raise ValueError(f", "print(f").replace(
            "in text]", "in text if character in self.all]"),
        "unknown characters are never dropped"),
]

RIGHT_ANSWERS["4.1"] = [
    ("str.translate, and lists",
        function("normalise(text, table)",
            r"""
            import re

            text = unicodedata.normalize("NFC", text).lower().translate(str.maketrans(table))
            return re.sub(r"\s+", " ", text).strip()""",
        )
        + CHARMAP),
    ("a loop, and a message with the text",
        function("normalise(text, table)",
            """
            result = ""
            for character in unicodedata.normalize("NFC", text).lower():
                for new in table[character] if character in table else character:
                    if not new.isspace():
                        result += new
                    elif result and result[-1] != " ":
                        result += " "
            return result.rstrip()""",
        )
        + CHARMAP.replace(
            'f"unknown: {unknown}"', "f'{text!r} has {len(unknown)} unknown: {\" \".join(unknown)}'"
        )),
    ("dictionaries both ways",
        NORMALISE
        + """
class CharMap(dict):
    def __init__(self, symbols):
        super().__init__({1 + n: s for n, s in enumerate(symbols)})
        self[0] = None

    def encode(self, text):
        back = {symbol: number for number, symbol in self.items()}
        unknown = {character for character in text if character not in back}
        if len(unknown) > 0:
            raise ValueError(*sorted(unknown))
        return tuple(back[character] for character in text)

    def decode(self, tokens):
        if not all(tokens):
            raise UnicodeError("a blank")
        return "".join(map(self.get, tokens))
""",
    ),
]


# ---------------------------------------------------------------- 4.2 - Mean and spread


def stats(body: str) -> str:
    return function("statistics(features)", body)


RIGHT_ANSWERS["4.2"] = [
    ("all at once, with NumPy",
        stats("""
            frames = np.concatenate([clip.numpy() for clip in features], axis=1).astype(float)
            mean, std = frames.mean(axis=1), frames.std(axis=1)
            return torch.tensor(mean)[:, None].float(), torch.tensor(std)[:, None].float()"""),
    ),
    ("Welford's update, clip by clip",
        stats("""
            count = 0
            for clip in features:
                n = clip.shape[1]
                own = clip.double().mean(dim=1)
                spread = (clip.double() - own[:, None]).square().sum(dim=1)
                if count == 0:
                    mean, m2, count = own, spread, n
                    continue
                delta = own - mean
                m2 = m2 + spread + delta**2 * count * n / (count + n)
                mean = mean + delta * n / (count + n)
                count += n
            return mean[:, None].to(torch.float32), (m2 / count)[:, None].sqrt().float()"""),
    ),
    ("moments in one tensor",
        stats("""
            moments = 0
            for clip in features:
                x = clip.to(torch.float64)
                moments = moments + torch.stack([torch.ones_like(x), x, x * x]).sum(dim=2)
            n, mean, square = moments / moments[0]
            std = (square - mean * mean).clamp_min(0) ** 0.5
            return [mean.float().unsqueeze(1), std.float().unsqueeze(1)]"""),
    ),
]


# ---------------------------------------------------------------- 4.3 - SpecAugment


def augmenting(body: str) -> str:
    return function("spec_augment(features, lengths, bands, frames, generator)", body)


SPEC = augmenting("""
    def draw(most):
        return torch.randint(most + 1, (1,), generator=generator).item()

    clips = []
    for clip, n in zip(features, lengths.tolist()):
        keep = torch.ones_like(clip)
        width = draw(min(frames, n // 2))
        at = draw(n - width)
        keep[:, at : at + width] = 0
        width = draw(bands)
        at = draw(len(clip) - width)
        keep[at : at + width, :n] = 0
        clips.append(clip * keep)
    return torch.stack(clips)""")
NUMPY = SPEC.replace(
    "torch.randint(most + 1, (1,), generator=generator).item()", "np.random.randint(most + 1)"
)

WRONG_ANSWERS["4.3"] = [
    ("NumPy's random numbers", NUMPY, "every random number comes from the generator"),
    ("changes its input", SPEC.replace("(clip * keep)", "(clip.mul_(keep))"), "work on copies"),
    ("takes the upper end of randint for included",
        SPEC.replace("torch.randint(most + 1,", "torch.randint(0, most,"),
        "the upper end of torch.randint is excluded: randint(width + 1)"),
]

RIGHT_ANSWERS["4.3"] = [
    ("frames first, widths from what fits", SPEC),
    ("the whole batch at once",
        augmenting("""
            batch, count, time = features.shape

            def draw(most):  # (batch,): 0 to most, both included
                share = torch.rand(batch, generator=generator, dtype=torch.float64)
                return (share * (most + 1)).long()

            def stretch(most, sizes, time):
                width = draw(most)
                start, place = draw(sizes - width), torch.arange(time)
                return (place >= start[:, None]) & (place < (start + width)[:, None])

            rows = stretch(bands, torch.full((batch,), count), count)
            columns = stretch(torch.minimum(lengths // 2, torch.tensor(frames)), lengths, time)
            inside = torch.arange(time) < lengths[:, None]
            masks = (rows[:, :, None] | columns[:, None]) & inside[:, None]
            return torch.where(masks, 0.0, features)"""),
    ),
]


# ---------------------------------------------------------------- 4.4 - Sort and pad


def collating(body: str) -> str:
    return function("collate(items)", body)


PADDED = collating("""
    order = sorted(range(len(items)), key=lambda i: -items[i][0].shape[1])
    clips = [items[i][0].T for i in order]
    rows = [torch.tensor(items[i][1], dtype=torch.long) for i in order]
    pad = nn.utils.rnn.pad_sequence
    return (
        pad(clips, batch_first=True).transpose(1, 2),
        torch.as_tensor([len(clip) for clip in clips]),
        pad(rows, batch_first=True),
        torch.as_tensor([len(row) for row in rows]),
    )""")

WRONG_ANSWERS["4.4"] = [
    ("sorts the list it was given",
        PADDED.replace("order = sorted(range(len(items)), key=lambda i: -items[i][0]", "order = []")
        .replace("order = [].shape[1])", "items.sort(key=lambda item: -item[0].shape[1])")
        .replace(" in order]", " in range(len(items))]"),
        "work on copies"),
]

RIGHT_ANSWERS["4.4"] = [
    ("pad_sequence", PADDED),
    ("F.pad, and a stable argsort",
        collating("""
            lengths = torch.tensor([f.size(-1) for f, _ in items])
            order = torch.argsort(lengths, descending=True, stable=True)
            lengths = lengths[order]
            most = max(len(t) for _, t in items)
            features = torch.stack([
                F.pad(items[i][0], (0, int(lengths[0]) - items[i][0].shape[1])) for i in order
            ])
            tokens = [items[i][1] for i in order]
            targets = torch.LongTensor([t + [0] * (most - len(t)) for t in tokens])
            return [features, lengths, targets, torch.LongTensor(list(map(len, tokens)))]"""),
    ),
]
