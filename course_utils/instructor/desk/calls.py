"""System calls that no answer needs, refused by the kernel itself (seccomp)."""

import ctypes
import platform
import struct

_SET_SECCOMP, _FILTER = 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NEWUSER, _AF_UNIX = 0x10000000, 1
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16

#: Traces, mounts, namespaces, keys, and doors into the kernel; then clone, clone3 and socket.
_TABLES = {
    "x86_64": (
        0xC000003E,
        "101 165 166 155 161 272 308 248 249 250 246 320 175 313 176 298 303 304 310 311 321 323 "
        "425 426 427 428 429 430 431 432 433 442 438",
        (56, 435, 41),
    ),
    "aarch64": (
        0xC00000B7,
        "117 40 39 41 51 97 268 217 218 219 104 294 105 273 106 241 264 265 270 271 280 282 "
        "425 426 427 428 429 430 431 432 433 442 438",
        (220, 435, 198),
    ),
}


def refuse_calls() -> bool:
    """Refuse them from now on, also to what is started; needs ``no_new_privs``.

    Sockets of other kinds than those within the machine are among them, and user namespaces, which
    would give rights back.

    Returns
    -------
    bool
        Whether the kernel does it.
    """
    if platform.machine() not in _TABLES:
        return False
    program = _program(*_TABLES[platform.machine()])
    code = ctypes.create_string_buffer(program)
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.prctl(_SET_SECCOMP, _FILTER, header, 0, 0) == 0


def _program(architecture: int, numbers: str, special: tuple[int, int, int]) -> bytes:
    """The filter, as the kernel reads it: a jump is so many steps over what follows."""
    clone, clone3, socket = special
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ERRNO | _EPERM),  # a call of another kind of program
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, 0x40000000),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
    ]
    for number in map(int, numbers.split()):
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    steps += [
        (_EQUAL, 0, 1, clone3),
        (_RETURN, 0, 0, _ERRNO | _ENOSYS),  # then the library takes clone, which can be looked into
        (_EQUAL, 0, 4, clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _NEWUSER),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 3, socket),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
