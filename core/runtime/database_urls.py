"""A database's URL, read once: every word of it is in force, or refused by name.

    sqlite:///FILE                 relative to the working directory; sqlite:////ABSOLUTE/FILE
    sqlite://                      in memory: for simulations and tests
    postgresql://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME?WORD=VALUE&…

PostgreSQL's words are libpq's (manual, 34.1.2 "Parameter Key Words"); values are percent-encoded (RFC 3986).
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from core.model.errors import FatalError

MAX_URL_CHARS: Final = 4_096
MAX_HOSTS: Final = 16
CONNECT_TIMEOUT_S: Final = 10
"""How long one host may take to accept a connection, unless `connect_timeout` says otherwise."""
MAX_CONNECT_TIMEOUT_S: Final = 300
POSTGRES_PORT: Final = 5432
FORMS: Final = "write sqlite:///FILE or postgresql://USER@HOST/NAME"
MEMORY: Final = ":memory:"

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_INSISTING: Final = ("require", "verify-ca", "verify-full")
_TLS_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_TLS_WORDS: Final = (
    *_TLS_FILES,
    "sslpassword",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)
_WRITING: Final = ("any", "read-write", "primary")
# As the driver passes them on, or as this module translates them.
_KNOWN: Final = (
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "sslmode",
    "ssl",
    *_TLS_WORDS,
    "target_session_attrs",
    "connect_timeout",
    "application_name",
    "options",
    "krbsrvname",
)
# Words that ask for nothing, spelt out: what else they could say cannot be had.
_HARMLESS: Final[Mapping[str, tuple[str, ...]]] = {
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "client_encoding": ("UTF8", "utf8", "UTF-8", "utf-8"),
    "load_balance_hosts": ("disable",),
    "keepalives": ("1",),
    "sslsni": ("1",),
    "sslcompression": ("0",),
}
_OURS: Final = (
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "statement_cache_size",
    "async_fallback",
)
_ELSEWHERE: Final[Mapping[str, str]] = {
    "service": "write out what the service stands for",
    "hostaddr": "write the address as host",
    "requiressl": "write sslmode=require",
    "keepalives_idle": "set net.ipv4.tcp_keepalive_time of this machine",
    "keepalives_interval": "set net.ipv4.tcp_keepalive_intvl of this machine",
    "keepalives_count": "set net.ipv4.tcp_keepalive_probes of this machine",
    "tcp_user_timeout": "set net.ipv4.tcp_retries2 of this machine",
    "require_auth": "the server's pg_hba.conf decides it",
}


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """A SQLite file, or memory (`path` is None)."""

    path: Path | None


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """One database on one server or on several (a primary and its standbys).

    `hosts` are tried in order, (host, port) or (directory of the socket, port); none: the driver's own default
    (PGHOST, else a local socket). `settings` are the driver's arguments, secrets among them; `words` are the part of
    them that goes into its DSN.
    """

    hosts: tuple[tuple[str, int], ...]
    database: str | None
    timeout_s: int
    settings: Mapping[str, Any] = field(repr=False)
    words: Mapping[str, str] = field(repr=False)

    @property
    def place(self) -> str:
        """Hosts and name, without user or password: for people."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts) or "the local socket"
        return f"{hosts}/{self.database or ''}"


def parse_database_url(url: str) -> SqliteAddress | PostgresAddress:
    """The address that `url` names. Raise `FatalError` with what to write; the password is never in it."""
    scheme, separator, rest = url.partition("://")
    if len(url) > MAX_URL_CHARS or any(ord(character) < 32 for character in url):
        raise FatalError(f"the database URL is longer than {MAX_URL_CHARS} characters or has control characters in it")
    if not separator:
        raise FatalError(f"the database URL cannot be read: {FORMS}")
    backend, _, driver = scheme.partition("+")
    if backend == "sqlite":
        _refuse_driver(backend, driver, ("", "pysqlite"))
        return _sqlite(rest)
    if backend in ("postgresql", "postgres"):
        _refuse_driver(backend, driver, ("", "asyncpg"))
        return _postgres(rest)
    raise FatalError(f"no support for {scheme[:40]!r} databases: {FORMS}")


def _refuse_driver(backend: str, driver: str, known: tuple[str, ...]) -> None:
    if driver not in known:
        raise FatalError(f"the database URL names the driver {driver[:40]!r}, which is not used: write {backend}://…")


# --- SQLite -----------------------------------------------------------------------------------------------------------


