"""A place where a stranger's code can do no harm, from what the kernel has: no package, no image.

Each layer is tried, and what holds on this machine is said. A process enters for good.

================  ==============================================================================
layer             what it is for
================  ==============================================================================
namespaces        no network; no other process is seen; all that was started ends with the first
own files         a root folder of its own: Python and the course, read-only; 64 MB to write
landlock          files again, and TCP; signals and traces to processes outside
refused calls     no sockets but within the machine, no traces, no namespaces within (seccomp)
limits            memory, processor, size of files, open files, processes
another user      as root: a user without rights; where that cannot be, no capabilities
================  ==============================================================================
"""

import contextlib
import ctypes
import os
import platform
import site
import struct
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import course_utils
from course_utils.instructor.desk.calls import refuse_calls

NAMESPACES, OWN_FILES, LANDLOCK, LIMITS = "namespaces", "own files", "landlock", "limits"
CALLS = "refused calls"

#: Bytes that an exercise may write in all, where files are its own; else in one file.
SCRATCH = 64 << 20
#: Bytes of memory beyond what Python and torch hold at the start.
MEMORY = 3 << 30
#: Processes and threads of an exercise.
PROCESSES = 64
OPEN_FILES = 256

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = (
    *(1, 2, 4, 8, 32, 4096, 16384, 1 << 18),
)
_DETACH = 2
_PDEATHSIG, _SET_DUMPABLE, _CAPBSET_DROP, _SET_SECUREBITS = 1, 4, 24, 28
_SUBREAPER, _NO_NEW_PRIVS = 36, 38
_NOROOT_LOCKED = 0b11
_SYSCALLS = {
    "x86_64": {"pivot_root": 155, "capset": 126},
    "aarch64": {"pivot_root": 41, "capset": 91},
}
# The same number on every processor.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

ELSEWHERE = (
    "Submissions run in a sandbox of the Linux kernel, and this is {system}. Run the same command "
    "in Linux: in WSL2 on Windows, or in a container without a network, such as\n"
    '  docker run --rm --network none -v "$PWD":/course -w /course YOUR_IMAGE '
    "python -m course_utils.instructor.grade ...\n"
    "With --trust-submissions they run with no protection but limits of time: each of them could "
    "then read and change all that you can."
)
NO_LAYER = (
    "Nothing on this machine can hold a submission: neither landlock (Linux 5.13 or later) nor "
    "namespaces are allowed. Run this on another Linux, or with --trust-submissions if you trust "
    "each of them as you trust your own code."
)


class SandboxError(RuntimeError):
    """There is no sandbox, or it is not what it was at the start; nothing was run in it."""


class NoSandboxError(ValueError):
    """This system has none, or the user that it needs; the message is for the instructor."""


@dataclass(frozen=True)
class Rules:
    """What a process may do once it has entered.

    Attributes
    ----------
    readable : list of str
        Files and folders that can be read, with all that is in them.
    hidden : list of str
        Folders among them that are empty for it.
    user, group : int or None
        Who it is to be, if it starts as root.
    names_user : str
        What that user is called.
    skip : list of str
        Layers that are left out: tests try what holds without them.
    """

    readable: list[str]
    hidden: list[str] = field(default_factory=list)
    user: int | None = None
    group: int | None = None
    names_user: str = ""
    skip: list[str] = field(default_factory=list)


def rules_for(user: str) -> Rules:
    """What submissions may do here; as root they become `user`.

    Raises
    ------
    NoSandboxError
        There is no sandbox on this system, or no such user.
    """
    if sys.platform != "linux":
        raise NoSandboxError(ELSEWHERE.format(system=sys.platform))
    who = {}
    if os.geteuid() == 0:
        import pwd  # not there on Windows

        try:
            found = pwd.getpwnam(user)
        except KeyError:
            raise NoSandboxError(f"--user: there is no user {user} on this machine.") from None
        if found.pw_uid == 0:
            raise NoSandboxError("--user: nothing is run as root; name a user without rights.")
        who = {"user": found.pw_uid, "group": found.pw_gid, "names_user": user}
    return Rules(readable(), hidden(), **who)


