"""A training run of several processes, as the command line launches and ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from ipaddress import ip_address
from pathlib import Path

import groups
import numpy as np
import pytest
from torch.distributed import TCPStore

from ganctl import store
from ganctl.cli import processes
from ganctl.cli.signals import not_ignored
from ganctl.config.sources import STORE_FILE

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT")


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("value", [None, "", "two"])
def test_a_process_without_a_launcher_is_alone(monkeypatch, value):
    for name in LAUNCHED if value is not None else ():
        monkeypatch.setenv(name, value)
    assert (processes.world_size(), processes.num_restarts()) == (1, 0)
    assert processes._environment_number("RANK", 0) == 0
    assert processes.reports_failure()


def test_a_launched_process_reads_its_place_from_the_environment(monkeypatch):
    for name, value in zip(LAUNCHED, ("1", "1", "3", "2"), strict=True):
        monkeypatch.setenv(name, value)
    assert (processes.world_size(), processes.num_restarts()) == (3, 2)
    assert processes._environment_number("RANK", 0) == 1


@pytest.mark.parametrize("launcher", ["torchrun", "ganctl"])
def test_the_first_process_to_ask_reports_the_failure_once_per_attempt(
    monkeypatch, tmp_path, launcher
):
    hosted = TCPStore("localhost", 0, is_master=True)
    met = {"MASTER_ADDR": "localhost", "MASTER_PORT": hosted.port}
    if launcher == "ganctl":
        met = {STORE_FILE: tmp_path / "store"}
    for name, value in {"WORLD_SIZE": 2, "RANK": 1, **met}.items():
        monkeypatch.setenv(name, str(value))
    for attempt in range(2):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(attempt))
        assert [processes.reports_failure() for _ in range(3)] == [True, False, False]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN  # it is about to end as it is


@pytest.mark.parametrize("rank", [0, 1])
def test_without_a_store_rank_0_reports_the_failure(monkeypatch, rank):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert processes.reports_failure() == (rank == 0)


@posix
@pytest.mark.parametrize("code", [0, 1, 130, 143])
def test_the_launcher_itself_prints_nothing(cli, tmp_path, monkeypatch, code):
    """The launcher is silent even after Ctrl-C, which the terminal sends to it."""
    monkeypatch.setattr(processes, "launch", lambda *_: code)
    result = cli("train", "--num-processes", "2", "--out", tmp_path / "run")
    assert (result.code, result.out, result.err) == (code, "", "")


SLEEP = "import time; time.sleep(60)"


@posix
@pytest.mark.parametrize(
    ("programs", "code"),
    [
        (["", ""], 0),
        (["", "raise SystemExit(3)"], 3),
        ([SLEEP, "raise SystemExit(3)"], 3),
        ([SLEEP, "import os; os.kill(os.getpid(), 9)"], 1),
    ],
    ids=["all end well", "one fails", "one fails and the other goes on", "one is killed"],
)
def test_a_worker_that_fails_ends_the_others_and_gives_the_exit_code(programs, code):
    with processes._Workers() as workers:
        for program in programs:
            workers.start([sys.executable, "-c", program], os.environ)
        assert workers.wait() == code
    assert all(process.poll() is not None for process in workers._processes)


@posix
@pytest.mark.parametrize(
    ("program", "signals", "code"),
    [
        (SLEEP, [signal.SIGHUP], 129),
        (f"import signal; signal.signal(2, signal.SIG_IGN); {SLEEP}", [signal.SIGINT] * 2, 130),
        ("import signal; signal.signal(15, lambda *_: exit()); signal.pause()",
         [signal.SIGTERM], 0),
    ],
    ids=["passed on", "a second Ctrl-C does not wait", "came too late to stop it"],
)  # fmt: skip
def test_signals_are_passed_on_to_workers(tmp_path, program, signals, code):
    ready = tmp_path / "ready"
    first, _, last = program.rpartition(";")

    def send():
        while not ready.exists():
            time.sleep(0.01)
        for number in signals:
            os.kill(os.getpid(), number)
            time.sleep(0.05)

    sender = threading.Thread(target=send)
    sender.start()
    with processes._Workers() as workers:
        said = f"{first}; open({str(ready)!r}, 'w').close(); {last}"
        workers.start([sys.executable, "-c", said], os.environ)
        assert workers.wait() == code
    sender.join()


@posix
def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert not_ignored(["SIGTERM"]) == []
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert not_ignored(["SIGTERM"]) == [signal.SIGTERM]
    assert not_ignored(["SIGNONE"]) == []


@linux
def test_ctrl_z_suspends_the_workers_until_the_launcher_continues(monkeypatch):
    """The workers are in sessions of their own, which the terminal's SIGTSTP does not reach."""
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    monkeypatch.setattr(processes, "_SCREEN_SECONDS", 0.01)
    suspended = []

    def wait_for(states):
        for process in workers._processes:
            stat = Path(f"/proc/{process.pid}/stat")
            while stat.read_text().rpartition(") ")[2][0] not in states:
                time.sleep(0.01)

    monkeypatch.setattr(processes, "suspend", lambda: suspended.append(wait_for("T")))
    with processes._Workers() as workers:
        for _ in range(2):
            workers.start([sys.executable, "-c", SLEEP], os.environ)
        signal.raise_signal(signal.SIGTSTP)
        assert len(suspended) == 1
        wait_for("RS")


