"""What the README says is what CI runs, and what it links to is there."""

import re
from pathlib import Path

import pytest

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


def test_every_ganctl_command_in_the_readme_is_one_that_parses() -> None:
    from ganctl.cli import app

    commands = {command.name for command in app.registered_commands}
    blocks = "\n".join(re.findall(r"```sh\n(.+?)```", README, flags=re.DOTALL))
    used = re.findall(r"(?:^|/)ganctl (\w+)", blocks, flags=re.MULTILINE)
    assert set(used) == commands
