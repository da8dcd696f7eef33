"""What the README says is what CI runs, and what it links to is there."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from ganctl.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_ci_runs_the_readmes_test_command() -> None:
    _train, test = re.findall(r"```sh\n(.+?)\n```", README.partition("## Two lines")[2])[:2]
    assert "pytest" in test
    assert test in (ROOT / ".ci/run").read_text("utf-8").splitlines()


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    local = [target.partition("#")[0] for target in targets if "://" not in target]
    missing = [target for target in local if target and not (page.parent / target).exists()]
    assert not missing


def ganctl_commands(page: str) -> list[list[str]]:
    """The words after `ganctl` of every command line in the page's shell blocks."""
    blocks = "\n".join(re.findall(r"```sh\n(.+?)```", page, flags=re.DOTALL))
    lines = re.findall(r"^(?:.*/)?ganctl (.+)$", blocks, flags=re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_the_readme_shows_every_command() -> None:
    shown = {name for name, *_ in ganctl_commands(README)}
    assert shown == {command.name for command in app.registered_commands}


@pytest.mark.parametrize(
    "words",
    [words for page in DOCS for words in ganctl_commands(page.read_text("utf-8"))],
    ids=" ".join,
)
def test_every_option_that_is_shown_parses(words: list[str]) -> None:
    """Commands are parsed, not run; an option that is no more is refused here as to a user."""
    name, *arguments = words
    typer.main.get_command(app).commands[name].make_context(name, arguments)


def test_an_option_that_is_no_more_would_not_parse() -> None:
    """Else the test above would prove nothing."""
    (words,) = ganctl_commands("```sh\nganctl sample run --no-such-option 4  # a grid\n```")
    with pytest.raises(typer.TyperException, match="--no-such-option"):
        test_every_option_that_is_shown_parses(words)
