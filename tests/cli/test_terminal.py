"""Output on a terminal and elsewhere."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ganctl.cli import main
from ganctl.cli.option_names import pasteable
from ganctl.cli.terminal import Terminal, wrapped


@pytest.mark.parametrize("name", ["run", "a run", "it's", "läufe", "\x1b[2J\n", "\udcff\udcfe'"])
@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_any_name_can_be_pasted_into_a_shell(name):
    words = pasteable(Path(name))
    assert words.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {words}"], capture_output=True, check=True)
    assert os.fsdecode(done.stdout) == name


def test_results_go_to_stdout_and_messages_to_stderr(capsys):
    terminal = Terminal()
    terminal.result("result")
    terminal.note("note")
    terminal.error("error", "hint")
    out, err = capsys.readouterr()
    assert out == "result\n"
    assert err == "note\nganctl: error\n  hint\n"


def test_a_document_is_one_line_of_ascii_even_with_line_breaks_inside(capsys):
    Terminal().document({"text": "a\nb é"})
    assert capsys.readouterr().out == '{"text": "a\\nb \\u00e9"}\n'


def test_square_brackets_are_not_markup(capsys):
    terminal = Terminal()
    terminal.result("[bold]/out[1].png")
    terminal.error("[red]x", "[/]")
    terminal.table(("", ""), [("[bold]", "[/nothing]")])
    out, err = capsys.readouterr()
    assert "[bold]/out[1].png" in out
    assert "[/nothing]" in out
    assert err == "ganctl: [red]x\n  [/]\n"


def test_a_long_line_in_a_pipe_is_not_folded(capsys):
    Terminal().note("x" * 1000)
    assert capsys.readouterr().err == "x" * 1000 + "\n"


def test_a_long_cell_in_a_pipe_is_not_folded(capsys):
    """Commands and paths in tables are pasted and searched for."""
    Terminal().table(("", ""), [("command", "x" * 400)])
    assert "x" * 400 in capsys.readouterr().out


def test_inspect_is_bold_and_boxed_on_a_terminal(on_terminal, run):
    shown = on_terminal("inspect", run).out
    assert "\x1b[1m" in shown
    assert "╭" in shown


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_inspect_is_plain_on_request(on_terminal, run, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    shown = on_terminal("inspect", run).out
    assert "generator" in shown
    assert "\x1b" not in shown
    assert "╭" not in shown


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_help_has_no_color_on_request(on_terminal, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    shown = on_terminal("--help").out
    assert "interpolate" in shown
    codes = re.findall(r"\x1b\[([0-9;]*)m", shown)
    assert {part for code in codes for part in code.split(";")} <= {"0", "1", "2"}  # bold, dim


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("name", ["inspect", "interpolate"])
def test_a_pipe_whose_encoding_lacks_characters(run, tmp_path, name, options, encoding):
    """Under LC_ALL=C and in every pipe on Windows, only bars and arrows may be lost."""
    folder = tmp_path / "läufe"
    folder.mkdir()
    (folder / "ckpt.pt").write_bytes((run / "ckpt.pt").read_bytes())
    out = [] if name == "inspect" else ["-o", str(tmp_path / "x.gif")]
    pipe, err = io.TextIOWrapper(io.BytesIO(), encoding), io.StringIO()
    with contextlib.redirect_stdout(pipe), contextlib.redirect_stderr(err):
        code = main([name, str(folder), *out, *options])
    assert (code, err.getvalue()) == (0, "")
    pipe.flush()
    text = pipe.buffer.getvalue().decode(encoding)
    assert json.loads(text) if options else "seeds 0" in text or "digest" in text


def test_text_from_files_does_not_steer_the_terminal(capsys):
    terminal = Terminal()
    hostile = "\x1b[31mred\x1b]0;title\nnext"
    terminal.result(hostile)
    terminal.heading(hostile)
    terminal.table(("a",), [(hostile,)])
    terminal.note(hostile)
    out, err = capsys.readouterr()
    assert "red" in out
    assert "red" in err
    assert "\x1b" not in out + err
    assert "\nnext" not in out + err


PROSE = (
    "The discriminator takes a generated image for real with probability 0.42 in the last epoch."
)


@pytest.mark.parametrize("width", [20, 34, 60, 91, 200])
def test_prose_is_broken_between_words(width):
    lines = wrapped(PROSE, width).splitlines()
    assert " ".join(lines) == PROSE
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 or width < len(PROSE)
    indented = wrapped(f"  {PROSE}", width).splitlines()
    assert all(line.startswith("  ") and not line.startswith("   ") for line in indented)


def test_commands_and_quoted_text_are_not_broken():
    command = "ganctl train --resume --out '/a folder/of a run'"
    assert wrapped(f"To resume: {command}", 20).splitlines() == ["To resume:", command]
    assert wrapped(f"  {command}", 20) == f"  {command}"
    assert "'/a folder/of a run'" in wrapped("give '/a folder/of a run' instead", 12)


@pytest.mark.parametrize("columns", [40, 60])
def test_a_terminal_breaks_no_words(on_terminal, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = on_terminal("data").out
    assert max(map(len, shown.splitlines())) <= columns
    assert " ".join(shown.split()).startswith(
        "ganctl: missing argument: a folder, an archive or the name of a dataset "
    )


def test_a_long_cell_is_cut(capsys):
    """Every row is padded to the longest cell, and a stranger's file can have one of any length."""
    long = "x" * 4_000_000
    rows = [(long, "a", long), *[("run", "b", "c")] * 100]
    Terminal().table(("", "run", "name"), rows, left=2)
    Terminal().lines([("command", long), *[("digest", "d")] * 100])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:102])) < 5000
    assert lines[102] == f"command  {long}"  # what is to be copied is whole
    assert max(map(len, lines[103:])) < 20