def test_modules_are_found_where_this_process_finds_them(monkeypatch, tmp_path):
    """The installed command finds none in the user's folder; its processes must not either."""
    (tmp_path / "queue.py").write_text("raise SystemExit('from the wrong place')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/somewhere/bin", *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, *processes._python_options(), "-m", "queue"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert processes._python_options() == []


@pytest.fixture
def options(fast_options):
    """Options of a quick run with 4 steps per epoch."""
    return [*map(str, fast_options), "--timeout", "30", "--no-preview", "--set", "num_samples=1"]


def listening(pid):
    """Return the addresses on which a process accepts connections."""
    links = [
        str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()
    ]
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in links:
                words = bytes.fromhex(local.partition(":")[0])
                turned = [words[each : each + 4][::-1] for each in range(0, len(words), 4)]
                found.append(ip_address(b"".join(turned)))
    return found


@linux
def test_after_a_killed_process_all_restart_and_end_with_the_same_bits(ok, tmp_path, options):
    """One process can resume a checkpoint of two, and the other way around."""
    # Two long epochs: whatever is drawn at an epoch's end takes longer than its steps.
    arguments = ["train", *options, "--limit", "960", "--epochs", "2"]
    launcher = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "--max-restarts", "1", "-m", "ganctl", *arguments, "--out", str(tmp_path / "killed"),
         "--save-every", "0.05"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        groups.begun(launcher, tmp_path / "killed", step=3)
        os.kill(groups.members(launcher)[-1], signal.SIGKILL)
        _, said = launcher.communicate(timeout=60)
    finally:
        launcher.kill()
    assert launcher.returncode == 0, said
    assert "Traceback" not in said
    starts = store.RunDirectory(tmp_path / "killed").read_starts()
    assert len(starts) == 2, said
    assert 0 < starts[1]["from_step"] < 120
    undisturbed = [*arguments, "--out", tmp_path / "undisturbed"]
    assert [code for code, _ in groups.command([undisturbed] * 2)] == [0, 0]
    assert groups.end_equal(tmp_path / "killed", tmp_path / "undisturbed")

    again = ["train", "--resume", "--out", tmp_path / "killed", "--epochs"]
    said = ok(*again, "3").err
    assert "may differ in rounding: processes was 2, now 1" in said
    assert [code for code, _ in groups.command([[*again, "4"]] * 2)] == [0, 0]
    assert groups.saved(tmp_path / "killed").step == 240


@linux
def test_two_launchers_train_one_run(tmp_path, options):
    """The launchers could be on two machines; here both use the loopback address."""
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    launchers = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node",
             "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}", "--rdzv-id",
             "both", "--local-addr", "localhost", "-m", "ganctl", "train", *options, "--epochs",
             "1", "--json", "--out", str(tmp_path / "run")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        said = [launcher.communicate(timeout=90) for launcher in launchers]
    finally:
        for launcher in launchers:
            launcher.kill()
    assert [launcher.returncode for launcher in launchers] == [0, 0], said
    assert sorted(bool(out) for out, _ in said) == [False, True]  # only one process prints
    made_by = store.read_checkpoint(tmp_path / "run").made_by
    assert made_by["processes"] == 2


@linux
def test_no_port_is_open_to_others_at_any_time_with_default_options(command, tmp_path):
    process = subprocess.Popen(
        [*command, "train", "--num-processes", "2", "--limit", "64", "--epochs", "1", "--json",
         "--out", str(tmp_path / "run")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen = set()
    try:
        while process.poll() is None:
            for pid in (process.pid, *groups.members(process)):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                    seen.update(listening(pid))
            time.sleep(0.1)
        said = process.communicate()[1]
    finally:
        process.kill()
    assert process.returncode == 0, said
    history = store.read_checkpoint(tmp_path / "run").history
    assert history[0]["frechet_distance"] is not None  # measured by one, while the other waits
    assert seen  # gloo's
    assert all(address.is_loopback for address in seen), seen


@linux
def test_no_port_is_open_to_others_and_sigterm_ends_all_processes(command, tmp_path, options):
    process = subprocess.Popen(
        [*command, "train", *options, "--epochs", "1000", "--num-processes", "2", "--out",
         str(tmp_path / "run"), "--save-every", "0.05"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        groups.begun(process, tmp_path / "run")
        both = groups.members(process)
        # Nobody on the network reaches any of them, whatever this machine's name leads to.
        assert listening(process.pid) == []
        for pid in both:
            assert all(address.is_loopback for address in listening(pid))
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            assert b"GLOO_SOCKET_IFNAME=lo" in environment
            assert b"NCCL_SOCKET_IFNAME=lo" in environment
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143, said
    assert len(both) == 2
    assert not any(os.path.exists(f"/proc/{pid}") for pid in both)  # noqa: PTH110
    assert out == ""
    assert said.count("ganctl: stopped and saved at step") == 1
    assert said.splitlines()[-1].strip().startswith("To resume: ganctl train --resume")
    step = int(said.split("saved at step ")[1].split()[0].replace(",", ""))
    assert store.read_checkpoint(tmp_path / "run").step == step


@posix
def test_one_failure_ends_all_processes_with_one_message(tmp_path, options):
    here = ["train", *options, "--timeout", "2", "--out", tmp_path / "run"]
    lacking = [*here, "--data", tmp_path / "not here"]
    (first, said), (second, says_more) = groups.command([here, lacking])
    assert "not here" in says_more
    assert (first, second) == (1, 1)
    assert "another process" not in said + says_more
    assert "Traceback" not in said + says_more
    assert not (tmp_path / "run" / "ckpt.pt").exists()


@posix
def test_all_processes_hold_out_the_same_images(ok, tmp_path, options):
    np.save(
        tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (80, 8, 8), np.uint8)
    )
    own = ["--data", tmp_path / "images.npy", "--holdout", "0.2", "--limit", "80", "--out"]
    arguments = ["train", *options, "--epochs", "1", *own]
    assert [code for code, _ in groups.command([[*arguments, tmp_path / "two"]] * 2)] == [0, 0]
    ok(*arguments, tmp_path / "one")
    two, one = (groups.saved(tmp_path / name) for name in ("two", "one"))
    assert two.data == one.data
    assert (two.data["num_images"], two.data["num_held_out"]) == (64, 16)
    assert two.history[0]["g_loss"] == pytest.approx(one.history[0]["g_loss"], rel=1e-4)


@posix
def test_wrong_usage_is_reported_once(tmp_path, options):
    results = groups.command([["train", *options, "--batch-size", "1"]] * 2)
    assert {code for code, _ in results} == {2}
    assert "".join(said for _, said in results).count("ganctl: ") == 1


def test_numbers_of_processes_that_are_refused(cli, tmp_path, options, monkeypatch):
    monkeypatch.setattr(processes, "launch", lambda *_: pytest.fail("nothing is to be started"))
    result = cli("train", *options, "--dry-run", "--num-processes", "2")
    assert (result.code, "one process" in result.err) == (2, True)
    assert cli("train", *options, "--num-processes", "0").code == 2
    assert cli("train", *options, "--timeout", "0.5").code == 2
