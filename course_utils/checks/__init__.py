"""What the check cells call: one line when an answer is right, and else what is wrong and why.

A check compares an answer with an *independent* oracle: plain Python arithmetic, a closed form,
a table worked by hand. It is silent but for one line. A wrong answer raises an AssertionError
that reads *expected, got, likely cause*. A mistake is a function beside its check; the check names
the cause of the mistake that does, in every case, what the answer does (``agree``). What an answer
leaves changed in the program, such as a switched-off gradient, is named first and set back.

For graders: ``core.seeded(n)`` asks with other numbers and sizes than the student saw, and
``core.replays(check)`` hands out wrong answers that a check must reject, each with its cause.

Each stage has a package of its own: ``from course_utils.checks import stage1 as checks``.

Stuck? `load_reference` runs the reference solution of one exercise in its place, so that you can
go on; `restore_stub` gives you the empty exercise back.
"""
