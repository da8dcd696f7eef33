import ast
import re
import traceback
from pathlib import Path, PurePosixPath

import ganctl
from ganctl import errors
from ganctl.errors import GanctlError, Setting, Text, UsageError


def test_an_error_carries_message_and_hint():
    error = GanctlError("it broke", "mend it")
    assert (str(error), error.message, error.hint) == ("it broke", "it broke", "mend it")
    assert GanctlError("it broke").hint is None


def test_python_spells_settings_as_arguments():
    error = GanctlError(
        Text("{} must be {}", Setting("lr_g"), "{small}"),
        Text("Try {} or {}.", Setting("lr_g", 0.001), Setting("resume", True)),
    )
    assert str(error) == "lr_g must be {small}"
    assert str(error.hint) == "Try lr_g=0.001 or resume=True."
    assert str(Setting("out", PurePosixPath("runs/a"))) == "out='runs/a'"  # any str will do


def test_a_traceback_shows_the_hint():
    shown = "".join(traceback.format_exception(GanctlError("it broke", "mend it")))
    assert shown.endswith("it broke\nmend it\n")


def test_only_wrong_usage_exits_with_2():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind: kind.exit_code for kind in kinds if issubclass(kind, GanctlError)}
    assert codes.pop(UsageError) == 2
    assert len(codes) >= 6
    assert set(codes.values()) == {1}


def test_messages_of_the_core_name_settings_not_options():
    """Python users have no --batch-size; `Setting` is what both front ends can spell."""
    package = Path(ganctl.__file__).parent
    option = re.compile(r"(?<![\w-])--[a-z]")
    command = re.compile(
        r"\b(ganctl|pip|tensorboard) |--c[,:]"
    )  # a whole command, or a variable of CSS
    found = [
        (path.name, node.value)
        for path in package.rglob("*.py")
        if "cli" not in path.relative_to(package).parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "\n" not in node.value  # a docstring of several lines
        and option.search(node.value)
        and not command.search(node.value)
    ]
    assert not found
