"""The README shows what CI runs, and the targets of all links and pictures of the pages exist.

The build of the site (.ci/run) checks the links among the pages of docs/ as it resolves them. Here
all links are checked as a code host resolves them, also in the README and the changelog.
"""

import functools
import re
import shlex
import tarfile
import tomllib
from pathlib import Path

import pytest
import typer

import ganctl
from ganctl.cli import main
from ganctl.cli.app import app
from ganctl.datasets import mnist
from ganctl.evaluation import comparison, evaluator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
PICTURES = sorted((ROOT / "docs/images").iterdir())


def test_ci_runs_the_readmes_test_command() -> None:
    (test,) = re.findall(r"```sh\n(.+pytest)\n```", README)
    assert test in (ROOT / ".ci/run").read_text("utf-8").splitlines()


def anchors(page: Path) -> set[str]:
    """Return the anchors that a code host gives to the page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """Return the page's links to files and headings that do not exist."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    dead = []
    for link in (link for link in links if "://" not in link):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


def pictures(page: Path) -> list[tuple[Path, str]]:
    """Return the page's pictures, each with the paragraph before it and the two after it."""
    blocks = page.read_text("utf-8").split("\n\n")
    return [
        (page.parent / picture[1], "\n".join(blocks[max(i - 1, 0) : i] + blocks[i + 1 : i + 3]))
        for i, block in enumerate(blocks)
        if (picture := re.match(r"!\[.*\]\((.+)\)", block))
    ]


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert not dead_links(page)


def test_a_dead_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b` (c)\n[1](#a-b-c) [2](#d) [3](gone.md) [4](page.md#e) [5](page.md)")
    assert dead_links(page) == ["#d", "gone.md", "page.md#e"]


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_every_picture_has_the_command_that_makes_it_beside_it(page: Path) -> None:
    command = re.compile(r"(^|`| {4})(ganctl|python|jupyter) [a-z./]", flags=re.MULTILINE)
    assert not [path.name for path, beside in pictures(page) if not command.search(beside)]


def test_every_picture_is_shown() -> None:
    shown = {path.resolve() for page in DOCS for path, _ in pictures(page)}
    assert shown == set(PICTURES)


def test_the_python_reference_has_every_name() -> None:
    """The site's build would silently skip a name in `members` that no longer exists."""
    page = (ROOT / "docs/api.md").read_text("utf-8")
    entry = r"^::: ganctl\.(\w+)(?![\w.])(?:\n.+\n +members: \[(.+)\])?"
    entries = re.findall(entry, page, re.MULTILINE)
    assert {name for name, _ in entries} == {*ganctl.__all__} - {"__version__"}
    listed = [(name, member) for name, all_ in entries if all_ for member in all_.split(", ")]
    assert listed
    assert not [names for names in listed if not hasattr(getattr(ganctl, names[0]), names[1])]


def ganctl_commands(page: str) -> list[list[str]]:
    """Return the words after `ganctl` of each command line; the command's name is one word."""
    return [named(redirected(words)[0]) for words in command_lines(page)]


def command_lines(page: str) -> list[list[str]]:
    """Return the words after `ganctl` of each line in the page's shell blocks, up to a pipe."""
    blocks = "\n".join(re.findall(r"```sh\n(.+?)```", page, flags=re.DOTALL))
    blocks = blocks.replace("\\\n", " ")
    lines = re.findall(r"^(?:.*/)?ganctl ([^|\n]+)", blocks, flags=re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def redirected(words: list[str]) -> tuple[list[str], str | None]:
    """Return `words` up to a >, and the file after it."""
    at = words.index(">") if ">" in words else None
    return words[:at], None if at is None else words[at + 1]


def named(words: list[str]) -> list[str]:
    """Return `words` with the command's name as one word, even if it has two: 'data pack'."""
    name = " ".join(words[:2])
    known = {command.name for command in app.registered_commands}
    return [name, *words[2:]] if name in known else words


def test_the_readme_shows_every_command() -> None:
    shown = {name for name, *_ in ganctl_commands(README)}
    shown |= set(
        re.findall(r"`ganctl (\w+)", README)
    )  # or names it: bench would take a minute here
    assert shown == {command.name for command in app.registered_commands}


def test_the_readme_names_every_extra() -> None:
    """In one table, without those that only developers need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    table = README.split("## Extras")[1].split("\n## ")[0]
    named = re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)
    extras = {*project["optional-dependencies"]} - {"test", "dev", "docs", "fuzz"}
    assert sorted(named) == sorted(extras)


@pytest.mark.parametrize(
    "words",
    [words for page in DOCS for words in ganctl_commands(page.read_text("utf-8"))],
    ids=" ".join,
)
def test_every_option_that_is_shown_parses(words: list[str]) -> None:
    """Commands are parsed but not run; an option that no longer exists is refused."""
    name, *arguments = words
    typer.main.get_command(app).commands[name].make_context(name, arguments)


def test_an_option_that_is_no_more_would_not_parse() -> None:
    """Parsing refuses unknown options, so that the test above proves something."""
    (words,) = ganctl_commands("```sh\nganctl sample run --no-such-option 4  # a grid\n```")
    with pytest.raises(typer.TyperException, match="--no-such-option"):
        test_every_option_that_is_shown_parses(words)


CHEAP = {"LIMIT": 256, "EPOCHS": 1, "BASE_CHANNELS": 4, "LATENT_DIM": 8, "EVAL_SAMPLES": 10,
         "NUM_SAMPLES": 10, "THREADS": 1}  # fmt: skip
"""Settings from the environment that make all commands fast."""


@pytest.fixture
def reader(tmp_path, photos, monkeypatch):
    """A folder with what a reader who follows a page has: photographs and WebDataset shards."""
    monkeypatch.chdir(tmp_path)
    for name, value in CHEAP.items():
        monkeypatch.setenv(f"GANCTL_{name}", str(value))
    for module in (evaluator, comparison):
        monkeypatch.setattr(module, "DEFAULT_SAMPLES", 200)
    for load in (mnist.load_train, mnist.load_test):
        few = [array[:1000] for array in load()]
        monkeypatch.setattr(mnist, load.__name__, functools.partial(tuple, few))
    for number in range(3):  # 36 images: a batch of the preset's own size
        for path in sorted(photos.rglob("*.png"))[:12]:
            (path.parent / f"copy-{number}-{path.name}").write_bytes(path.read_bytes())
    (tmp_path / "webdataset").mkdir()
    for number in range(128):
        with tarfile.open(tmp_path / f"webdataset/{number:03}.tar", "w") as shard:
            shard.add(photos / "cat/0.png", f"{number}.png")


@pytest.mark.timeout(900)  # half a minute where nothing else is running
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_commands_work_as_they_stand_one_after_the_other(page, reader, capsys) -> None:
    for line in command_lines((ROOT / page).read_text("utf-8")):
        words, file = redirected(line)
        code = main(words)
        printed = capsys.readouterr()
        assert code == 0, f"{shlex.join(words)}: {printed.err}"
        if file is not None:
            Path(file).write_text(printed.out, "utf-8")