def _sqlite(rest: str) -> SqliteAddress:
    path, question, _ = rest.partition("?")
    if question:
        raise FatalError("a SQLite URL takes no settings after ?: write sqlite:///FILE and nothing behind it")
    host, slash, name = path.partition("/")
    if host:
        spelt = (
            path if path.startswith(("./", "../")) else name if host in ("localhost", "127.0.0.1") and name else path
        )
        raise FatalError(
            f"sqlite://{path[:200]} names a host ({host[:80]!r}), and SQLite has none: "
            f"a file is written with three slashes, sqlite:///{spelt[:200]}"
        )
    if not slash or not name or name == MEMORY:
        return SqliteAddress(None)
    if name.startswith("//"):
        raise FatalError(f"{name[:200]!r} is a network path: keep the database on a disk of this machine")
    if name.startswith(("file:", "~")):
        raise FatalError(
            f"{name[:200]!r} is not the path of a file: write it out, such as sqlite:////var/lib/causeway.sqlite"
        )
    if name.endswith("/") or Path(name).name in ("", ".", ".."):
        raise FatalError(f"{name[:200]!r} is a directory: name a file in it")
    return SqliteAddress(Path(name))


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def _postgres(rest: str) -> PostgresAddress:
    if "#" in rest:
        raise FatalError("the database URL has a # in it: write %23 if it is part of a password or a name")
    body, _, query = rest.partition("?")
    authority, _, path = body.partition("/")
    if "/" in path:
        raise FatalError("the database URL has a / too many: write %2F if it is part of a password or a name")
    userinfo, at, hostlist = authority.rpartition("@")
    if "@" in userinfo:
        raise FatalError("the database URL has two @: write %40 if it is part of a password")
    words = _query(query)
    _check_words(words)
    user, colon, password = userinfo.partition(":")
    given = {
        "user": _decoded(user) if at else "",
        "password": _decoded(password) if colon else "",
        "dbname": _decoded(path),
    }
    for name, value in given.items():
        if value and name in words:
            raise FatalError(f"the database URL names its {name} twice: once before the ? and once behind it")
        if value:
            words[name] = value
    if hostlist and ("host" in words or "port" in words):
        raise FatalError("the database URL names its host twice: once before the ? and once behind it")
    hosts = _hosts(hostlist) if hostlist else _hosts_of_words(words.pop("host", ""), words.pop("port", ""))
    return _address(hosts, words)


def _address(hosts: tuple[tuple[str, int], ...], words: dict[str, str]) -> PostgresAddress:
    timeout_s = _timeout(words.pop("connect_timeout", str(CONNECT_TIMEOUT_S)))
    settings: dict[str, Any] = {}
    for name, argument in (("user", "user"), ("password", "password"), ("dbname", "database")):
        if name in words:
            settings[argument] = words.pop(name)
    settings["server_settings"] = {name: words.pop(name) for name in ("application_name", "options") if name in words}
    attrs = words.pop("target_session_attrs", "read-write" if len(hosts) > 1 else "")
    if attrs:
        if attrs not in _WRITING:
            raise FatalError(f"target_session_attrs={attrs[:40]}: Causeway writes: use {', '.join(_WRITING)}")
        settings["target_session_attrs"] = attrs
    _check_tls(hosts, words)
    if "passfile" in words and not Path(words["passfile"]).is_file():
        raise FatalError(f"passfile={words['passfile'][:200]} is not a file that can be read")
    return PostgresAddress(hosts, settings.get("database"), timeout_s, settings, words)


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise FatalError("the database URL has a % that encodes no UTF-8: write %25 for the character itself") from None


def _query(text: str) -> dict[str, str]:
    words: dict[str, str] = {}
    for part in text.split("&") if text else []:
        name, equals, value = part.partition("=")
        name, value = _decoded(name), _decoded(value)
        if not equals or not name or not value:
            raise FatalError(f"the database URL has {name[:40]!r} without a value: write WORD=VALUE, or leave it out")
        if name in words:
            raise FatalError(f"the database URL has {name[:40]} twice: leave one of them out")
        words[name] = value
    return words


def _check_words(words: dict[str, str]) -> None:
    """Leave only known words, in libpq's spelling. Raise `FatalError` for any other."""
    for name in list(words):
        if name in _HARMLESS:
            if words[name] not in _HARMLESS[name]:
                raise FatalError(
                    f"the database URL has {name}={words[name][:40]}, which is not supported: "
                    f"{' or '.join(dict.fromkeys(_HARMLESS[name]))} is, or leave it out"
                )
            del words[name]
        elif name in _OURS:
            raise FatalError(f"the database URL has {name}, which Causeway chooses itself: leave it out")
        elif name in _ELSEWHERE:
            raise FatalError(f"the database URL has {name}, which cannot be set here: {_ELSEWHERE[name]}")
        elif name not in _KNOWN:
            near = get_close_matches(name, _KNOWN, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_KNOWN)}"
            raise FatalError(f"the database URL has the unknown word {name[:40]!r}: {hint}")
    if "ssl" in words:
        if "sslmode" in words:
            raise FatalError("the database URL has both ssl and sslmode: leave ssl out")
        value = words.pop("ssl")
        words["sslmode"] = {"true": "require", "false": "disable"}.get(value, value)


