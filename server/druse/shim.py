"""`druse serve` as a client starts it: joins the daemon of the workspace and hands it the client's pipes.

Standard library only, and little of it: a client waits for this process at every start, so it may be started as
`python -I -S .../druse/shim.py serve`. It starts the daemon where there is none (one, however many clients come at
once), hands over what the client gave it (folder, environment, input and output) and waits. Should the daemon die, it
tells the client which requests were lost, joins the next one, and carries lines to and fro from then on; so it does
from the beginning where pipes cannot be handed over.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from _socket import AF_UNIX, MSG_DONTWAIT, SCM_RIGHTS, SHUT_WR, SOCK_STREAM, SOL_SOCKET
from _socket import socket as Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_CHUNK = 1 << 18
_FULL = 1 << 22  # bytes held for a side that does not read before the other side is no longer read
_ANSWER = b'{"jsonrpc":"2.0","id":'  # how the daemon begins a line that has an id
_HEAD = 4096  # bytes of a line in which its id stands
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "LOGNAME", "SHELL", "TZ", "LD_LIBRARY_PATH")
_START_SECONDS = 60.0
_CRASHES = 5  # in a row, each within _CRASH_SECONDS of the one before: then this process gives up
_CRASH_SECONDS = 30.0


class CannotJoin(Exception):
    """There is no daemon to join and none can be started here."""


def main() -> int:
    """Carry lines until the client leaves; the exit code."""
    # A client that knows no project leaves its variable as it is: then its own folder counts.
    if sys.argv[2:3] == ["--workspace"] and not "".join(sys.argv[3:4]).startswith("${"):
        try:
            os.chdir(sys.argv[3])
        except (IndexError, OSError) as error:
            print(f"druse: cannot work in the folder given as --workspace: {error}.", file=sys.stderr)
            return 2
    place = Place(os.getcwd())
    try:
        Relay(place).run()
    except CannotJoin as error:
        print(f"druse: {error} Serving from this process instead.", file=sys.stderr, flush=True)
        serve_alone()
    except KeyboardInterrupt:
        return 130
    return 0


def serve_alone() -> NoReturn:
    """Become a server without a daemon."""
    os.execv(sys.executable, [sys.executable, "-I", "-m", "druse", "serve", "--no-daemon"])


class Place:
    """Where the daemon of a folder's workspace is met."""

    def __init__(self, cwd: str) -> None:
        self.cwd = cwd
        self.root = workspace_root(cwd)
        self.state = os.path.join(self.root, ".druse")
        self.run = os.path.join(self.state, "run")

    def prepare(self) -> None:
        """Make the folder of the socket. Raises CannotJoin where it is not this account's alone."""
        try:
            for folder in (self.state, self.run):
                _make(folder)
            found = os.lstat(self.run)
        except OSError as error:
            raise CannotJoin(f"Cannot use {self.run}: {error.strerror}.") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise CannotJoin(f"Cannot use {self.run}: it is not a folder of this account alone (mode 0700).")

    def connect(self) -> Socket | None:
        """A connection to the daemon; None if there is none."""
        connection = Socket(AF_UNIX, SOCK_STREAM)
        # From within its folder: the path of a socket may be about 100 bytes long, that of a folder longer.
        before = os.open(".", os.O_RDONLY)
        try:
            os.chdir(self.run)
            connection.connect("daemon.sock")
        except OSError:
            connection.close()
            return None
        finally:
            os.fchdir(before)
            os.close(before)
        return connection

    def start(self) -> Socket:
        """Start the daemon, unless another client just did; a connection to it. Raises CannotJoin."""
        import fcntl

        lock = os.open(os.path.join(self.run, "start.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection = self.connect()
            if connection is None:
                self._spawn()
                connection = self.connect()
            if connection is None:
                raise CannotJoin(f"The daemon started, but cannot be reached in {self.run}.")
            return connection
        finally:
            os.close(lock)

    def _spawn(self) -> None:
        """Start the daemon apart from this process and wait until it listens."""
        log = os.path.join(self.state, "logs")
        _make(log)
        log = os.path.join(log, "daemon.log")
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                if os.fork():
                    os._exit(0)
                self._become_daemon(log, tell)
            finally:
                os._exit(127)
        os.close(tell)
        os.waitpid(child, 0)
        try:
            able, _, _ = select.select([ready], [], [], _START_SECONDS)
            said = os.read(ready, 4096) if able else b""
        finally:
            os.close(ready)
        if said != b"ready\n":
            raise CannotJoin(f"The daemon of {self.root} did not start; see {log}.")

    def _become_daemon(self, log: str, tell: int) -> NoReturn:
        null = os.open(os.devnull, os.O_RDWR)
        errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(tell, 9)
        for number, descriptor in ((0, null), (1, errors), (2, errors)):
            os.dup2(descriptor, number)
        os.set_inheritable(9, True)
        os.closerange(3, 9)
        os.closerange(10, 256)
        os.chdir(self.root)
        # Of this client's environment the daemon gets what is no secret; the rest goes with each connection.
        kept = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("XDG_")}
        command = [sys.executable, "-I", "-m", "druse.front.daemon", self.root, "9"]
        os.execve(sys.executable, command, kept)


def _make(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return


def workspace_root(cwd: str) -> str:
    """The nearest folder upward with `.druse/`, else the git root, else `cwd`: as `druse.settings.Workspace`."""
    here = os.path.realpath(cwd)
    home = os.path.realpath(os.path.expanduser("~"))
    upward = [here]
    while os.path.dirname(upward[-1]) != upward[-1]:
        upward.append(os.path.dirname(upward[-1]))
    for folder in upward:
        if folder != home and os.path.isdir(os.path.join(folder, ".druse")):
            return folder
    return next((folder for folder in upward if os.path.exists(os.path.join(folder, ".git"))), here)


def own_version() -> str:
    """The version of the package this file is part of, read without importing it."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "__init__.py"), encoding="utf-8") as file:
        return file.read().partition('__version__ = "')[2].partition('"')[0]


def hello(link: str, cwd: str) -> bytes:
    """What a connection begins with: its length in eight hexadecimal digits, then fields between NULs.

    Version, name of the connection, process id, folder, then the environment as `NAME=value`.
    """
    environment = (name + b"=" + value for name, value in os.environb.items())
    head = (own_version(), link, str(os.getpid()), cwd)
    body = b"\0".join((*(os.fsencode(text) for text in head), *environment))
    return b"%08x" % len(body) + body


class Relay:
    """Whole lines between the client's pipes and the daemon's socket."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._link = "c-" + os.urandom(6).hex()  # the same over a crash: the session goes on
        self._daemon: Socket | None = None  # None: it ended, and nothing was asked since
        self._for_daemon = bytearray()
        self._for_client = bytearray()
        self._from_daemon = bytearray()  # the line that is not complete yet, as below
        self._from_client = bytearray()
        self._client_left = False
        self._waiting: dict[str, None] = {}  # ids of requests without an answer, as JSON
        self._unread: list[bytes] = []  # lines of the client whose ids were not looked at yet
        self._answers: list[bytes] = []  # beginnings of the daemon's answers, likewise
        self._answered_once = False
        self._handshake: list[bytes] = []
        self._swallow = ""  # the id of a repeated handshake, whose answer the client has already
        self._crashes: list[float] = []
        self._ledger: tuple[int, ...] = ()  # what the daemon that reads the client's pipes writes into

    def run(self) -> None:
        """Be there until both sides are done. Raises CannotJoin where nothing was carried yet."""
        self._place.prepare()
        ends = [os.fstat(descriptor) for descriptor in (0, 1)]
        pipes = [stat.S_ISFIFO(end.st_mode) or stat.S_ISSOCK(end.st_mode) for end in ends]
        # What comes in on one socket for both directions looks like its end to who only writes there.
        if all(pipes) and not os.path.samestat(*ends):
            self._ledger = _two_files()
        self._join()
        for descriptor in (0, 1):
            if pipes[descriptor]:
                os.set_blocking(descriptor, False)
        if self._ledger and self._daemon is not None and not self._stand_by(self._daemon):
            return
        while not self._finished():
            daemon = self._daemon
            reads: list[Any] = [0] if not self._client_left and len(self._for_daemon) < _FULL else []
            writes: list[Any] = [1] if self._for_client else []
            if daemon is not None:
                reads += [daemon] if len(self._for_client) < _FULL else []
                writes += [daemon] if self._for_daemon else []
            readable, writable, _ = select.select(reads, writes, [])
            if 0 in readable:
                self._hear_client()
            if daemon is not None and daemon in readable:
                self._hear_daemon(daemon)
            if 1 in writable:
                self._tell_client()
            if daemon is not None and daemon in writable and self._daemon is daemon:
                self._tell_daemon()

    def _finished(self) -> bool:
        return self._daemon is None and self._client_left and not self._for_client

    def _join(self) -> None:
        """Get a connection that the daemon has taken. One that ends, or is older than this process, makes way first."""
        for _ in range(10):
            connection = self._place.connect() or self._place.start()
            try:
                self._greet(connection)
                heard, _, _ = select.select([connection], [], [], _START_SECONDS)
                answer = connection.recv(64) if heard else b""
            except OSError:
                answer = b""
            if answer in (b"welcome\n", b"taken\n"):
                self._daemon = connection
                if answer == b"welcome\n":
                    self._ledger = ()
                return
            connection.close()
        raise CannotJoin(f"The daemon of {self._place.root} takes nobody in.")

    # while the daemon reads the client's pipes

    def _greet(self, connection: Socket) -> None:
        greeting = hello(self._link, self._place.cwd)
        sent = 0
        if self._ledger:
            handed = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, *self._ledger))
            try:
                sent = connection.sendmsg([greeting], [(SOL_SOCKET, SCM_RIGHTS, handed)])
            except OSError:
                self._ledger = ()  # not allowed here: lines are carried
        connection.sendall(greeting[sent:])

    def _stand_by(self, daemon: Socket) -> bool:
        """Wait until the daemon is done with the client's pipes; whether they are this process's again."""
        try:
            said = daemon.recv(64)
        except OSError:
            said = b""
        if said == b"bye\n":
            return False
        self._recall()
        self._lost()
        return True

    def _recall(self) -> None:
        """Know what the daemon knew of the client when it died (see `druse.front.ledger`)."""
        for kind, body in _frames(self._ledger):
            if kind == b"i":
                *lines, rest = (bytes(self._from_client) + body).split(b"\n")
                self._from_client[:] = rest
                self._unread += lines
                self._look()
            elif kind == b"h":
                self._handshake.append(body)
            elif kind == b"w":
                self._waiting[body.decode()] = None
            elif kind == b"a":
                self._waiting.pop(body.decode(), None)
            elif kind == b"b":  # a line may have been cut: what comes next begins a new one
                self._for_client[:] = b"\n" if body == b"1" else b""
        self._ledger = ()

    # the client's side

    def _hear_client(self) -> None:
        try:
            chunk = os.read(0, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._client_left = True
            if self._from_client:
                chunk = b"\n"  # the last line may lack its end
        cut = chunk.rfind(b"\n") + 1
        if cut:
            lines = bytes(self._from_client) + chunk[:cut]
            self._from_client.clear()
            if self._daemon is None:
                self._join_again()
            self._for_daemon += lines
            self._unread += lines.splitlines()
            self._tell_daemon()
        self._from_client += chunk[cut:]
        if self._client_left and self._daemon is not None and not self._for_daemon:
            self._hang_up(self._daemon)
        if self._answered_once:
            self._look()

    def _look(self) -> None:
        """Keep the ids that the client waits for, and the handshake.

        Only done when lines are on their way, and not before the first answer: what reads JSON takes long to import.
        """
        import json

        self._answered_once = True
        lines, self._unread = self._unread, []
        for line in lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not isinstance(message, dict) or "method" not in message:
                continue
            method = message["method"]  # pyright: ignore[reportUnknownVariableType]
            if method == "initialize":
                self._handshake = [line]
            elif method == "notifications/initialized":
                self._handshake.append(line)
            if "id" in message:
                self._waiting[json.dumps(message["id"])] = None
        answers, self._answers = self._answers, []
        for line in answers:
            self._waiting.pop(_answered(line), None)

    def _tell_client(self) -> None:
        try:
            while self._for_client:
                del self._for_client[: os.write(1, self._for_client[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError:  # the client reads no more: it is gone
            self._for_client.clear()
            self._client_left = True
            if self._daemon is not None:
                self._hang_up(self._daemon)

    # the daemon's side

    def _hear_daemon(self, daemon: Socket) -> None:
        try:
            chunk = daemon.recv(_CHUNK)
        except OSError:
            chunk = b""
        if not chunk:
            self._lost()
            return
        cut = chunk.rfind(b"\n") + 1
        if cut:
            lines = bytes(self._from_daemon) + chunk[:cut]
            self._from_daemon.clear()
            for line in lines.splitlines(keepends=True):
                if self._swallow and _answered(line) == self._swallow:
                    self._swallow = ""
                    continue
                if line.startswith(_ANSWER):
                    self._answers.append(line[:_HEAD])
                self._for_client += line
            self._tell_client()
        self._from_daemon += chunk[cut:]
        self._look()

    def _tell_daemon(self) -> None:
        if self._daemon is None:
            return
        try:
            while self._for_daemon:
                del self._for_daemon[: self._daemon.send(self._for_daemon[:_CHUNK], MSG_DONTWAIT)]
        except BlockingIOError:
            return
        except OSError:
            return  # its end is told by the reading side
        if self._client_left:
            self._hang_up(self._daemon)

    def _hang_up(self, daemon: Socket) -> None:
        try:
            daemon.shutdown(SHUT_WR)
        except OSError:
            return  # gone already

    def _lost(self) -> None:
        """The daemon is gone: whoever waits hears of it."""
        import json

        if self._daemon is not None:
            self._daemon.close()
            self._daemon = None
        self._look()
        self._for_daemon.clear()
        self._from_daemon.clear()
        what = "The client closed its input" if self._client_left else "Druse's daemon ended"
        text = (
            f"{what} while this was under way. What had been done by then is in the audit chain "
            '("druse audit show"); look there before repeating a call that writes. The next request starts it again.'
        )
        for number in self._waiting:
            told = {"jsonrpc": "2.0", "id": json.loads(number), "error": {"code": -32000, "message": text}}
            self._for_client += json.dumps(told).encode() + b"\n"
        if not self._client_left:
            print("druse: the daemon ended; the next request starts it again.", file=sys.stderr, flush=True)
        self._waiting.clear()
        self._tell_client()

    def _join_again(self) -> None:
        """Join the next daemon and repeat the handshake, so that the client need not know."""
        import json

        now = time.monotonic()
        self._crashes = [at for at in self._crashes if now - at < _CRASH_SECONDS] + [now]
        if len(self._crashes) > _CRASHES:
            log = os.path.join(self._place.state, "logs", "daemon.log")
            sys.exit(f"druse: the daemon ended {_CRASHES} times within {_CRASH_SECONDS:.0f} s; see {log}.")
        try:
            self._join()
        except CannotJoin as error:
            sys.exit(f"druse: {error}")
        if self._handshake:
            self._swallow = json.dumps(json.loads(self._handshake[0]).get("id"))
            self._for_daemon += b"".join(line + b"\n" for line in self._handshake)


def _two_files() -> tuple[int, ...]:
    """Two files in memory; none where the system has no such thing."""
    try:
        return os.memfd_create("druse"), os.memfd_create("druse")
    except (AttributeError, OSError):
        return ()


def _frames(files: tuple[int, ...]) -> list[tuple[bytes, bytes]]:
    """What stands in the newer file of a ledger: letters and bytes."""
    numbered: list[tuple[int, int]] = []
    for file in files:
        try:
            numbered.append((int(os.pread(file, 8, 0), 16), file))
        except ValueError:
            continue  # not in use yet
    found: list[tuple[bytes, bytes]] = []
    if numbered:
        file = max(numbered)[1]
        text = os.pread(file, os.fstat(file).st_size, 8)
        at = 0
        while at + 9 <= len(text):
            end = at + 9 + int(text[at + 1 : at + 9], 16)
            found.append((text[at : at + 1], text[at + 9 : end]))
            at = end
    return found


def _answered(line: bytes) -> str:
    """The id that a line of the daemon answers, as JSON; empty where it is no answer."""
    import json

    if not line.startswith(_ANSWER):
        return ""
    head = line[len(_ANSWER) : _HEAD].decode("utf-8", "replace")
    try:
        number, end = json.JSONDecoder().raw_decode(head)
    except ValueError:
        return ""
    return "" if head.startswith(',"method"', end) else json.dumps(number)  # else it asks something of the client


if __name__ == "__main__":
    sys.exit(main())
