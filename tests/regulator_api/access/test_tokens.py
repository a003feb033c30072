"""Tokens that are good, and every way to make one up that we know of."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import ManualClock
from regulator_api.access.keys import MAX_AGE_S, MAX_SET_BYTES, REFRESH_S, RETRY_S, FetchedKeys, parse_keys
from regulator_api.access.tokens import Holder, TokenError, TokenRules, header_of, verified
from tests.regulator_api.access.issuer import (
    AUDIENCE,
    EC_KEY,
    ISSUER,
    KEY,
    NOW_S,
    OTHER,
    RSA_KEY,
    claims,
    forged,
    key_set,
    token,
)

RULES = TokenRules(ISSUER, AUDIENCE)
CERTIFICATE = hashlib.sha256(b"a certificate").digest()
BOUND = {"x5t#S256": base64.urlsafe_b64encode(CERTIFICATE).rstrip(b"=").decode()}


def take(text: str, rules: TokenRules = RULES, now_s: float = NOW_S + 1, certificate: bytes | None = None) -> Holder:
    keys = parse_keys(key_set())
    key = keys.get(header_of(text, rules).kid)
    if key is None:
        raise TokenError("the token's key is not one of its issuer's")
    return verified(text, key, rules, now_s, certificate)


@pytest.mark.parametrize(
    "text",
    [
        token(),
        token(EC_KEY, "ES256", "ec"),
        token(RSA_KEY, "RS256", "rsa"),
        token(RSA_KEY, "PS256", "rsa"),
        token(aud=["https://elsewhere.example", AUDIENCE]),
        token(nbf=NOW_S),
        token(headers={"typ": "JWT"}),
        token(exp=NOW_S - 20, iat=NOW_S - 100),  # within what clocks may differ
        token(iat=NOW_S + 20, exp=NOW_S + 100),
    ],
)
def test_good_token_shows_its_holder(text: str) -> None:
    found = take(text)
    assert (found.client, found.subject) == ("analysts", "analysts")
    assert found.scopes == {"read", "trace"}
    assert found.jurisdictions == frozenset({"CH", "FR"})


def public_pem() -> bytes:
    return KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def hmac_with_public_key() -> str:
    """The classic: HS256 with the bytes of the public key, which everybody has."""
    unsigned = forged({"alg": "HS256", "kid": "ed", "typ": "at+jwt"}, claims()).rpartition(".")[0]
    signature = hmac.digest(public_pem(), unsigned.encode(), hashlib.sha256)
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def with_foreign_claims() -> str:
    """A good signature under other claims."""
    head, _, signature = token().split(".")
    return f"{head}.{forged({}, claims(scope='admin')).split('.')[1]}.{signature}"


EMBEDDED = json.loads(key_set())["keys"][0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (forged({"alg": "none", "kid": "ed", "typ": "at+jwt"}, claims()), "algorithm"),
        (forged({"alg": "None", "kid": "ed"}, claims()), "algorithm"),
        (forged({"alg": "EdDSA", "kid": "ed"}, claims()), "signature"),
        (hmac_with_public_key(), "algorithm"),
        (with_foreign_claims(), "signature"),
        (token(OTHER), "signature"),
        (token(OTHER, kid="elsewhere"), "not one of its issuer's"),
        (token(kid=None), "header"),
        (token(RSA_KEY, "RS256", "ed"), "not that of its key"),
        (token(EC_KEY, "ES256", "rsa"), "not that of its key"),
        (token(headers={"jwk": EMBEDDED}), "header"),
        (token(headers={"jku": "https://evil.example/keys"}), "header"),
        (token(headers={"x5u": "https://evil.example/cert"}), "header"),
        (token(headers={"crit": ["exp"]}), "header"),
        (token(headers={"typ": "id+jwt"}), "typ"),
        (token(iss="https://other.example"), "another issuer"),
        (token(aud="https://other.example"), "another audience"),
        (token(aud=[]), "another audience"),
        (token(exp=NOW_S - 30, iat=NOW_S - 100), "expired"),
        (token(iat=NOW_S + 120, exp=NOW_S + 130), "not good yet"),
        (token(nbf=NOW_S + 120), "not good yet"),
        (token(exp=NOW_S + 10**6), "at most 3600 s"),
        (token(exp=None), "claims"),
        (token(iat=None), "claims"),
        (token(aud=None), "claims"),
        (token(scope=["admin"]), "claims"),
        (token(exp=1e300), "claims"),
        (token(client_id="two words"), "no spaces"),
        (token(client_id="a\nb"), "no spaces"),
        (token(client_id=None, sub=None), "names neither"),
        (token(jurisdictions=["Switzerland"]), "ISO 3166"),
        (token(jurisdictions=["*", "CH"]), "ISO 3166"),
        (token(cnf={"jkt": "abc"}), "something else"),
        (token(cnf=BOUND), "another certificate"),
        ("a.b", "signed"),
        ("a.b.c", "header"),
        ("é.b.c", "signed"),
        ("a" * 9_000 + "..", "signed"),
        ("..", "header"),
    ],
)
def test_bad_token_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(TokenError, match=reason):
        take(text)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_no_text_makes_the_verifier_raise_anything_else(text: str) -> None:
    for one in (text, f"{text}.{text}.{text}", token().replace(".", f".A{text}", 1)):
        with pytest.raises(TokenError):
            take(one)


@given(st.integers(0, len(token()) - 1), st.characters(codec="ascii"))
def test_changed_character_makes_a_token_bad(place: int, letter: str) -> None:
    text = token()
    changed = text[:place] + letter + text[place + 1 :]
    if changed == text:
        return
    # The last character of a part carries bits that nobody reads: then nothing has changed.
    try:
        found = take(changed)
    except TokenError:
        return
    assert found == take(text)


def test_bound_token_needs_its_certificate() -> None:
    assert take(token(cnf=BOUND), certificate=CERTIFICATE).client == "analysts"
    with pytest.raises(TokenError, match="another certificate"):
        take(token(cnf=BOUND), certificate=hashlib.sha256(b"another").digest())
    bound = TokenRules(ISSUER, AUDIENCE, bound=True)
    with pytest.raises(TokenError, match="must be"):
        take(token(), bound, certificate=CERTIFICATE)
    assert take(token(cnf=BOUND), bound, certificate=CERTIFICATE).client == "analysts"


def test_token_without_jurisdictions_has_none_and_not_all() -> None:
    assert take(token(jurisdictions=None)).jurisdictions == frozenset()
    assert take(token(jurisdictions="*")).jurisdictions is None
    assert take(token(jurisdictions=["*"])).jurisdictions is None
    assert take(token(jurisdictions="CH FR")).jurisdictions == frozenset({"CH", "FR"})


@pytest.mark.parametrize(
    ("key_id", "entry"),
    [
        ("secret", {"kty": "oct", "k": "c2VjcmV0"}),
        ("enc", {**EMBEDDED, "use": "enc"}),
        ("crooked", {**EMBEDDED, "x": "!"}),
        ("short", {"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        ("wrong", {**EMBEDDED, "alg": "HS256"}),
        ("", EMBEDDED),
    ],
)
def test_keys_that_cannot_sign_are_passed_over(key_id: str, entry: dict[str, Any]) -> None:
    entry = {name: value for name, value in entry.items() if name != "kid"}
    assert set(parse_keys(key_set(**{key_id: entry}))) == {"ed", "ec", "rsa"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [1]}',
        b"\xff",
        b'{"keys": ' + b"[" * 50_000,
        b" " * (MAX_SET_BYTES + 1),
        json.dumps({"keys": [EMBEDDED, EMBEDDED]}).encode(),
        json.dumps({"keys": [EMBEDDED] * 100}).encode(),
    ],
)
def test_malformed_key_set_is_refused(raw: bytes) -> None:
    with pytest.raises(RejectedError):
        parse_keys(raw)


class Fetching:
    def __init__(self) -> None:
        self.count = 0
        self.answer: bytes | None = key_set()

    async def __call__(self) -> bytes:
        self.count += 1
        if self.answer is None:
            raise RetryableError("away")
        return self.answer


async def test_key_sets_are_fetched_seldom_and_kept_for_a_day() -> None:
    clock, fetching = ManualClock(), Fetching()
    keys = FetchedKeys(fetching, clock)
    assert await keys.find("ed") is not None
    for number in range(100):
        assert await keys.find(f"made up {number}") is None
    assert fetching.count == 1
    await clock.advance(RETRY_S + 1)
    assert await keys.find("made up") is None
    assert fetching.count == 2
    fetching.answer = None
    await clock.advance(REFRESH_S + 1)
    assert await keys.find("ed") is not None  # the issuer is away, and its keys count for a time
    await clock.advance(MAX_AGE_S)
    with pytest.raises(RetryableError, match="cannot be fetched"):
        await keys.find("ed")


async def test_rotated_key_is_found_by_the_next_fetch() -> None:
    clock, fetching = ManualClock(), Fetching()
    keys = FetchedKeys(fetching, clock)
    await keys.find("ed")
    fetching.answer = key_set(new={name: value for name, value in EMBEDDED.items() if name != "kid"})
    await clock.advance(RETRY_S + 1)
    assert await keys.find("new") is not None
