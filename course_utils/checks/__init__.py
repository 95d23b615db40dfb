"""What the check cells call: one line when an answer is right, and else what is wrong and why.

A check compares an answer with an *independent* oracle: plain Python arithmetic, a closed form,
a table worked by hand. It is silent but for one line. A wrong answer raises an AssertionError
whose first line reads *expected, got, likely cause*.

Each stage has a package of its own: ``from course_utils.checks import stage1 as checks``.

Stuck? `load_reference` runs the reference solution of one exercise in its place, so that you can
go on; `restore_stub` gives you the empty exercise back.
"""
