"""Parts of a batch are computed at the same time, and their results come in order."""

import threading

import pytest
import torch

from ganctl.config.presets import preset
from ganctl.config.schema import override
from ganctl.training.workers import Workers, num_workers, threads_in_operators


def test_parts_are_computed_at_the_same_time_each_by_one_thread() -> None:
    barrier = threading.Barrier(3, timeout=60)

    def work(part: int) -> tuple[int, int]:
        barrier.wait()  # ends only if all three are there
        return part, torch.get_num_threads()

    own = torch.get_num_threads()
    assert Workers(3).map(work, [5, 6, 7]) == [(5, own), (6, 1), (7, 1)]


def test_one_part_is_computed_where_it_is_asked_for() -> None:
    for workers in (Workers(1), Workers(2)):
        assert workers.map(lambda _: threading.current_thread(), [0]) == [
            threading.current_thread()
        ]


def test_an_error_is_that_of_the_first_part_that_fails_after_all_have_ended() -> None:
    ended = []

    def work(part: int) -> None:
        ended.append(part)
        if part:
            raise ValueError(part)

    for parts in ([0, 1, 2], [1, 0, 2]):
        ended.clear()
        with pytest.raises(ValueError, match="1"):
            Workers(3).map(work, parts)
        assert sorted(ended) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "threads", "num_processes", "expected"),
    [("fast", 4, 1, 4), ("guided", 2, 1, 2), ("fast", None, 1, 1), ("dcgan", 4, 1, 1)],
)
def test_only_images_that_do_not_depend_on_one_another_are_computed_in_parts(
    name: str, threads: int | None, num_processes: int, expected: int
) -> None:
    config = override(preset(name), {"threads": threads})
    assert num_workers(config, num_processes) == expected
    assert threads_in_operators(config, num_processes) == (1 if expected > 1 else threads)
