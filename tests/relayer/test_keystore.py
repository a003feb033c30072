"""Keys on disk and in memory."""

import os
import pickle
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.model.errors import FatalError, NotFoundError, RejectedError
from relayer.keys.keystore import DerivedPreimages, SecretKey, new_key, read_keystore, read_passphrase, write_keystore


def test_keys_come_back_with_the_passphrase_only(tmp_path: Path) -> None:
    path, key = tmp_path / "keys" / "relayer.json", new_key()
    write_keystore(path, "correct horse", {"quote": key, "evm": bytes(32)})
    assert path.stat().st_mode & 0o077 == 0
    assert key not in path.read_bytes()
    assert key.hex().encode() not in path.read_bytes()
    keys = read_keystore(path, "correct horse")
    assert keys.names() == ("evm", "quote")
    assert keys.key("quote").expose() == key
    with pytest.raises(NotFoundError, match="no key called"):
        keys.key("other")
    with pytest.raises(FatalError, match="does not open"):
        read_keystore(path, "wrong horse")


def test_damaged_or_missing_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "relayer.json"
    with pytest.raises(FatalError, match="cannot be read"):
        read_keystore(path, "correct horse")
    write_keystore(path, "correct horse", {"quote": new_key()})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FatalError, match="damaged"):
        read_keystore(path, "correct horse")
    with pytest.raises(RejectedError, match="at least"):
        write_keystore(path, "short", {})


def test_nothing_shows_a_key() -> None:
    key = SecretKey(new_key())
    assert key.expose().hex() not in repr(key) + str(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    assert key == SecretKey(key.expose())


def test_the_passphrase_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "passphrase"
    file.write_text("from a file\nsecond line\n")
    assert read_passphrase(file) == "from a file"
    monkeypatch.setenv("CAUSEWAY_PASSPHRASE", "from the environment")
    assert read_passphrase() == "from the environment"
    monkeypatch.delenv("CAUSEWAY_PASSPHRASE")
    with pytest.raises(FatalError, match="no passphrase"):
        read_passphrase()


def test_preimages_are_derived_and_found_again() -> None:
    vault, again = (DerivedPreimages(SecretKey(bytes(32))) for _ in range(2))
    first, second = vault.derive(b"quote 1"), vault.derive(b"quote 2")
    assert first != second
    with pytest.raises(NotFoundError):
        again.preimage(first)
    assert again.derive(b"quote 1") == first
    assert again.preimage(first) == vault.preimage(first)
    assert vault.preimage(first).hashlock() == first


def rewritten(path: Path, **changes: Any) -> None:
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), **changes}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory_bytes": 2**40}, "at most 1073741824"),
        ({"memory_bytes": 0}, "at most 1073741824"),
        ({"memory_bytes": -1}, "at most 1073741824"),
        ({"operations": 2**32 - 1}, "at most 4294967296 bytes of work"),
        ({"operations": 65}, "at most 4294967296 bytes of work"),
        ({"operations": 0}, "passes"),
        ({"operations": 10**30}, "passes"),
        ({"memory_bytes": 1}, "damaged"),
        ({"memory_bytes": "much"}, "damaged"),
        ({"salt": "AAAA"}, "damaged"),
        ({"box": ""}, "does not open|damaged"),
        ({"version": 2}, "unknown format"),
        ({"kdf": "scrypt"}, "unknown format"),
        ({"extra": 1}, "damaged"),
    ],
)
def test_keystore_of_absurd_cost_is_refused_before_work(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = tmp_path / "relayer.json"
    write_keystore(path, "correct horse", {"quote": new_key()})
    rewritten(path, **changes)
    begun = time.monotonic()
    with pytest.raises(FatalError, match=said):
        read_keystore(path, "correct horse")
    assert time.monotonic() - begun < 2.0


def test_keystore_with_keys_of_other_lengths_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "relayer.json"
    monkeypatch.setattr("relayer.keys.keystore.KEY_BYTES", 16)
    write_keystore(path, "correct horse", {"quote": bytes(16)})
    monkeypatch.undo()
    with pytest.raises(FatalError, match="damaged"):
        read_keystore(path, "correct horse")


def test_file_that_is_not_a_keystore_is_not_read_on(tmp_path: Path) -> None:
    pipe, large, directory = tmp_path / "pipe", tmp_path / "large", tmp_path / "directory"
    os.mkfifo(pipe)
    directory.mkdir()
    with large.open("wb") as file:
        file.truncate(1 << 40)
    for path, said in (
        (pipe, "not a file"),
        (Path("/dev/zero"), "not a file"),
        (directory, "not a file"),
        (large, "more than 1048576 bytes"),
        (tmp_path / "a\0b", "not a path"),
    ):
        with pytest.raises(FatalError, match=said):
            read_keystore(path, "correct horse")
        with pytest.raises(FatalError):
            read_passphrase(path)


def test_passphrase_ends_at_the_end_of_its_line_only(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes("one\u2028two\x85three\r\nmore".encode())
    assert read_passphrase(file) == "one\u2028two\x85three"