def _hosts(text: str) -> tuple[tuple[str, int], ...]:
    return _limited([_host_port(part) for part in text.split(",")])


def _host_port(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise FatalError(f"{text[:80]!r} is not a host: write [::1]:5432 for an IPv6 address")
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
        host = _decoded(host)
    if not host:
        raise FatalError("the database URL has an empty host: write HOST:PORT, with commas between several")
    return host, _port(port) if port else POSTGRES_PORT


def _hosts_of_words(host: str, port: str) -> tuple[tuple[str, int], ...]:
    if not host:
        if port:
            raise FatalError("the database URL names a port and no host: write host=… as well")
        return ()
    hosts, ports = host.split(","), [_port(part) if part else POSTGRES_PORT for part in port.split(",")]
    if len(ports) not in (1, len(hosts)):
        raise FatalError(
            f"the database URL names {len(hosts)} hosts and {len(ports)} ports: name one port, or one each"
        )
    if not all(hosts):
        raise FatalError("the database URL has an empty host: write host=A,B")
    return _limited(list(zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True)))


def _limited(hosts: list[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    if len(hosts) > MAX_HOSTS:
        raise FatalError(f"the database URL names {len(hosts)} hosts: name at most {MAX_HOSTS}")
    return tuple(hosts)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise FatalError(f"the database URL has the port {text[:20]!r}: a port is a number from 1 to 65535")
    return int(text)


def _timeout(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) <= MAX_CONNECT_TIMEOUT_S):
        raise FatalError(f"connect_timeout={text[:20]} is not a number of seconds from 1 to {MAX_CONNECT_TIMEOUT_S}")
    return int(text)


def _check_tls(hosts: tuple[tuple[str, int], ...], words: dict[str, str]) -> None:
    """Raise `FatalError` for a wish about TLS that would not be in force, and for files that cannot be used."""
    mode = words.get("sslmode")
    if mode is not None and mode not in SSL_MODES:
        raise FatalError(f"sslmode={mode[:40]} is not one of {', '.join(SSL_MODES)}")
    sockets = [host for host, _ in hosts if host.startswith("/")]
    if mode in _INSISTING and (sockets or not hosts):
        raise FatalError(f"sslmode={mode} needs a host that is reached by network: a local socket has no TLS")
    if mode == "disable" and (idle := [word for word in _TLS_WORDS if word in words]):
        raise FatalError(f"{idle[0]} has no effect with sslmode=disable: leave one of them out")
    if mode not in _INSISTING and (
        idle := [word for word in ("sslrootcert", "sslcrl", "sslnegotiation") if word in words]
    ):
        raise FatalError(f"{idle[0]} has no effect with sslmode={mode or 'prefer'}: write sslmode=verify-full")
    if "sslkey" in words and "sslcert" not in words:
        raise FatalError("the database URL has sslkey without sslcert: name both, or leave both out")
    if words.get("sslrootcert") == "system":
        _use_system_roots(words)
    for word in ("sslrootcert", "sslcrl"):
        if word in words:
            _check_certificates(word, words[word])
    if "sslcert" in words:
        _check_key_pair(words)


def _use_system_roots(words: dict[str, str]) -> None:
    found = ssl.get_default_verify_paths().cafile
    if words["sslmode"] != "verify-full":
        raise FatalError("sslrootcert=system needs sslmode=verify-full")
    if found is None:
        raise FatalError("sslrootcert=system: this machine has no file of root certificates; name one")
    words["sslrootcert"] = found


def _check_certificates(word: str, path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError) as error:
        raise FatalError(f"{word}={path[:200]} cannot be used: {_why(error)}; name a file with PEM in it") from None


def _check_key_pair(words: dict[str, str]) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            words["sslcert"], words.get("sslkey"), password=lambda: words.get("sslpassword", "")
        )
    except (OSError, ValueError) as error:
        named = " and ".join(words[word][:200] for word in ("sslcert", "sslkey") if word in words)
        raise FatalError(f"the client certificate ({named}) cannot be used: {_why(error)}") from None


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not PEM"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
