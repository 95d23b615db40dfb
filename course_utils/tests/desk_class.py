"""A made-up class for the tests of the desk's pages: marks, and what a hostile student writes."""

from course_utils.instructor.desk.marks import Mark, Submission, key_of

#: Shows itself in the title of the page if any part of it runs.
SCRIPT = """"><script>document.title = "ran"</script><img src=x onerror='document.title = "ran"'>"""
LONG = """def f(x):
    total = 0
    for value in x:
        if value > 3:
            total += value * value - 2 * value
        else:
            total -= value // 3
    return [total, total + 1]
"""


def submission(student, outcomes=(), **others):
    """A submission with an exercise of two points for each outcome, 9.1, 9.2 and so on."""
    marks = {
        f"9.{i}": outcome
        if isinstance(outcome, Mark)
        else Mark(2 if outcome == "right" else 0, 2, outcome, answer=f"answer = {i}")
        for i, outcome in enumerate(outcomes, 1)
    }
    return Submission(key_of(student, "secret"), "hash", marks=marks, **others)


def a_class(**students):
    """Names and submissions by key, as the desk's engine hands them over."""
    made = {name: submission(name, *given) if isinstance(given, tuple) else given
            for name, given in students.items()}  # fmt: skip
    names = {item.key: name for name, item in made.items()}
    return names, {item.key: item for item in made.values()}


def hostile(student="mallory"):
    """Somebody who writes a script wherever a student can write."""
    mark = Mark(
        0, 2, "wrong", cause=SCRIPT, message=f"expected a, got {SCRIPT}; likely cause: {SCRIPT}",
        notes=[SCRIPT], flags=[SCRIPT], answer=f"</pre>{SCRIPT}", replaced=[SCRIPT],
    )  # fmt: skip
    return submission(
        student, [mark, "tampered"], reason=SCRIPT, texts={f"q{SCRIPT}": f"</pre>{SCRIPT}"},
        predictions={"predict": f"said = {{{SCRIPT!r}: 0.5, 'first': {SCRIPT!r}}}"},
        notes=[SCRIPT], flags=[SCRIPT],
    )  # fmt: skip
