"""Identifiers: published test vectors are kept, and a mistyped identifier never becomes another one.

Vectors: the "Test Cases" of CAIP-2, CAIP-10, CAIP-19 and of their profiles (namespaces.chainagnostic.org); EIP-55;
BIP-173 and BIP-350.
"""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.model import addresses
from core.model.errors import MalformedIdentifierError, RejectedError
from core.model.identifiers import parse_account, parse_asset, parse_chain

BITCOIN = "bip122:000000000019d6689c085ae165831e93"
EIP55 = (
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
)
CHAINS = (
    "eip155:1",
    "eip155:28945486",
    BITCOIN,
    "bip122:12a765e31ffd4059bada1e25190f6e98",
    "bip122:fdbe99b90c90bae7505796461471d89a",
    "cosmos:cosmoshub-2",
    "cosmos:Binance-Chain-Tigris",
    "cosmos:iov-mainnet",
    "cosmos:x",
    "cosmos:hashed-c904589232422def",
    "starknet:SN_GOERLI",
    "lip9:9ee11e9df416b18b",
    "chainstd:8c3444cf8970a9e41a706fab93e7a6c4",
    "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
    "causeway:devnet-1",
)
ACCOUNTS_AS_WRITTEN = (
    f"{BITCOIN}:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6",
    f"{BITCOIN}:35PBEaofpUeH8VnnNSorM1QZsadrZoQp4N",
    f"{BITCOIN}:bc1qwz2lhc40s8ty3l5jg3plpve3y3l82x9l42q7fk",
    f"{BITCOIN}:bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    "bip122:000000000933ea01ad0ee984209779ba:tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
    "bip122:1a91e3dace36e2be3bf030a65679fe82:DBcZSePDaMMduBMLymWHXhkE5ArFEvkagU",
    "bip122:bb0a78264637406b6360aad926284d54:nXprPppuYCyxrrW6eVh4koUz8kTFrAvGo8",
    "bip122:12a765e31ffd4059bada1e25190f6e98:ltc1q8c6fshw2dlwun7ekn9qwf37cu2rn755u9ym7p0",
    "bip122:4966625a4b2851d9fdee139e56211a0d:tltc1qlustmw64lgd744h45n0t07wxnxw8pmv2sv07r9",
    "cosmos:cosmoshub-3:cosmos1t2uflqwqe0fsj0shcfkrvpukewcw40yjj6hdc0",
    "polkadot:b0a8d493285c2df73290dfb7e61f870f:5hmuyxw9xdgbpptgypokw4thfyoe3ryenebr381z9iaegmfy",
    "starknet:SN_GOERLI:0x02dd1b492765c064eac4039e3841aa5f382773b598097a40073bd8b48170ab57",
    "chainstd:8c3444cf8970a9e41a706fab93e7a6c4:6d9b0b4b9994e8a6afbd3dc3ed983cd51c755afb27cd1dc7825ef59c134a39f7",
    "hedera:mainnet:0.0.1234567890-zbhlt",
    "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:7S3P4HxJpyyigGzodYwHtCxZyUQe9JiBMHyRWXArAaKv",
    "tron:0x2b6653dc:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
    "causeway:devnet-1:00112233445566778899aabbccddeeff00112233",
)
ASSETS_AS_WRITTEN = (
    "eip155:1/slip44:60",
    f"{BITCOIN}/slip44:0",
    "cosmos:cosmoshub-3/slip44:118",
    "cosmos:Binance-Chain-Tigris/slip44:714",
    "lip9:9ee11e9df416b18b/slip44:134",
    "eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f",
    "eip155:1/erc20:0x8f8221afbb33998d8584a2b05749ba73c37a938a",
    "eip155:1/erc721:0x5180db8f5c931aae63c74266b211f580155ecac8/4663",
    "hedera:mainnet/nft:0.0.55492/12",
    "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/token:EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "causeway:devnet-1/asset:cnyd",
    "causeway:devnet-1/asset:a_b.c-d",
)


@pytest.mark.parametrize("text", CHAINS)
def test_published_chain_is_kept_byte_for_byte(text: str) -> None:
    assert parse_chain(text) == text


@pytest.mark.parametrize("text", ACCOUNTS_AS_WRITTEN)
def test_published_account_is_kept_byte_for_byte(text: str) -> None:
    assert parse_account(text) == text


@pytest.mark.parametrize("text", ASSETS_AS_WRITTEN)
def test_published_asset_is_kept_byte_for_byte(text: str) -> None:
    assert parse_asset(text) == text


