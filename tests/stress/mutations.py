"""Mutate files of every kind; each must be read like the original or refused in plain words.

    python tests/stress/mutations.py [--count 20000] [--seed 0] [--only FAMILY] [--keep FOLDER]

A file is a function of (seed, family, index). A child process reads each, under limits on CPU time
and address space: if it is killed, the file that it was reading is to blame. A file fails if it
gives anything but a result or a GanctlError, executes anything, or takes more memory than its judge
allows. A checkpoint that is read must equal the original bit by bit. If only its digest is wrong,
it is read again as if a forger had made the digest match: `inspect`, `sample` and a resume must
then use it or refuse it in plain words. Failures are kept in a folder.
"""

from __future__ import annotations

import argparse
import copyreg
import itertools
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mutants import archives, code, content, programs, strangers
from mutants.base import Base, bit_flips, byte_runs, original, truncation
from mutants.judging import Checkpoints, Judge

from ganctl.checkpoint import encode

CPU_LIMIT = 30
"""Seconds that a file may take before its process is killed."""
HEADROOM = 2**30
"""Bytes of address space above what the process begins with."""

CHECKPOINTS: dict[str, strangers.Family] = {
    "truncations": truncation,
    "bit flips": bit_flips,
    "byte runs": byte_runs,
    "zip fields": archives.zip_fields,
    "zip members": archives.zip_members,
    "zip bombs": archives.zip_bombs,
    "zip directories": archives.large_directories,
    "content": content.edits,
    "tensors": content.tensor_edits,
    "programs": programs.programs,
    "tensor programs": programs.tensor_programs,
    "nesting": programs.nesting,
    "large": programs.large,
    "code": code.code_in_pickles,
    "other files": code.other_files,
}
FAMILIES = (*CHECKPOINTS, *strangers.KINDS)


@dataclass
class Row:
    """Counts of the results of a family's files."""

    files: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    memory: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """A job: a mutated file to make and judge."""

    family: str
    index: int

    @property
    def kind(self) -> str:
        """Kind of the mutated file: a checkpoint, unless the family has its own kind."""
        return "checkpoints" if self.family in CHECKPOINTS else self.family


