"""Database URLs: each word of them is in force, or refused by name with what to write."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import FatalError
from core.runtime.database import SqliteDatabase, open_database
from core.runtime.database_files import filesystem
from core.runtime.database_urls import PostgresAddress, SqliteAddress, parse_database_url


def address(url: str) -> PostgresAddress:
    found = parse_database_url(url)
    assert isinstance(found, PostgresAddress)
    return found


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///relayer.sqlite", Path("relayer.sqlite")),
        ("sqlite:////var/lib/relayer.sqlite", Path("/var/lib/relayer.sqlite")),
        ("sqlite+pysqlite:///a b.sqlite", Path("a b.sqlite")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
    ],
)
def test_sqlite_urls_name_a_file_or_memory(url: str, path: Path | None) -> None:
    assert parse_database_url(url) == SqliteAddress(path)


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("sqlite://relayer.sqlite", "sqlite:///relayer.sqlite"),
        ("sqlite://./relayer.sqlite", "sqlite:///./relayer.sqlite"),
        ("sqlite://data/relayer.sqlite", "sqlite:///data/relayer.sqlite"),
        ("sqlite://localhost/relayer.sqlite", "sqlite:///relayer.sqlite"),
        ("sqlite:///relayer.sqlite?mode=memory&uri=true", "nothing behind it"),
        ("sqlite:///file:relayer?mode=memory", "nothing behind it"),
        ("sqlite:///file:relayer", "write it out"),
        ("sqlite:///~/relayer.sqlite", "write it out"),
        ("sqlite://///server/share/relayer.sqlite", "disk of this machine"),
        ("sqlite:///data/", "name a file in it"),
        ("sqlite:///..", "name a file in it"),
        ("sqlite+aiosqlite:///relayer.sqlite", "write sqlite://"),
        ("sqlite:relayer.sqlite", "sqlite:///FILE"),
        ("relayer.sqlite", "sqlite:///FILE"),
        ("sqlite:///relayer\x00.sqlite", "control characters"),
        ("", "sqlite:///FILE"),
    ],
)
def test_a_sqlite_url_that_names_no_file_is_refused(url: str, remedy: str) -> None:
    with pytest.raises(FatalError) as refused:
        open_database(url)
    assert remedy in refused.value.message


def test_a_file_that_cannot_be_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory.sqlite").mkdir()
    with pytest.raises(FatalError, match="is a directory"):
        SqliteDatabase(f"sqlite:///{tmp_path}/directory.sqlite")
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalError, match="cannot make the directory"):
        SqliteDatabase(f"sqlite:///{tmp_path}/file/under.sqlite")
    with pytest.raises(FatalError, match="not a plain file"):
        SqliteDatabase("sqlite:////dev/null")
    with pytest.raises(FatalError, match="name too long"):
        SqliteDatabase(f"sqlite:///{tmp_path}/{'x' * 300}/a.sqlite")


def test_a_network_disk_is_known_by_its_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda / ext4 rw 0 0\nserver:/share {tmp_path} nfs4 rw 0 0\ntmpfs {tmp_path}/local tmpfs rw 0 0\n"
    )
    assert filesystem(tmp_path / "data", mounts) == "nfs4"
    assert filesystem(tmp_path / "local" / "data", mounts) == "tmpfs"
    assert filesystem(Path("/"), mounts) == "ext4"
    assert filesystem(tmp_path, tmp_path / "none") == ""


def test_the_words_of_libpq_are_in_force() -> None:
    found = address(
        "postgresql://us%40er:a%40b%2Fc%3Ad@one:5433,[::1],three/ledger"
        "?sslmode=require&connect_timeout=7&application_name=c&options=-c%20search_path%3Dx&channel_binding=prefer"
    )
    assert found.hosts == (("one", 5433), ("::1", 5432), ("three", 5432))
    assert found.timeout_s == 7
    assert found.settings == {
        "user": "us@er",
        "password": "a@b/c:d",
        "database": "ledger",
        "target_session_attrs": "read-write",
        "server_settings": {"application_name": "c", "options": "-c search_path=x"},
    }
    assert found.words == {"sslmode": "require"}
    assert "a@b" not in repr(found)
    assert "a@b" not in found.place


def test_hosts_behind_the_question_mark_are_the_same() -> None:
    expected = (("a", 1), ("b", 2))
    assert address("postgresql:///n?host=a,b&port=1,2").hosts == expected
    assert address("postgresql://a:1,b:2/n").hosts == expected
    assert address("postgresql:///n?host=/run/postgresql&user=u").hosts == (("/run/postgresql", 5432),)
    assert address("postgresql:///n").hosts == ()
    assert address("postgresql://h/n?ssl=true").words == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("query", "remedy"),
    [
        ("sslmod=require", "did you mean sslmode?"),
        ("sslmode=required", "one of disable, allow, prefer, require, verify-ca, verify-full"),
        ("sslmode=require&sslmode=disable", "twice"),
        ("sslmode=", "write WORD=VALUE"),
        ("sslmode", "write WORD=VALUE"),
        ("ssl=require&sslmode=require", "leave ssl out"),
        ("sslmode=verify-full&sslrootcert=/nowhere.pem", "No such file"),
        ("sslmode=prefer&sslrootcert=/nowhere.pem", "write sslmode=verify-full"),
        ("sslrootcert=/nowhere.pem", "write sslmode=verify-full"),
        ("sslmode=require&sslrootcert=system", "needs sslmode=verify-full"),
        ("sslmode=disable&sslcert=/nowhere.pem", "leave one of them out"),
        ("sslmode=require&sslcert=/nowhere.pem", "No such file"),
        ("sslmode=require&sslkey=/nowhere.pem", "without sslcert"),
        ("target_session_attrs=standby", "use any, read-write, primary"),
        ("connect_timeout=0", "from 1 to 300"),
        ("connect_timeout=soon", "from 1 to 300"),
        ("channel_binding=require", "not supported: disable or prefer"),
        ("gssencmode=require", "not supported: disable or prefer"),
        ("client_encoding=LATIN1", "UTF8"),
        ("service=ledger", "write out what the service stands for"),
        ("keepalives_idle=10", "tcp_keepalive_time"),
        ("prepared_statement_cache_size=0", "Causeway chooses itself"),
        ("passfile=/nowhere", "not a file"),
        ("host=b", "host twice"),
        ("user=me", "user twice"),
        ("dbname=me", "dbname twice"),
        ("pool_size=3", "unknown word"),
        ("x=%ff", "%25"),
    ],
)
def test_a_word_that_would_not_be_in_force_is_refused(query: str, remedy: str) -> None:
    with pytest.raises(FatalError) as refused:
        open_database(f"postgresql://u:hunter2@h/n?{query}")
    assert remedy in refused.value.message
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("postgresql://h:0/n", "1 to 65535"),
        ("postgresql://h:99999/n", "1 to 65535"),
        ("postgresql://h:x/n", "1 to 65535"),
        ("postgresql://u:a@b@h/n", "%40"),
        ("postgresql://u:a/b@h/n", "%2F"),
        ("postgresql://u:a#b@h/n", "%23"),
        ("postgresql://a,,b/n", "empty host"),
        ("postgresql://[::1/n", "[::1]:5432"),
        ("postgresql://" + ",".join("abcdefghijklmnopq") + "/n", "at most 16"),
        ("postgresql:///n?port=1", "names a port and no host"),
        ("postgresql:///n?host=a,b&port=1,2,3", "one port, or one each"),
        ("postgresql:///n?sslmode=verify-full", "no TLS"),
        ("postgresql:///n?host=/run/postgresql&sslmode=require", "no TLS"),
        ("postgresql+psycopg://h/n", "write postgresql://"),
        ("mysql://h/n", "sqlite:///FILE or postgresql://"),
    ],
)
def test_a_postgres_url_that_is_ambiguous_is_refused(url: str, remedy: str) -> None:
    with pytest.raises(FatalError) as refused:
        open_database(url)
    assert remedy in refused.value.message


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for prefix in ("", "sqlite://", "sqlite:///", "postgresql://", "postgresql://h/n?"):
        try:
            parse_database_url(prefix + text)
        except FatalError as error:
            assert error.message  # noqa: PT017
