"""Damage that disks, people and other programs do to files, for tests that make it everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def _link(file: Path) -> None:
    """Put a link to a secret in the place of a file."""
    secret = file.parents[1] / "id_rsa"
    secret.write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    file.unlink()
    file.symlink_to(secret)


def _loop(file: Path) -> None:
    """Put what nobody can read in the place of a file, not even root."""
    file.unlink()
    file.symlink_to(file.name)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _flip_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[len(content) * 2 // 3] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "truncated": lambda file: os.truncate(file, max(0, file.stat().st_size - 9)),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b" x"),
    "flipped bit": _flip_bit,
    "null": lambda file: file.write_bytes(b"null"),
    "a list": lambda file: file.write_bytes(b"[1]"),
    "link": _link,
    "loop": _loop,
    "folder": _folder,
    "FIFO": _fifo,
}