@pytest.mark.parametrize("address", EIP55)
def test_evm_account_has_one_spelling(address: str) -> None:
    canonical = f"eip155:1:{address.lower()}"
    digits = address[2:]
    for spelt in (address, f"0x{digits.lower()}", f"0x{digits.upper()}", f"0X{digits.upper()}"):
        assert parse_account(f"eip155:1:{spelt}") == canonical
        assert parse_asset(f"eip155:1/erc20:{spelt}") == f"eip155:1/erc20:{address.lower()}"


@given(st.sampled_from(EIP55[:4]), st.integers(2, 41), st.sampled_from(string.hexdigits))
def test_mistyped_checksummed_address_is_refused(address: str, place: int, digit: str) -> None:
    mistyped = address[:place] + digit + address[place + 1 :]
    assume(mistyped != address)
    # One address in some thousands has the same checksum with one digit changed: EIP-55 does not promise more.
    assume(addresses.checksummed(mistyped[2:].lower()) != mistyped[2:])
    for parse, text in ((parse_account, f"eip155:1:{mistyped}"), (parse_asset, f"eip155:1/erc20:{mistyped}")):
        with pytest.raises(MalformedIdentifierError, match="checksum"):
            parse(text)


def test_published_evm_accounts_are_judged_by_their_checksum() -> None:
    """The examples in the eip155 profile of CAIP-10; the one for Polygon has a seventh digit of the wrong case."""
    for address in ("0x839395e20bbB182fa440d08F850E6c7A8f6F0780", "0x22227A31dd842196A246d8f3b775998560eAa61d"):
        assert parse_account(f"eip155:1:{address}") == f"eip155:1:{address.lower()}"
    assert parse_account("eip155:137:0x0495766cD136138Fc492Dd499B8DC87A92D6685b")
    with pytest.raises(MalformedIdentifierError, match="EIP-55"):
        parse_account("eip155:137:0x0495766CD136138Fc492Dd499B8DC87A92D6685b")


def test_rootstock_checksum_is_accepted_on_rootstock_only() -> None:
    """EIP-1191's own vectors."""
    assert parse_account("eip155:30:0x5aaEB6053f3e94c9b9a09f33669435E7ef1bEAeD")
    with pytest.raises(MalformedIdentifierError, match="checksum"):
        parse_account("eip155:1:0x5aaEB6053f3e94c9b9a09f33669435E7ef1bEAeD")


BASE58_ACCOUNTS = tuple(
    text for text in ACCOUNTS_AS_WRITTEN if text.startswith(("bip122", "solana", "tron")) and text.lower() != text
)


@pytest.mark.parametrize("text", BASE58_ACCOUNTS)
def test_lowered_base58_account_is_never_another_account(text: str) -> None:
    chain, _, address = text.rpartition(":")
    for other in (address.lower(), address.upper(), address.swapcase()):
        if text.startswith("solana:") and not set(other) - set(addresses.BASE58):
            continue  # no checksum: letters may spell another account, which is then kept as it is
        with pytest.raises(MalformedIdentifierError):
            parse_account(f"{chain}:{other}")


@given(st.sampled_from(BASE58_ACCOUNTS), st.data())
def test_changed_base58_account_is_refused_or_kept(text: str, data: st.DataObject) -> None:
    chain, _, address = text.rpartition(":")
    place = data.draw(st.integers(0, len(address) - 1))
    changed = f"{chain}:{address[:place]}{data.draw(st.sampled_from(addresses.BASE58))}{address[place + 1 :]}"
    assume(changed != text)
    try:
        assert parse_account(changed) == changed
        assert text.startswith("solana:"), "a checksum of 32 bits finds every single change"
    except MalformedIdentifierError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        f"{BITCOIN}:BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
        "cosmos:cosmoshub-3:COSMOS1T2UFLQWQE0FSJ0SHCFKRVPUKEWCW40YJJ6HDC0",
    ],
)
def test_upper_case_bech32_is_the_same_account(text: str) -> None:
    chain, _, address = text.rpartition(":")
    assert parse_account(text) == f"{chain}:{address.lower()}"
    with pytest.raises(MalformedIdentifierError):
        parse_account(f"{chain}:{address[:8].lower()}{address[8:]}")


@pytest.mark.parametrize(
    "address",
    [
        "bc1pmzfrwwndsqmk5yh69yjr5lfgfg4ev8c0tsc06e",  # printed in the profile of CAIP-10, with a wrong checksum
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",  # version 0 with the checksum of version 1 (BIP-350)
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",  # and the reverse
        "tb1zw508d6qejxtdg4y5r3zarvaryvqyzf3du",
        "bc1gmk9yu",
        "1",
        "",
    ],
)
def test_invalid_witness_address_is_refused(address: str) -> None:
    with pytest.raises(MalformedIdentifierError):
        parse_account(f"{BITCOIN}:{address}")


