"""The myths pages: no claim is missing or told twice, each correction shows its proof, the entry page lists them all."""

import re

from labhelpers.tools.authoring import guides
from tests.guides import asked

ENTRY = guides.folder() / "myths_measured.md"
PAGES = sorted(path for path in guides.folder().glob("myths_*.md") if path != ENTRY)
CLAIMS = {id for id in asked.ids() if id.startswith("C-")}

MYTH = re.compile(r"^### (?P<claim>.+) \(`(?P<id>C-\w+)`\)$")
ROW = re.compile(r"^(?:\| |- )`(?P<id>C-\w+)`", re.M)
VERDICT = re.compile(r"^\*\*One reads\*\* \((wrong|misleading)\): \S", re.M)
PARTS = (VERDICT, re.compile(r"^\*\*True is:\*\* \S", re.M), re.compile(r"^\*\*In the course:\*\* \S", re.M))
# What a reader can check without us: a paper with its year and number, or a page with its address.
CITED = re.compile(r"\(?\d{4}, arXiv \d{4}\.\d{4,5}\)|\]\(https://|\((?:19|20)\d\d\)")


def text_of(path):
    return path.read_text(encoding="utf-8")


def headings(text):
    return [line for line in guides.prose(text).splitlines() if line.startswith("### ")]


def myths(path):
    """id → the section, for every corrected claim of a page."""
    text = text_of(path)
    matches = [MYTH.match(line) for line in headings(text)]
    sections = guides.sections(text)
    return {match["id"]: sections[guides.slug(match[0][4:])] for match in matches if match}


MYTHS = {name: section for path in PAGES for name, section in myths(path).items()}


def proofs(section):
    """Blocks of a section in which a wrong claim would fail: a doctest with output, or a shell test."""
    for block in guides.blocks(section):
        lines = block.code.splitlines()
        printed = [line for line in lines if line.strip() and not line.startswith((">>>", "..."))]
        tested = re.search(r"^(test|grep|if) |\| grep ", block.code, re.M)
        if (block.language == "python" and printed) or (block.language == "bash" and tested):
            yield block


def test_every_claim_is_told_exactly_once():
    told = [match["id"] for path in PAGES for match in map(MYTH.match, headings(text_of(path))) if match]
    told += [match["id"] for path in PAGES for match in ROW.finditer(guides.prose(text_of(path)))]
    assert sorted(told) == sorted(CLAIMS)


def test_every_section_is_a_myth_and_every_page_leads_to_the_entry_page():
    assert [line for path in PAGES for line in headings(text_of(path)) if not MYTH.match(line)] == []
    assert [path.name for path in PAGES if "(myths_measured.md)" not in text_of(path)] == []


def test_a_myth_says_what_one_reads_what_is_true_and_where_the_course_shows_it():
    for name, section in MYTHS.items():
        found = [part.search(section) for part in PARTS]
        assert all(found), f"{name} lacks one of its three parts"
        assert [match.start() for match in found] == sorted(match.start() for match in found), name


def test_a_myth_is_measured_or_says_on_what_it_rests():
    unproven = {name: section for name, section in MYTHS.items() if not list(proofs(section))}
    assert [name for name, section in unproven.items() if "not measured here" not in section] == []
    assert [name for name, section in unproven.items() if not CITED.search(section)] == [], (
        "no source with its year"
    )


def test_most_myths_are_measured():
    assert sum(bool(list(proofs(section))) for section in MYTHS.values()) >= 0.8 * len(MYTHS)


def test_the_entry_page_lists_every_myth_with_its_verdict_and_a_link():
    listed = re.findall(r"^\| \[`(C-\w+)`\]\((\S+)\.md#(\S+)\) \| (.+) \| (\w+) \|$", text_of(ENTRY), re.M)
    expected = []
    for path in PAGES:
        for match in filter(None, map(MYTH.match, headings(text_of(path)))):
            verdict = VERDICT.search(MYTHS[match["id"]])[1]
            link = guides.slug(match[0][4:])
            expected.append((match["id"], path.stem, link, match["claim"], verdict))
    assert sorted(listed) == sorted(expected)


def test_the_entry_page_points_to_every_other_claim():
    listed = set()
    for page, anchor, ids in re.findall(
        r"^\| \[[^]]+\]\((\S+)\.md#(\S+)\) \| [^|]+ \| ([^|]+) \|$", text_of(ENTRY), re.M
    ):
        section = guides.sections(text_of(guides.folder() / f"{page}.md"))[anchor]
        named = re.findall(r"C-\w+", ids)
        assert named == [match["id"] for match in ROW.finditer(section)], f"{page}#{anchor}"
        listed |= set(named)
    assert listed == CLAIMS - set(MYTHS)
