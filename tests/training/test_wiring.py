"""The connections between the parts of a training run.

The parts have tests of their own. Here hooks on both networks record every image, class and latent
of a run on distinct images, and the record is compared with what the settings say.
"""

import functools
import hashlib
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from ganctl import devices, features, metrics
from ganctl.config import schema
from ganctl.config.schema import SETTINGS
from ganctl.datasets import loading, mnist
from ganctl.datasets.dataset import epoch_order
from ganctl.evaluation.evaluator import EpochEvaluator
from ganctl.features import extract
from ganctl.history import QUALITY_METRICS, STEP_METRICS
from ganctl.sampling import sample_seeds
from ganctl.store import read_checkpoint
from ganctl.training import loop, session

NUM_IMAGES, BATCH, STEPS_PER_EPOCH = 40, 16, 3
ALL = "color,translation,cutout"


def level(number):
    """Return the gray level of image `number`, 2 to 158; its right half is one level lighter."""
    return 2 + 4 * number


def _images(*, inverted=False):
    columns = np.arange(28) >= 14
    images = np.stack([np.tile(level(n) + columns, (28, 1)) for n in range(NUM_IMAGES)])
    images = images.astype(np.uint8)
    return 255 - images if inverted else images, np.arange(NUM_IMAGES, dtype=np.uint8) % 10


@pytest.fixture(autouse=True)
def distinct_images(monkeypatch):
    """Replace MNIST by 40 distinct images, and its test images by others."""
    monkeypatch.setattr(mnist, "load_train", _images)
    monkeypatch.setattr(mnist, "load_test", functools.partial(_images, inverted=True))


@dataclass
class Recorded:
    """The inputs of both networks and the outputs of the generator, call by call."""

    ready: session.Session
    judged: list = field(default_factory=list)
    """The (step, images, classes) of each call of the discriminator."""
    drawn: list = field(default_factory=list)
    """The (step, latents with classes, images) of each call of the generator in training."""
    precisions: set = field(default_factory=set)

    def of_step(self, step):
        """Return the images and classes that the discriminator was given in `step`."""
        return [(images, classes) for at, images, classes in self.judged if at == step]

    @property
    def num_steps(self):
        return self.ready.state.step


@pytest.fixture
def recorded(tmp_path, tiny_config, train):
    """Return a function that trains with given settings and records it."""
    runs = iter(range(1000))

    def go(preset="fast", **changes):
        ready = session.new(tiny_config(preset, **changes), tmp_path / f"run-{next(runs)}", "cpu")
        record = Recorded(ready)
        state = ready.state

        def on_judge(_module, inputs):
            images, *classes = (x if x is None else x.detach().clone() for x in inputs)
            record.judged.append((state.step, images, classes[0] if classes else None))

        def on_draw(_module, inputs, images):
            made = images.detach().float().clone()
            record.drawn.append((state.step, inputs[0].detach().clone(), made))

        def on_layer(_module, _inputs, output):
            record.precisions.add(output.dtype)

        state.discriminator.register_forward_pre_hook(on_judge)
        state.generator.register_forward_hook(on_draw)
        next(m for m in state.discriminator.modules() if not [*m.children()]).register_forward_hook(
            on_layer
        )
        record.outcome, record.recorder = train(ready)
        return record

    return go


def pixels(images):
    """Return images as in the data set, uint8 (N, H, W)."""
    return ((images[:, 0].float() + 1) * 127.5).round().to(torch.uint8)


