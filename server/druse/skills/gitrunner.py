"""The git program, run with a scrubbed environment and without anything that a repository could make it execute."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from druse.model import DruseError, Invalid, visible
from druse.settings import child_environment

TIMEOUT_SECONDS = 60.0

# Hooks, monitors and odd transports run programs; line ends and links are kept as the bytes that were committed.
_FIXED = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.autocrlf=false"),
    *("-c", "core.symlinks=false", "-c", "protocol.ext.allow=never", "-c", "gc.autoDetach=false"),
    *("-c", "transfer.fsckObjects=true", "-c", "core.quotePath=false", "-c", "advice.detachedHead=false"),
    *("-c", "log.showSignature=false", "-c", "submodule.recurse=false", "-c", "core.attributesFile=/dev/null"),
)
REACHING_OUT = {"GIT_ALLOW_PROTOCOL": "file:https:ssh"}  # for the commands that are about a remote, and no other
_PASSED_ON = ("GNUPGHOME", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "GPG_TTY")  # signing and remotes are the user's own


class GitFailed(DruseError):
    """git ended with an error; its own words are in the message."""

    kind = "git_failed"

    def __init__(self, message: str, *, said: str = "") -> None:
        super().__init__(message)
        self.said = said or message  # git's own words


def git_program() -> str:
    """The path of git. Raises Invalid where there is none."""
    found = shutil.which("git")
    if found is None:
        raise Invalid(
            "Cannot open a volume: git is not installed. Volumes are git repositories; install git and try again.",
            where="git",
            problem="missing",
        )
    return found


class Git:
    """git in one repository."""

    def __init__(self, root: Path, *, trusted: Callable[[], None] | None = None) -> None:
        """`trusted` is asked before every command whether the repository may be used, and raises if not."""
        self.root = root
        self._program = git_program()
        self._trusted = trusted

    def run(
        self,
        *arguments: str,
        data: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        accept: Sequence[int] = (0,),
    ) -> bytes:
        """Standard output of one command. Raises GitFailed for an exit code that is not accepted."""
        return self.result(*arguments, data=data, environment=environment, accept=accept)[1]

    def result(
        self,
        *arguments: str,
        data: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        accept: Sequence[int] = (0,),
    ) -> tuple[int, bytes]:
        """Exit code and standard output."""
        if self._trusted is not None:
            self._trusted()
        named = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        named.update({"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "false", "LC_ALL": "C"})
        # A missing object could be fetched from where the repository says, by a program that it names.
        named.update({"GIT_ALLOW_PROTOCOL": "none", "GIT_ATTR_NOSYSTEM": "1"}, **(environment or {}))
        try:
            done = subprocess.run(
                [self._program, *_FIXED, *arguments],
                cwd=self.root,
                input=data if data is not None else b"",
                capture_output=True,
                env=child_environment(os.environ, named),
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise GitFailed(
                f"Cannot run git {arguments[0]} in {self.root}: it did not end in {TIMEOUT_SECONDS:.0f} s. Try it "
                "there by hand to see what it waits for."
            ) from error
        except OSError as error:
            raise GitFailed(f"Cannot run git {arguments[0]} in {self.root}: {error}.") from error
        if done.returncode not in accept:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise GitFailed(
                f"git {arguments[0]} failed in {self.root} (exit code {done.returncode}): {visible(said[-1500:])}. "
                "Nothing of this change was kept; correct that and try again.",
                said=visible(said),
            )
        return done.returncode, done.stdout

    def text(
        self,
        *arguments: str,
        accept: Sequence[int] = (0,),
        data: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Standard output as text, without the last line end."""
        done = self.run(*arguments, accept=accept, data=data, environment=environment)
        return done.decode("utf-8", "replace").rstrip("\n")