LEDGER = "causeway:devnet-1:00112233445566778899aabbccddeeff00112233"
EVM = "eip155:1:0x6b175474e89094c44da98b954eedeac495271d0f"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (f" {EVM}", "SPACE"),
        (f"{EVM}\n", "U+000A"),
        (f"{EVM}\0", "U+0000"),
        (EVM.replace("a", "а", 1), "CYRILLIC SMALL LETTER A"),
        (EVM.replace("0", "٠", 1), "ARABIC-INDIC DIGIT ZERO"),
        (EVM[:-1], "39 digits after 0x instead of 40"),
        (EVM + "0", "41 digits after 0x instead of 40"),
        (EVM.replace("0x", ""), "does not begin with 0x"),
        (EVM.replace("0x6", "0xg"), "'g' as character 3"),
        ("eip155:1:XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS", "ICAP"),
        ("eip155:1:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "does not begin with 0x"),
        (EVM.replace(":1:", ":01:"), "without leading zeros"),
        (EVM.replace(":1:", ":0x1:"), "decimal"),
        (EVM.replace(":1:", f":{'9' * 33}:"), "CAIP-10"),
        (EVM.replace("eip155", "EIP155"), "CAIP-10"),
        (EVM.replace("eip155:1:", ""), "CAIP-10"),
        (f"{EVM}:0", "CAIP-10"),
        (f"{LEDGER}0", "40 hex digits"),
        (LEDGER.replace(":00", ":0x00"), "40 hex digits"),
        (LEDGER.replace(":00", ":zz"), "40 hex digits"),
        ("causeway:devnet-1", "CAIP-10"),
        ("bip122:000000000019D6689C085AE165831E93:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6", "genesis hash"),
        ("solana:mainnet:7S3P4HxJpyyigGzodYwHtCxZyUQe9JiBMHyRWXArAaKv", "genesis hash"),
        ("tron:0x2b6653dc:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6", "another chain"),
        ("x" * 100_000, "at most 256"),
    ],
)
def test_malformed_account_is_refused_with_its_fault(text: str, said: str) -> None:
    with pytest.raises(MalformedIdentifierError) as caught:
        parse_account(text)
    assert said in caught.value.message
    assert caught.value.code == "malformed-identifier"
    assert len(caught.value.message) < 600
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "eip155:1/slip44:060",
        "eip155:1/slip44:",
        "eip155:1/slip44:-60",
        "eip155:1/slip44:2147483648",
        "eip155:1/slip44:60/1",
        "eip155:1/SLIP44:60",
        "eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0",
        "eip155:1/erc20:6b175474e89094c44da98b954eedeac495271d0f",
        "eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f/1",
        "eip155:1/erc721:0x5180db8f5c931aae63c74266b211f580155ecac8/0x1",
        f"eip155:1/erc721:0x5180db8f5c931aae63c74266b211f580155ecac8/{2**256}",
        "causeway:devnet-1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f",
        "causeway:devnet-1/asset:CNYD",
        "causeway:devnet-1/token:cnyd",
        "eip155:1/asset:a_b",
        "ETH",
        "eip155:1",
    ],
)
def test_malformed_asset_is_refused(text: str) -> None:
    with pytest.raises(MalformedIdentifierError):
        parse_asset(text)


@pytest.mark.parametrize("text", ["eip155", "eip155:", ":1", "eip155:1:1", "EIP155:1", "eip155:00", "ei:1", "a" * 42])
def test_malformed_chain_is_refused(text: str) -> None:
    with pytest.raises(MalformedIdentifierError):
        parse_chain(text)


SEPARATED = st.text(alphabet=string.ascii_letters + string.digits + ":/-_.%x", max_size=80)
ANYTHING = st.one_of(
    st.text(max_size=60),
    SEPARATED,
    st.builds(
        lambda text, place, other: text[:place] + other + text[place + 1 :],
        st.sampled_from(CHAINS + ACCOUNTS_AS_WRITTEN + ASSETS_AS_WRITTEN),
        st.integers(0, 80),
        st.text(max_size=3),
    ),
)


@given(ANYTHING)
def test_any_text_is_refused_or_parsed_into_a_fixed_point(text: str) -> None:
    for parse in (parse_chain, parse_account, parse_asset):
        try:
            canonical = parse(text)
        except RejectedError:
            continue
        assert parse(canonical) == canonical
        assert canonical.lower() == text.lower()
