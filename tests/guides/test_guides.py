"""The guides: their code runs, their numbers are computed, their links lead somewhere, their pages stay short."""

import doctest
import re

import pytest

from labhelpers.tools.authoring import guides
from tests.guides.asked import without_anchors

PAGES = guides.pages()
WORDS_PER_MINUTE, LONGEST_READ = 200, 10
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
# Paragraphs whose numbers come from elsewhere: a cited source, or a rule of thumb that says it is one.
SOURCED = re.compile(r"\]\(https?://|arXiv|[Rr]ule of thumb|\((?:19|20)\d\d\)")
LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


@pytest.fixture(params=PAGES, ids=lambda path: path.stem)
def page(request):
    return request.param


def text_of(path):
    """A page as its readers see it."""
    return without_anchors(path.read_text(encoding="utf-8"))


def pictures_of(path):
    return [match for match in LINK.finditer(text_of(path)) if match[0].startswith("!")]


def test_there_are_guides():
    assert len(PAGES) >= 18


def test_python_blocks_print_what_the_page_says(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in guides.blocks(text_of(page)):
        if block.language == "python" and not block.file:
            assert ">>>" in block.code, (
                f"{page.name}:{block.line}: write the block as a doctest, so that it is run"
            )
            example = doctest.DocTestParser().get_doctest(block.code, names, page.name, str(page), block.line)
            report = []
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            runner = doctest.DocTestRunner(optionflags=flags)
            runner.run(example, out=report.append, clear_globs=False)
            names = example.globs
            assert not runner.failures, "".join(report)


def test_every_block_is_of_a_kind_that_is_checked():
    kinds = ("python", "bash", "text", "mermaid")
    strange = [
        f"{page.name}:{block.line}"
        for page in PAGES
        for block in guides.blocks(text_of(page))
        if not block.file and block.language not in kinds
    ]
    assert strange == []


def numbers(text):
    return {match.group().rstrip(",").replace(",", "") for match in NUMBER.finditer(text)}


def unproven(text):
    """Numbers in prose that no block of the page contains and no source or rule of thumb stands beside."""
    proven = numbers("\n".join(block.code for block in guides.blocks(text)))
    missing = []
    for paragraph in re.split(r"\n\s*\n|\n(?=[-*|] |\d+\. |#)", guides.prose(text)):
        plain = re.sub(r"`[^`]*`|\]\([^)]*\)", "", paragraph)
        plain = re.sub(
            r"(?i)\b(?:day|days|week|weeks|weekend|chapter|section|step|python) \d+(?:[–-]\d+)?", "", plain
        )
        plain = re.sub(r"^\s*\d+\. ", "", plain)
        if not SOURCED.search(paragraph):
            missing += [number for number in numbers(plain) if number not in proven and not trivial(number)]
    return missing


def trivial(number):
    """Small whole numbers count things on the page; years date them."""
    return re.fullmatch(r"\d|1\d|20|100|(19|20)\d\d", number) is not None


def test_every_number_in_prose_is_computed_or_sourced():
    assert [(page.name, number) for page in PAGES for number in unproven(text_of(page))] == []


def test_the_number_check_would_notice():
    block = "```python\n>>> 4096 * 4096\n16777216\n```\n"
    assert unproven(block + "A matrix has 16,777,216 numbers.") == []
    assert unproven(block + "A matrix has 16,777,217 numbers.") == ["16777217"]
    assert unproven("It saves 37 % of the memory.") == ["37"]


def test_a_page_is_a_ten_minute_read_at_most():
    words = {page.name: len(re.findall(r"\w[\w'’-]*", text_of(page))) for page in PAGES}
    assert {name: count for name, count in words.items() if count > WORDS_PER_MINUTE * LONGEST_READ} == {}


def test_every_page_shows_a_figure_with_a_description():
    without = [
        page.name
        for page in PAGES
        if page.stem != "README"
        and not pictures_of(page)
        and not any(block.language == "mermaid" for block in guides.blocks(text_of(page)))
    ]
    assert without == []
    silent = [
        (page.name, found["target"])
        for page in PAGES
        for found in pictures_of(page)
        if len(found["text"]) <= 20
    ]
    assert silent == []


def dead_links(page):
    """Targets inside the course that do not exist."""
    for match in LINK.finditer(guides.prose(text_of(page))):
        path, _, anchor = match["target"].partition("#")
        if re.match(r"https?://|mailto:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        inside = anchor and target.suffix == ".md" and target.exists()
        if not target.exists() or (inside and anchor not in guides.sections(text_of(target))):
            yield f"{page.name} links to {match['target']}"


def test_links_inside_the_course_lead_somewhere():
    assert [link for page in PAGES for link in dead_links(page)] == []


def test_every_guide_is_in_the_index():
    index = text_of(guides.folder() / "README.md")
    assert [page.name for page in PAGES if page.stem != "README" and f"({page.name})" not in index] == []


def test_every_topic_is_linked_from_a_lesson_that_uses_it():
    """Myths have an entry page of their own; the index and the instructors' page are no reading for a lesson."""
    lessons = "".join(text_of(path) for path in (guides.folder().parents[1] / "lessons").rglob("*.ipynb"))
    others = r"README$|instructors$|myths_(?!measured)"
    topics = [page.name for page in PAGES if not re.match(others, page.stem)]
    assert [name for name in topics if f"guides/{name}" not in lessons] == []


@pytest.mark.parametrize("script", guides.figure_scripts(), ids=lambda path: path.stem)
def test_figure_is_what_its_script_draws(script):
    kept = script.with_suffix(".png")
    assert kept.exists(), f"run `make build`, which draws {kept.name}"
    assert guides.same_picture(guides.draw(script), kept.read_bytes()), (
        f"{kept.name} is old: run `make build`"
    )


def test_another_title_makes_another_picture():
    from io import BytesIO

    import matplotlib.pyplot as plt

    pictures = []
    for title in ("2 tied, 5 worse", "2 tied, 4 worse and 1 undecided"):
        figure, axes = plt.subplots(figsize=(7.2, 3.9))
        axes.set_title(title)
        figure.savefig(target := BytesIO(), dpi=200)
        pictures.append(target.getvalue())
        plt.close(figure)
    assert guides.same_picture(pictures[0], pictures[0])
    assert not guides.same_picture(*pictures)


def test_every_figure_is_shown_somewhere():
    shown = {match["target"] for path in PAGES for match in LINK.finditer(text_of(path))}
    drawn = {f"figures/{script.stem}.png" for script in guides.figure_scripts()}
    assert drawn <= shown


def sentences(path):
    """Sentences of a page, long enough not to be alike by chance."""
    for sentence in re.split(r"(?<=[.!?])\s+", guides.prose(text_of(path))):
        plain = " ".join(re.findall(r"\w+", sentence.lower()))
        if len(plain.split()) >= 8:
            yield plain


def test_no_two_guides_say_the_same_sentence():
    seen = {}
    for path in PAGES:
        for sentence in set(sentences(path)):
            assert sentence not in seen, f"{path.name} repeats {seen[sentence]}: {sentence}"
            seen[sentence] = path.name
