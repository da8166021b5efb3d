"""The key of an instance (Ed25519, readable by its owner only), and what it signs.

The instance is named by its public key, so an entry or a root says which instance made it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from functools import cached_property
from pathlib import Path

from druse.model import Invalid


class SigningKey:
    """The private key of one workspace's instance."""

    def __init__(self, secret: bytes, path: Path) -> None:
        self._secret = secret
        self._path = path

    @classmethod
    def from_file(cls, path: Path) -> SigningKey:
        """The key in `path`; made at the first use. Raises Invalid where the file is no key."""
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            secret = _made(path)
        except OSError as error:
            raise Invalid(
                f"Cannot read the key {path}: {error.strerror}. Make it readable.", where=str(path)
            ) from error
        if len(secret) != 32:
            raise Invalid(
                f"Cannot use the key {path}: it has {len(secret)} bytes, not 32. Restore it from a copy; without it "
                "nobody can show that older audit roots are yours.",
                where=str(path),
                problem="not a key",
            )
        return cls(secret, path)

    @cached_property
    def public(self) -> str:
        """The public half, hexadecimal. What verifies takes it from here, never from the file beside the key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._secret).public_key().public_bytes_raw().hex()

    @cached_property
    def instance(self) -> str:
        """The name of the instance. The public half is kept beside the key: that spares most commands an import."""
        beside = self._path.with_suffix(".pub")
        with contextlib.suppress(OSError, ValueError):
            return instance_of(beside.read_text(encoding="ascii").strip())
        with contextlib.suppress(OSError):
            beside.write_text(self.public + "\n", encoding="ascii")
        return instance_of(self.public)

    def sign(self, text: str) -> str:
        """The signature of `text`, hexadecimal."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._secret).sign(text.encode()).hex()

    def mac(self, text: str) -> str:
        """A code over `text` that only this instance can make and check; cheap, and no proof to others."""
        key = hashlib.sha256(b"druse records\0" + self._secret).digest()
        return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def signed_by(public: str, text: str, signature: str) -> bool:
    """Whether `signature` over `text` was made with the private half of `public`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), text.encode("utf-8", "surrogatepass"))
    except (InvalidSignature, ValueError):
        return False
    return True


def instance_of(public: str) -> str:
    """The name of the instance with this public key."""
    return "druse-" + hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def _made(path: Path) -> bytes:
    """A new key in `path`: whole from the moment it is there, and one only if two processes make it at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    waiting = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its key is the one
            os.link(waiting, path)
    finally:
        waiting.unlink()
    return path.read_bytes()
