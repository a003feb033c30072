"""The docs name pages, headings and files that exist, and their map leads to every page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ROOMS = (
    "core",
    "adapters",
    "htlc",
    "queries",
    "indexer",
    "local_chains",
    "relayer",
    "regulator_api",
    "gateway",
    "bench",
    "tests",
)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "changelog.d").glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PAGE_NAMED = re.compile(r"(?<![\w./-])docs/[\w./-]*\w")
FILE_NAMED = re.compile(
    rf"(?<![\w./-])(?:{'|'.join(ROOMS)}|deploy|changelog\.d)/[\w./-]*\w\.(?:py|md|sol|tla|toml|ya?ml|json|service)\b"
)
"""`docs/spec`, `relayer/pump/checks.py`: a path from the repository's root."""
TEXTS = (".py", ".md", ".tla", ".sol", ".yml", ".yaml", ".toml", ".service")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def links(page: Path) -> list[tuple[str, str]]:
    """The relative links of a page, each as path and anchor."""
    found = LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    split = (link.partition("#") for link in found if "://" not in link and not link.startswith("mailto:"))
    return [(path, anchor) for path, _, anchor in split]


def texts() -> list[Path]:
    """Every text of the repository that may name a page."""
    inside = (path for room in (*ROOMS, "deploy", "docs") for path in (ROOT / room).rglob("*"))
    files = [path for path in inside if path.suffix in TEXTS or path.name == "Containerfile"]
    return sorted([*files, *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"])


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_link_leads_to_a_page_and_heading_that_exist(page: Path) -> None:
    for path, anchor in links(page):
        target = page.parent / path if path else page
        if page.name == "template.md" and not target.exists():
            continue  # The template of a decision has a link to fill in.
        assert target.exists(), path
        if anchor:
            assert target.suffix == ".md"
            assert anchor in anchors(target), f"{path}#{anchor}"


def test_a_page_that_code_or_docs_name_exists() -> None:
    missing = [
        f"{named(text)}: {path}"
        for text in texts()
        for path in PAGE_NAMED.findall(text.read_text(encoding="utf-8"))
        if not (ROOT / path).exists()
    ]
    assert missing == []


def test_a_file_that_code_or_docs_name_exists() -> None:
    missing = [
        f"{named(text)}: {path}"
        for text in texts()
        for path in FILE_NAMED.findall(text.read_text(encoding="utf-8"))
        if not (ROOT / path).exists()
    ]
    assert missing == []


def test_the_map_leads_to_every_page() -> None:
    seen: set[Path] = set()
    waiting = [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        targets = {(page.parent / path).resolve() for path, _ in links(page) if path}
        targets |= {target / "README.md" for target in targets if target.is_dir()}
        waiting += [target for target in targets if target.suffix == ".md" and target.is_file() and target not in seen]
    assert [named(page) for page in DOCS.rglob("*.md") if page not in seen and page.name != "template.md"] == []


def test_the_checks_above_see_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        f"# One [thing](x.md), `code_it`: 2\n\n[a](b.md#c) {'docs'}/gone.md `{'relayer'}/gone.py`\n```\n# no\n```\n"
    )
    assert links(page) == [("x.md", ""), ("b.md", "c")]
    assert anchors(page) == {"one-thing-code_it-2"}
    assert PAGE_NAMED.findall(page.read_text()) == [f"{'docs'}/gone.md"]
    assert FILE_NAMED.findall(page.read_text()) == [f"{'relayer'}/gone.py"]
