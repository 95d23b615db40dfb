"""What a notebook defines, at work outside it: on files, on streams, on several GPUs, for days.

A program takes what it needs by name: from the notebook, which may be a student's own, and from
the checkpoint that a training has left.
"""

import importlib
import sys

#: Each program is a module of its name, with ``options(parser)`` and ``run(options) -> exit code``.
PROGRAMS = {
    "train": "train a notebook's network: sentences by CTC, or words",
    "test": "score a checkpoint on a corpus, with an interval over the speakers",
    "transcribe": "write down what is said in recordings",
    "listen": "tell words as they come, in a file or at the microphone",
    "export": "write a checkpoint as ONNX, or as a page that hears words in a browser",
}


def run(name: str, arguments: list[str]) -> int:
    """Run one of the programs with these arguments.

    Returns
    -------
    int
        The exit code: 0 if all went well; 2, after one line on stderr, where something that was
        given cannot be used; 130 where Ctrl-C ended it.
    """
    from course_utils.programs.base import TOLD, one_line, parser_for  # torch, and all the rest

    parser = parser_for(name, PROGRAMS[name])
    try:
        program = importlib.import_module(f"{__name__}.{name}")
        program.options(parser)
        return program.run(parser.parse_args(arguments))
    except TOLD as error:
        print(f"{parser.prog}: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: stopped.", file=sys.stderr)
        return 130