class Mutations:
    """The mutated files of one seed."""

    def __init__(self, seed: int, keep: Path) -> None:
        self.seed = seed
        self.keep = keep.absolute()
        self.bases = {
            "checkpoints": [Base(encode(original(preset))) for preset in ("fast", "dcgan")],
            **{
                name: [Base(data) for data in honest()]
                for name, (_, honest, _) in strangers.KINDS.items()
            },
        }

    def jobs(self, count: int, only: str | None) -> list[Job]:
        """Return about `count` jobs, the same number for each family that has so many.

        From 10,000 on, families with a fixed number of files get all of them.
        """
        names = [only] if only else list(FAMILIES)
        whole = count >= 10_000
        ends = {
            "truncations": len(self.bases["checkpoints"][0].data),
            "code": code.FORMS * len(code.calls()),
            # They take seconds.
            "large": len(programs.LARGE) * (len(programs.LARGE_SIZES) if whole else 1),
            "zip directories": 4 * (len(archives.LARGE_DIRECTORIES) if whole else 1),
        }
        share = -(-count // len(names))
        jobs = []
        for name in names:
            end = ends.get(name, share)
            step = 1 if whole else max(1, end // share)
            jobs += [Job(name, index) for index in range(0, end, step)]
        return jobs

    def make(self, job: Job) -> bytes:
        """Return the file of a job."""
        rng = random.Random(f"{self.seed} {job.family} {job.index}")
        bases = self.bases[job.kind]
        base = bases[0 if job.family == "truncations" else rng.randrange(len(bases))]
        if job.family in CHECKPOINTS:
            return CHECKPOINTS[job.family](base, rng, job.index)
        return rng.choice(strangers.KINDS[job.family][2])(base, rng, job.index)

    def judge(self, kind: str, folder: Path) -> Judge:
        """Return the judge of a kind of file."""
        data = [base.data for base in self.bases[kind]]
        if kind == "checkpoints":
            return Checkpoints(data, folder)
        return strangers.KINDS[kind][0](data, folder)

    def run(self, jobs: list[Job]) -> dict[str, Row]:
        """Do each job in a child process; a new one continues after a file that killed the last."""
        rows = {job.family: Row() for job in jobs}
        for _, group in itertools.groupby(jobs, lambda job: job.kind):
            left = list(group)
            while left:
                ended, how = self._child(left, rows)
                left = left[ended:]
                if how == "exit code 1":
                    raise SystemExit("an honest file was not read, or none could be made")
                if left:
                    self._failed(rows, left.pop(0), f"killed the process: {how}")
        return rows

    def _child(self, jobs: list[Job], rows: dict[str, Row]) -> tuple[int, str]:
        """Return how many of `jobs`, of one kind, a child has done, and how it ended."""
        reading, writing = os.pipe()
        sys.stdout.flush()
        process = os.fork()
        if not process:
            code = 1
            try:
                os.close(reading)
                with open(writing, "w") as out, tempfile.TemporaryDirectory() as folder:  # noqa: PTH123
                    self._deal(jobs, Path(folder), lambda line: print(line, file=out, flush=True))
                    os.chdir("/")
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writing)
        ended = 0
        with open(reading) as lines:  # noqa: PTH123
            for line in lines:
                job, answer = jobs[ended], json.loads(line)
                ended += 1
                if isinstance(answer, str):
                    self._failed(rows, job, answer)
                    continue
                row = rows[job.family]
                outcome, seconds, memory = answer
                row.files += 1
                row.outcomes[outcome] = row.outcomes.get(outcome, 0) + 1
                row.seconds = max(row.seconds, seconds)
                row.memory = max(row.memory, memory)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return ended, signal.Signals(-status).name if status < 0 else f"exit code {status}"

    def _deal(self, jobs: list[Job], folder: Path, tell: Callable[[str], None]) -> None:
        copyreg.add_extension("os", "mkdir", 240)  # for EXT1, EXT2 and EXT4
        judge = self.judge(jobs[0].kind, folder)
        judge.warm()
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + HEADROOM, size + HEADROOM))
        for job in jobs:
            data = self.make(job)
            signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT)  # not caught: it kills
            try:
                found = judge.read(data)
                answer = json.dumps([found.outcome, found.seconds, found.memory])
            except Exception:
                answer = json.dumps(traceback.format_exc())
                judge.clear()
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            tell(answer)

    def _failed(self, rows: dict[str, Row], job: Job, why: str) -> None:
        row = rows[job.family]
        row.files += 1
        row.failures.append(f"{job.family} {job.index} of seed {self.seed}: {why}")
        self.keep.mkdir(parents=True, exist_ok=True)
        name = f"{job.family.replace(' ', '-')}-{job.index}-seed-{self.seed}"
        (self.keep / f"{name}.bin").write_bytes(self.make(job))
        (self.keep / f"{name}.txt").write_text(why)


def show(rows: dict[str, Row]) -> None:
    """Print the table."""
    heads = ("files", "equal", "refused", "accepted", "failed", "worst CPU s", "worst MiB")
    print(f"{'family':16}" + "".join(f"{head:>12}" for head in heads))
    total = Row()
    for name, row in [*rows.items(), ("all", total)]:
        counts = [row.outcomes.get(outcome, 0) for outcome in ("equal", "refused", "accepted")]
        numbers = [row.files, *counts, len(row.failures)]
        print(f"{name:16}" + "".join(f"{number:12}" for number in numbers), end="")
        print(f"{row.seconds:12.3f}{row.memory / 2**20:12.1f}")
        total.files += row.files
        total.failures += row.failures
        total.seconds, total.memory = max(total.seconds, row.seconds), max(total.memory, row.memory)
        for outcome, number in row.outcomes.items():
            total.outcomes[outcome] = total.outcomes.get(outcome, 0) + number


def main() -> int:
    """Print what happened; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=FAMILIES, help="one family alone")
    parser.add_argument("--keep", type=Path, default=Path("mutations-failed"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # threads do not live on in a child
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    mutations = Mutations(chosen.seed, chosen.keep)
    rows = mutations.run(mutations.jobs(chosen.count, chosen.only))
    show(rows)
    failures = [failure for row in rows.values() for failure in row.failures]
    for failure in failures[:20]:
        print(f"\n{failure}")
    print(f"{len(failures)} failures, {time.monotonic() - begun:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