def readable() -> list[str]:
    """What Python, its packages and the course need to be read."""
    found = ["/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/etc/localtime"]
    found += [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    found += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += site.getsitepackages() if hasattr(site, "getsitepackages") else []
    # An editable or a vendored package lies in a folder of its own; the course's must not bring
    # the solutions, which lie beside it.
    package = Path(course_utils.__file__).parent
    found += [
        place
        for place in sys.path
        if place and Path(place).exists() and not package.is_relative_to(Path(place).resolve())
    ]
    found.append(str(package))
    return _outermost({*found, *map(os.path.realpath, found)})


def hidden() -> list[str]:
    """What lies among it and holds answers: the tests, and the checks, which are loaded already."""
    package = Path(course_utils.__file__).parent
    return [str(package / name) for name in ("checks", "tests")]


def _outermost(paths: set[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(path for path in paths if os.path.exists(path)):  # noqa: PTH110
        if not any(Path(path).is_relative_to(other) for other in kept):
            kept.append(path)
    return kept


# ---------------------------------------------------------------- entering


def enter(rules: Rules, scratch: Path) -> tuple[list[str], Path]:
    """Leave the machine behind. The calling process goes on as a child of itself.

    Parameters
    ----------
    rules : Rules
    scratch : Path
        An empty folder: what it may write to where it has no files of its own.

    Returns
    -------
    layers : list of str
        Which ones hold now.
    folder : Path
        Where it may write.

    Raises
    ------
    SandboxError
        A layer that began to be set up could not be ended.
    """
    layers = []
    root = os.geteuid() == 0
    with contextlib.suppress(OSError):  # where memory runs short, this goes before all others
        Path("/proc/self/oom_score_adj").write_text("1000")
    if NAMESPACES not in rules.skip and _unshare(root):
        layers.append(NAMESPACES)
        _become_first()
    folder = scratch
    if layers and OWN_FILES not in rules.skip and _own_root(rules, scratch):
        layers.append(OWN_FILES)
        folder = Path("/tmp")
    _set_limits()
    layers.append(LIMITS)
    if root:
        layers.append(_drop(rules, folder, moved=OWN_FILES in layers))
    else:
        _drop_capabilities()
    _limit_processes()
    _libc().prctl(_PDEATHSIG, 9, 0, 0, 0)  # after the change of user, which would undo it
    _libc().prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    if LANDLOCK not in rules.skip:
        abi = _landlock(rules, folder, whole=OWN_FILES in layers)
        if abi:
            layers.append(f"{LANDLOCK} {abi}")
    if CALLS not in rules.skip and refuse_calls():
        layers.append(CALLS)
    return layers, folder


def adopt_orphans() -> None:
    """Be told of what a child has started and left behind, so that it can be ended."""
    _libc().prctl(_SUBREAPER, 1, 0, 0, 0)


def holds_anything(layers: list[str]) -> bool:
    """Whether files or processes outside are out of reach."""
    return OWN_FILES in layers or any(layer.startswith(LANDLOCK) for layer in layers)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _unshare(root: bool) -> bool:
    """Namespaces of its own; as root without one of users, which would give rights back."""
    libc, every = _libc(), _NEWNET | _NEWPID | _NEWIPC | _NEWNS
    if root:
        return libc.unshare(every) == 0
    return _unshare_user(every)


def _unshare_user(more: int = 0) -> bool:
    """A namespace of users, in which this one is who it was."""
    user, group = os.getuid(), os.getgid()
    if _libc().unshare(_NEWUSER | more):
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def _become_first() -> None:
    """Be the first process of the namespace: with it the kernel ends all others."""
    child = os.fork()
    if child:
        _libc().prctl(_PDEATHSIG, 9, 0, 0, 0)
        os.closerange(0, 1024)
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


# ---------------------------------------------------------------- a root folder of its own


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = [text.encode() if text is not None else None for text in (source, target, kind)]
    result = _libc().mount(*encoded, flags, data.encode() or None)
    _checked(result, f"mount {target}")


def _own_root(rules: Rules, scratch: Path) -> bool:
    """Build a root folder out of what is readable, and move into it.

    A folder that only root may enter lies open in it: its ancestors are new ones.
    """
    top = str(scratch)
    try:
        _mount(None, "/", None, _REC | _PRIVATE)
        _mount("course", top, "tmpfs", _NOSUID | _NODEV, f"size={SCRATCH},nr_inodes=8192,mode=755")
    except OSError:
        return False
    for path in rules.readable:
        _bind(path, top)
    for path in rules.hidden:
        if Path(top + path).is_dir():
            _mount("course", top + path, "tmpfs", _RDONLY, "size=4k,mode=755")
    for device in ("null", "zero", "urandom", "random"):
        _bind(f"/dev/{device}", top, read_only=False)
    for folder in ("tmp", "dev/shm", "proc", "etc"):
        Path(top, folder).mkdir(parents=True, exist_ok=True)
    for folder in ("tmp", "dev/shm"):
        Path(top, folder).chmod(0o1777)
    Path(top, "etc/passwd").write_text("student:x:65534:65534::/tmp:/bin/false\n")
    with contextlib.suppress(OSError):  # not allowed in some containers, and not needed
        _mount("proc", f"{top}/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    os.chdir(top)
    pivot_root = _SYSCALLS.get(platform.machine(), {}).get("pivot_root")
    if pivot_root is None or _libc().syscall(pivot_root, b".", b"."):
        raise SandboxError("the root folder cannot be changed (pivot_root)")
    _checked(_libc().umount2(b".", _DETACH), "umount")
    os.chdir("/tmp")
    return True


def _bind(path: str, top: str, read_only: bool = True) -> None:
    """Show a file or folder at its own place under another root."""
    target = Path(top + path)
    if Path(path).is_symlink() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(Path(path).readlink())
        return
    if Path(path).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(path, str(target), None, _BIND | _REC)
    if read_only:
        # In a namespace of users the switches that are on must stay on.
        locked = os.statvfs(target).f_flag & (_NOSUID | _NODEV | _NOEXEC | 1024 | 2048 | 4096)
        flags = _BIND | _REMOUNT | _RDONLY | _NOSUID | locked & (_NODEV | _NOEXEC)
        flags |= 1024 if locked & 1024 else 0  # noatime
        flags |= 2048 if locked & 2048 else 0  # nodiratime
        flags |= 1 << 21 if locked & 4096 else 0  # relatime
        _mount(None, str(target), None, flags)


# ---------------------------------------------------------------- limits, user, capabilities


def _set_limits() -> None:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        held = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for name, most in (
        ("AS", held + MEMORY),
        ("CPU", 60),
        ("FSIZE", SCRATCH),
        ("NOFILE", OPEN_FILES),
        ("CORE", 0),
        ("MEMLOCK", 1 << 20),
        ("MSGQUEUE", 0),
    ):
        _set_limit(name, most)


def _limit_processes() -> None:
    """After the namespace of users: then those of other exercises do not count."""
    _set_limit("NPROC", PROCESSES)


def _set_limit(name: str, most: int) -> None:
    import resource  # not there on Windows

    number = getattr(resource, f"RLIMIT_{name}", None)
    if number is not None:
        _, hard = resource.getrlimit(number)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(number, (most, most))


def _drop(rules: Rules, folder: Path, moved: bool) -> str:
    """As root, become somebody without rights; where files would be out of reach, lose them."""
    if rules.user is not None and (moved or _can_read(rules)):
        if not moved:
            os.chown(folder, rules.user, rules.group)
        _become(rules)
        _libc().prctl(_SET_DUMPABLE, 1, 0, 0, 0)  # else its own entries in /proc are root's
        if NAMESPACES not in rules.skip and _unshare_user():
            _drop_capabilities()
        return f"user {rules.names_user}"
    _drop_capabilities()
    return "root without capabilities; the limit on processes does not bind"


def _become(rules: Rules) -> None:
    os.setgroups([])
    os.setresgid(rules.group, rules.group, rules.group)
    os.setresuid(rules.user, rules.user, rules.user)


def _can_read(rules: Rules) -> bool:
    """Whether the other user gets to Python and to the course: a home of root's lets nobody in."""
    child = os.fork()
    if child == 0:
        _become(rules)
        files = [sys.executable, os.__file__, course_utils.__file__, *rules.readable]
        os._exit(0 if all(os.access(file, os.R_OK) for file in files) else 1)
    return os.waitpid(child, 0)[1] == 0


def _drop_capabilities() -> None:
    """Lose all rights of root's but those of its files' owner."""
    libc = _libc()
    libc.prctl(_SET_SECUREBITS, _NOROOT_LOCKED, 0, 0, 0)
    for capability in range(64):
        libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)
    number = _SYSCALLS.get(platform.machine(), {}).get("capset")
    if number is None:
        raise SandboxError(f"no numbers of system calls for {platform.machine()}")
    version = struct.pack("=II", 0x20080522, 0)
    _checked(libc.syscall(number, version, bytes(24)), "capset")


# ---------------------------------------------------------------- landlock

_FS = (
    "EXECUTE WRITE_FILE READ_FILE READ_DIR REMOVE_DIR REMOVE_FILE MAKE_CHAR MAKE_DIR MAKE_REG "
    "MAKE_SOCK MAKE_FIFO MAKE_BLOCK MAKE_SYM REFER TRUNCATE IOCTL_DEV"
).split()
_BIT = {name: 1 << place for place, name in enumerate(_FS)}
_READ = _BIT["EXECUTE"] | _BIT["READ_FILE"] | _BIT["READ_DIR"]
_OF_FILES = _READ ^ _BIT["READ_DIR"] | _BIT["WRITE_FILE"] | _BIT["TRUNCATE"] | _BIT["IOCTL_DEV"]


def _landlock(rules: Rules, folder: Path, whole: bool) -> int:
    """Restrict this process; 0 if the kernel cannot, else the version of its interface."""
    libc = _libc()
    abi = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        return 0
    rights = sum(_BIT.values())
    rights &= ~_BIT["REFER"] if abi < 2 else rights
    rights &= ~_BIT["TRUNCATE"] if abi < 3 else rights
    rights &= ~_BIT["IOCTL_DEV"] if abi < 5 else rights
    # Files; binding and connecting by TCP; abstract sockets and signals.
    fields = [rights, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0]
    attributes = struct.pack("=QQQ", *fields)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    handle = _checked(libc.syscall(_LANDLOCK_CREATE, attributes, len(attributes), 0), "landlock")
    shown = [entry for path in rules.readable for entry in _without_hidden(path, rules.hidden)]
    places = [(path, _READ if path not in {*rules.hidden} else 0) for path in shown]
    places += [
        (str(parent), _BIT["READ_DIR"]) for path in rules.hidden for parent in [Path(path).parent]
    ]
    places += [("/proc" if whole else "/proc/self", _READ), ("/dev/urandom", _READ)]
    places += [("/dev/null", rights), ("/dev/zero", _READ), (str(folder), rights)]
    if whole:
        places += [("/dev/shm", rights), ("/etc", _READ)]
    for path, allowed in places:
        _allow(handle, path, allowed & rights)
    _checked(libc.syscall(_LANDLOCK_RESTRICT, handle, 0), "landlock")
    os.close(handle)
    return abi


def _without_hidden(path: str, hidden: list[str]) -> list[str]:
    """A folder, or its entries where one of them is not to be read."""
    if not any(Path(other).is_relative_to(path) for other in hidden):
        return [path]
    found = []
    for entry in sorted(Path(path).iterdir()):
        if str(entry) not in hidden:
            found += _without_hidden(str(entry), hidden)
    return found


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH)
    except OSError:  # it is not there: nothing to allow
        return
    try:
        rights = rights if Path(path).is_dir() else rights & _OF_FILES
        rule = struct.pack("=Qi", rights, handle)
        if rights:
            _checked(_libc().syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0), f"landlock {path}")
    finally:
        os.close(handle)