def numbers(images):
    """Return the numbers of these images in the data set."""
    return ((pixels(images).amin((1, 2)).long() - 2) // 4).tolist()


def reals_of(record, step):
    """Return the real images that the discriminator judged first in `step`, and their classes."""
    images, classes = record.of_step(step)[0]
    count = len(record.ready.dataset) - step % STEPS_PER_EPOCH * BATCH
    return images[: min(BATCH, count)], None if classes is None else classes[: min(BATCH, count)]


def epoch_of(record, epoch):
    steps = range(epoch * STEPS_PER_EPOCH, (epoch + 1) * STEPS_PER_EPOCH)
    return [number for step in steps for number in numbers(reals_of(record, step)[0])]


# The images: order, classes, mirroring.


def test_each_epoch_has_its_own_order_a_function_of_seed_and_epoch(recorded):
    record = recorded(seed=5, epochs=3)
    assert record.num_steps == 9
    for epoch in range(3):
        expected = epoch_order(NUM_IMAGES, seed=5, epoch=epoch).tolist()
        assert epoch_of(record, epoch) == expected
    orders = [epoch_of(record, epoch) for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert epoch_of(recorded(seed=6, epochs=1), 0) != orders[0]


@pytest.mark.parametrize("updates", schema.UPDATES)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_real_images_and_the_fakes_beside_them_have_the_same_classes(recorded, updates, accumulate):
    record = recorded(conditional=True, updates=updates, accumulate=accumulate, r1_interval=1)
    seen = 0
    for _, images, classes in record.judged:
        known = pixels(images).reshape(len(images), -1)
        flat = known.amax(1) - known.amin(1) == 1  # real images: their halves differ by a level
        for image, one_hot in zip(images[flat], classes[flat], strict=True):
            assert one_hot.sum() == 1
            assert one_hot.argmax() == numbers(image[None])[0] % 10
            seen += 1
    assert seen >= 2 * 2 * NUM_IMAGES  # in each epoch, for its judgement and for R1
    if accumulate == 1:
        for step in range(record.num_steps):
            fakes = next(latents for at, latents, _ in record.drawn if at == step)[:, 8:]
            _, classes = reals_of(record, step)
            assert fakes[: len(classes)].equal(classes)
            beyond = fakes[len(classes) :].argmax(1).tolist()
            assert beyond == [n % 10 for n in range(len(classes), BATCH)]


def test_unconditional_networks_are_given_no_classes(recorded):
    record = recorded(conditional=False)
    assert {classes for _, _, classes in record.judged} == {None}
    assert {latents.shape[1] for _, latents, _ in record.drawn} == {8}


def test_about_half_of_the_real_images_are_mirrored_and_no_fakes(recorded):
    def flipped(record):
        """Return for each judged real image whether its lighter half is on the left."""
        reals = [reals_of(record, step)[0] for step in range(record.num_steps)]
        shown = pixels(torch.cat(reals))
        return [bool(image[0, 0] > image[0, -1]) for image in shown]

    assert not any(flipped(recorded(mirror=False)))
    record = recorded(mirror=True)
    assert 20 < sum(flipped(record)) < 60  # of 80
    first, again = (epoch_of(record, epoch) for epoch in (0, 1))
    assert sorted(first) == sorted(again) == list(range(NUM_IMAGES))  # still the same images
    for step, _, made in record.drawn:
        judged = torch.cat([images for images, _ in record.of_step(step)]).float()
        assert all((judged == fake).flatten(1).all(1).any() for fake in made)


# Augmentation: all that the discriminator judges, and nothing else.


def is_in(images, others):
    """Return for each image whether it is among `others`, unchanged."""
    return [bool((others == image).flatten(1).all(1).any()) for image in images.float()]


@pytest.mark.parametrize("updates", schema.UPDATES)
@pytest.mark.parametrize("augment", [ALL, "cutout", "translation", "color"])
def test_whatever_the_discriminator_judges_is_augmented(recorded, updates, augment):
    record = recorded(updates=updates, augment=augment, r1_interval=2, epochs=1)
    data, _ = loading.load("mnist").fetch(torch.arange(NUM_IMAGES))
    reals = data.permute(0, 3, 1, 2) / 127.5 - 1
    for step in range(record.num_steps):
        fakes = next(made for at, _, made in record.drawn if at == step)
        for images, _ in record.of_step(step):  # reals, fakes, fakes again, and R1's reals
            kept = [*is_in(images, reals), *is_in(images, fakes)]
            # By translation alone one image in 49 stays where it is.
            assert sum(kept) <= len(images) // 4


@pytest.mark.parametrize("updates", schema.UPDATES)
def test_without_augmentation_images_are_judged_unchanged(recorded, updates):
    record = recorded(updates=updates, augment="none", r1_interval=2, epochs=1)
    data, _ = loading.load("mnist").fetch(torch.arange(NUM_IMAGES))
    reals = (data.permute(0, 3, 1, 2) / 127.5 - 1).float()
    for step in range(record.num_steps):
        fakes = next(made for at, _, made in record.drawn if at == step)
        for images, _ in record.of_step(step):
            assert all(is_in(images, torch.cat([reals, fakes])))


@pytest.mark.parametrize("updates", schema.UPDATES)
@pytest.mark.parametrize(("weight", "interval"), [(0.0, 1), (1.0, 1), (1.0, 2), (1.0, 4)])
def test_the_penalty_is_computed_at_the_real_images_at_every_interval(
    recorded, updates, weight, interval
):
    record = recorded(updates=updates, r1_weight=weight, r1_interval=interval)
    for step in range(record.num_steps):
        real = reals_of(record, step)[0]
        *_, (last, _) = record.of_step(step)[: 2 if updates == "alternating" else 3]
        penalized = [numbers(images) for images, _ in record.of_step(step)[1:]]
        due = weight > 0 and step % interval == 0
        assert (numbers(real) in penalized) == due, (step, len(last))


# Precision.


@pytest.mark.parametrize(("gain", "precision"), [(3.0, "bf16"), (1.0, "fp32")])
@pytest.mark.parametrize("asked", ["auto", "fp32", "bf16"])
def test_networks_run_in_the_given_precision_or_the_faster_one(
    recorded, monkeypatch, gain, precision, asked
):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(
        devices, "_product_seconds", lambda dtype: gain if dtype == torch.float32 else 1.0
    )
    expected = precision if asked == "auto" else asked
    record = recorded(precision=asked, steps=1, r1_weight=0.0)
    assert record.ready.config.precision == expected
    assert read_checkpoint(record.ready.run.path).config.precision == expected
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[expected]
    assert record.precisions == {dtype}


# Metrics of an epoch.


def test_an_epochs_samples_are_measured_against_the_test_images(recorded):
    record = recorded(eval_samples=20, epochs=1)
    (row,) = read_checkpoint(record.ready.run.path).history
    network = features.load("auto", "mnist", torch.device("cpu"))

    def measured(real):
        drawn = sample_seeds(record.ready.state.sampler, range(20), record.ready.config.network)
        return EpochEvaluator(network, test=real).measure(drawn)

    expected = measured(loading.load_test("mnist").images.numpy())
    other = measured(loading.load("mnist").images.numpy())
    for name, value in expected.items():
        assert value is row[name] is None or row[name] == pytest.approx(value, rel=1e-6), name
    assert row["frechet_distance"] != pytest.approx(other["frechet_distance"], rel=0.01)


def test_the_evaluator_puts_every_metric_under_its_own_name(recorded):
    record = recorded(eval_samples=20, epochs=1)
    (row,) = record.outcome.history
    network = features.load("auto", "mnist", torch.device("cpu"))
    test = loading.load_test("mnist").images.numpy()
    real = extract(network, [test])
    drawn = sample_seeds(record.ready.state.sampler, range(20), record.ready.config.network)
    fake = extract(network, drawn)
    near = metrics.manifold(fake.features, real.features[:20])
    shares = metrics.class_shares(fake.logits)
    expected = {
        "frechet_distance": metrics.Frechet(real.features).distance(fake.features),
        "kernel_distance": metrics.kernel_distance(fake.features, real.features[:20]),
        "precision": near.precision,
        "recall": near.recall,
        "density": near.density,
        "coverage": near.coverage,
        "classifier_score": metrics.classifier_score(fake.logits),
        "sure_share": metrics.sure_share(fake.logits),
        "smallest_class": min(shares),
        "largest_class": max(shares),
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-6)


# Every setting changes what it should, and nothing else.

INITIAL, REALS, LATENTS, PASSES, TRAINED, AVERAGE, SAMPLES, QUALITY, LOSSES, FILES = (
    "initial weights", "real images", "latents", "passes", "trained weights", "average",
    "samples", "quality metrics", "losses", "files",
)  # fmt: skip
RESULT = {TRAINED, AVERAGE, SAMPLES, QUALITY, LOSSES}
"""Everything that depends on the trained weights."""
BASE = {"eval_samples": 20, "epochs": 2, "snapshot_every": 1, "keep": 1}
PADDED = {"image_size": "28x40", "fit": "pad"}

EFFECTS = {
    # setting: (another value, what changes, other settings of both runs)
    "architecture": ("dcgan", {INITIAL, *RESULT}, {"conditional": False, "r1_weight": 0.0}),
    "base_channels": (8, {INITIAL, *RESULT}, {}),
    "latent_dim": (9, {INITIAL, LATENTS, *RESULT}, {}),
    "loss": ("relativistic", RESULT, {}),
    "conditional": (False, {INITIAL, LATENTS, *RESULT}, {}),
    "updates": ("simultaneous", {PASSES, *RESULT}, {}),
    "batch_size": (20, {LATENTS, PASSES, *RESULT}, {}),
    "accumulate": (2, {PASSES}, {}),
    "epochs": (1, {REALS, LATENTS, PASSES, FILES, *RESULT}, {}),
    "steps": (3, {REALS, LATENTS, PASSES, FILES, *RESULT}, {}),
    "lr_g": (1e-3, RESULT, {}),
    "lr_d": (1e-3, RESULT, {}),
    "beta1": (0.5, RESULT, {}),
    "beta2": (0.5, RESULT, {}),
    "lr_warmup_steps": (0, RESULT, {}),
    "lr_decay_steps": (1, RESULT, {}),
    "r1_weight": (9.0, RESULT, {}),
    "r1_interval": (3, {PASSES, *RESULT}, {"r1_interval": 2}),
    "ema_images": (1, {AVERAGE, SAMPLES, QUALITY}, {}),
    "ema_ramp": (0.5, {AVERAGE, SAMPLES, QUALITY}, {}),
    "seed": (1, {INITIAL, REALS, LATENTS, *RESULT}, {}),
    "precision": ("bf16", RESULT, {}),
    "mirror": (True, {REALS, *RESULT}, {}),
    "augment": ("color", RESULT, {}),
    "limit": (32, {REALS, LATENTS, PASSES, *RESULT}, {}),
    "image_size": ("32", {INITIAL, REALS, *RESULT}, {}),
    "image_channels": (3, {INITIAL, REALS, *RESULT}, {}),
    "fit": ("stretch", {REALS, *RESULT}, PADDED),
    "background": ("black", {REALS, *RESULT}, PADDED),
    "num_samples": (3, {SAMPLES}, {}),
    "eval_samples": (30, {QUALITY}, {}),
    "eval_every": (2, {QUALITY}, {}),
    "snapshot_every": (2, {FILES}, {"epochs": 3}),
    "keep": (2, {FILES}, {}),
    "skip_bad": (True, set(), {}),
}
ELSEWHERE = {
    "data": "tests/datasets",
    "image_key": "tests/datasets",
    "image_column": "tests/datasets",
    "value_range": "tests/datasets/local/test_loading.py",
    "label_column": "tests/datasets",
    "holdout": "test_session.py, on images without test images",
    "freeze_d": "test_origin.py, since a checkpoint is needed to begin from",
    "compile": "test_loop.py, since it takes long",
    "threads": "test_threads.py: it changes how the same numbers are rounded",
}


def test_every_setting_is_tested():
    assert set(EFFECTS) | set(ELSEWHERE) == set(SETTINGS)


def digest(values):
    """Return a digest of tensors and numbers."""
    sha = hashlib.sha256()
    for value in values:
        tensor = value.detach().float().contiguous() if isinstance(value, torch.Tensor) else None
        sha.update(repr(value).encode() if tensor is None else tensor.numpy().tobytes())
    return sha.hexdigest()


_known = {}
"""Results that several tests compare with others."""


@pytest.fixture
def run_of(recorded, monkeypatch):
    """Return a function that trains with given settings and returns everything that they change."""
    given, initial = [], []
    step, create = loop.train_step, session.create

    def recording_step(state, real, latents, *rest):
        given.append((real.clone(), latents.clone()))
        return step(state, real, latents, *rest)

    def recording_create(*arguments):
        state = create(*arguments)
        initial[:] = [digest(networks(state))]
        return state

    def networks(state):
        return [x for part in (state.generator, state.discriminator) for x in part.parameters()]

    monkeypatch.setattr(loop, "train_step", recording_step)
    monkeypatch.setattr(session, "create", recording_create)

    def of(**settings):
        key = repr(sorted(settings.items()))
        if key in _known:
            return _known[key]
        given.clear()
        record = recorded(**settings)
        state, run = record.ready.state, record.ready.run
        rows = read_checkpoint(run.path).history
        average = [] if state.ema is None else state.ema.parameters()
        _known[key] = {
            INITIAL: initial[0],
            REALS: digest(real for real, _ in given),
            LATENTS: digest(latents for _, latents in given),
            PASSES: [len(images) for _, images, _ in record.judged],
            TRAINED: digest(networks(state)),
            AVERAGE: digest(average),
            SAMPLES: [path.read_bytes() for path in run.samples()],
            QUALITY: [[row[name] for name in QUALITY_METRICS] for row in rows],
            LOSSES: [[row[name] for name in STEP_METRICS] for row in rows],
            FILES: sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*")),
        }
        return _known[key]

    return of


@pytest.mark.parametrize("name", EFFECTS)
def test_a_setting_changes_what_it_should_and_nothing_else(run_of, name):
    other, expected, both = EFFECTS[name]
    settings = {**BASE, **both}
    changed = {**settings, name: other}
    if name == "steps":
        del changed["epochs"]
    before, after = run_of(**settings), run_of(**changed)
    found = {part for part in before if before[part] != after[part]}
    if name == "accumulate":  # its results are rounded otherwise, of which little may be seen
        found -= RESULT
    assert found == expected
