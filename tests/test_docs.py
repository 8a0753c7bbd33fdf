"""The documentation holds together: links lead somewhere, lines are short, a measurement says what it shows and how."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
INDEX = DOCS / "index.md"
GUIDES = sorted(DOCS.rglob("*.md"))
MEASUREMENTS = sorted(set((DOCS / "measurements").glob("*.md")) - {DOCS / "measurements" / "index.md"})
OURS = [ROOT / "README.md", *GUIDES]  # written by hand; cards are written by tools/model_card.py
EVERY = [*OURS, ROOT / "CHANGELOG.md", *sorted((ROOT / "saved_models").glob("*/README.md"))]
LONGEST = 125

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)(?:    .*\n)+")
INLINE = re.compile(r"`(?:[^`\n]|\n(?!\n))*`")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")  # of pictures, too
SCRIPT = re.compile(r"\b(?:benchmarks|tools)/\w+\.(?:py|sh)\b")
COMMAND = re.compile(r"^    (?:python (?:benchmarks|tools)/\w+\.py|gekeras \w+)", re.MULTILINE)


def parametrize(files):
    return pytest.mark.parametrize("path", files, ids=lambda path: path.relative_to(ROOT).as_posix())


@cache
def text_of(path):
    return path.read_text(encoding="utf-8")


def prose_of(text):
    """A page without fenced, indented and inline code."""
    return INLINE.sub("", INDENTED.sub("", FENCED.sub("", text)))


def links_in(text):
    """The relative links of a page as (path, anchor), either of which may be empty."""
    return [target.partition("#")[::2] for target in LINK.findall(prose_of(text)) if ":" not in target]


def anchors_in(text):
    """What GitHub makes of the headings: lower case, no punctuation, hyphens for spaces, -1 for the second of a name."""
    found, seen = [], Counter()
    for heading in HEADING.findall(FENCED.sub("", text)):
        name = re.sub(r"[^\w\- ]", "", LINK.sub(lambda link: link[0].split("](")[0], heading).lower()).replace(" ", "-")
        found.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def broken_links(path, text):
    """The links of a page that lead nowhere: to no file, or to no heading of one."""
    broken = []
    for name, anchor in links_in(text):
        target = (path.parent / name).resolve() if name else path
        if not target.is_file() or (anchor and anchor not in anchors_in(text if not name else text_of(target))):
            broken.append(f"{name}#{anchor}" if anchor else name)
    return broken


def first_sentence(paragraph):
    return re.split(r"(?<=[.!?])\s", " ".join(paragraph.split()))[0]


def reached_from(page):
    """The pages of docs/ that links lead to from a page, itself included."""
    reached, waiting = set(), [page]
    while waiting:
        path = waiting.pop()
        if path not in reached and DOCS in path.parents and path.suffix == ".md" and path.is_file():
            reached.add(path)
            waiting += [(path.parent / name).resolve() for name, _ in links_in(text_of(path)) if name]
    return reached


@parametrize(EVERY)
def test_links_lead_somewhere(path):
    assert not broken_links(path, text_of(path))


@parametrize(OURS)
def test_lines_are_short(path):
    """Rows of tables are as long as they are; of a link the target does not count."""
    lines = [re.sub(r"\]\([^)]*\)", "]", line) for line in text_of(path).splitlines()]
    long = [f"line {n}: {len(line)}" for n, line in enumerate(lines, 1) if len(line) > LONGEST and line[:1] != "|"]
    assert not long, f"longer than {LONGEST}"


@parametrize(MEASUREMENTS)
def test_a_measurement_opens_with_its_conclusion(path):
    """And the list of measurements repeats it word for word."""
    heading, paragraph = text_of(path).split("\n\n")[:2]
    assert re.fullmatch(r"# \S.*", heading)
    assert re.match(r"[A-Z]", paragraph), f"no paragraph, but {paragraph!r}"
    conclusion = first_sentence(paragraph)
    assert conclusion.endswith(".")
    listed = " ".join(text_of(path.parent / "index.md").split())
    assert f"]({path.name}): {conclusion}" in listed, "measurements/index.md says something else"


@parametrize(MEASUREMENTS)
def test_a_measurement_has_its_command(path):
    assert COMMAND.search(text_of(path)), "no line of `python benchmarks/...`, `python tools/...` or `gekeras ...`"
    missing = [name for name in SCRIPT.findall(text_of(path)) if not (ROOT / name).is_file()]
    assert not missing


@parametrize(GUIDES)
def test_is_reached_from_the_index(path):
    assert path in reached_from(INDEX)


def test_there_are_pages():
    """What globs find nothing of is tested by nothing."""
    assert INDEX in GUIDES
    assert len(MEASUREMENTS) > 1


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("## What is compared", "what-is-compared"),
        ("### 4. Starters", "4-starters"),
        ("## Generators and encoders of one's own", "generators-and-encoders-of-ones-own"),
        ("# The `l2` prior, and [λ](notation.md)", "the-l2-prior-and-λ"),
        ("## A - b_c", "a---b_c"),
    ],
)
def test_anchors_by_hand(heading, anchor):
    assert anchors_in(heading) == [anchor]


def test_headings_of_one_name_are_counted():
    text = "# Rock\n\n## Faces\n\n```\n# no heading\n```\n\n## Faces\n\n## Faces\n"
    assert anchors_in(text) == ["rock", "faces", "faces-1", "faces-2"]


@pytest.mark.parametrize(
    ("link", "fine"),
    [
        ("[here](#some-words)", True),
        ("[there](docs/index.md)", True),
        ("[there](docs/index.md#gekeras)", True),
        ("![picture](docs/images/solve-superres.png)", True),
        ("[outside](https://example.org/nothing)", True),
        ("`[no link](nowhere.md)`", True),
        ("[`code`](nowhere.md)", False),
        ("[folder](docs)", False),
        ("[here](#other-words)", False),
        ("[there](docs/index.md#nothing)", False),
        ("![picture](docs/images/nothing.png)", False),
        ("[two\nlines](nowhere.md)", False),
    ],
)
def test_broken_links_are_found(link, fine):
    assert (not broken_links(ROOT / "README.md", f"# Some words\n\nA line with {link}.\n")) == fine
