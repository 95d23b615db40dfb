"""Mistakes that students make in dynamic time warping, and right answers that look unusual."""

from course_utils.tests.wrong_answers.stage1 import Answers, function

# ---------------------------------------------------------------- 3.17 - Dynamic time warping


def warp(body: str) -> str:
    return function("warp(cost)", body)


PADDED = warp("""
    batch, rows, columns = cost.shape
    total = cost.new_full((batch, rows + 1, columns + 1), math.inf)
    total[:, 0, 0] = 0
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            before = torch.stack([total[:, i - 1, j], total[:, i, j - 1], total[:, i - 1, j - 1]])
            total[:, i, j] = cost[:, i - 1, j - 1] + before.amin(dim=0)
    return total[:, -1, -1]""")

WRONG_ANSWERS: Answers = {
    "3.17": [
        ("the border is zero", PADDED.replace("math.inf", "0.0"), "infinite, not 0"),
        ("one cell too far",
            PADDED.replace("total[:, -1, -1]", "total[:, rows, columns + 1]"),
            "an index past the end"),
        ("sets the first cost to zero",
            PADDED.replace("    total = cost.new", "    cost[:, 0, 0] = 0\n    total = cost.new"),
            "work on copies"),
        ("the largest of the three",
            PADDED.replace("before.amin(dim=0)", "before.amax(dim=0)"),
            "sum of a cell = its cost + the smallest"),
    ]
}

RIGHT_ANSWERS: Answers = {
    "3.17": [
        ("padded with infinity", PADDED),
        ("row by row",
            warp("""
                before = torch.cumsum(cost[:, 0], dim=1)
                for row in cost[:, 1:].unbind(dim=1):
                    now = [before[:, 0] + row[:, 0]]
                    for j in range(1, row.shape[1]):
                        ways = torch.stack([now[-1], before[:, j], before[:, j - 1]])
                        now.append(row[:, j] + ways.amin(dim=0))
                    before = torch.stack(now, dim=1)
                return before[:, -1]""")),
        ("a memory of what is known",
            warp("""
                @functools.lru_cache(None)
                def best(i, j):
                    if i < 0 or j < 0:
                        return torch.full_like(cost[:, 0, 0], math.inf)
                    if i == j == 0:
                        return cost[:, 0, 0]
                    ways = [best(i - 1, j), best(i, j - 1), best(i - 1, j - 1)]
                    return cost[:, i, j] + torch.stack(ways).amin(dim=0)

                return best(cost.shape[1] - 1, cost.shape[2] - 1)""").replace(
                "def warp", "import functools\n\ndef warp", 1)),
    ]
}
