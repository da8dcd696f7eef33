"""Training steps, compared with a plain implementation of the recipe."""

import contextlib
import copy
import functools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from ganctl import latents
from ganctl.config.schema import UPDATES, override
from ganctl.history import STEP_METRICS
from ganctl.networks.dropout import Dropout
from ganctl.training import step as step_module
from ganctl.training.adam import Adam
from ganctl.training.schedules import ema_decay
from ganctl.training.state import create
from ganctl.training.step import gradient_names, train_step

CPU = torch.device("cpu")


class PlainGenerator(nn.Module):
    """A generator whose vectors are channels-last images, as in Keras."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.ParameterList(weight.detach().clone() for weight in weights)
        widths = [len(weight) for weight in self.weights if weight.ndim == 1][::2]
        self.means = [torch.zeros(width, dtype=torch.float64) for width in widths]
        self.variances = [torch.ones(width, dtype=torch.float64) for width in widths]

    def normalize(self, x, index, gain, shift):
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        mean, variance = x.mean(axes), x.var(axes, unbiased=False)
        count = x.numel() / x.shape[1]
        unbiased = variance.detach() * count / (count - 1)
        self.means[index] = 0.99 * self.means[index] + 0.01 * mean.detach()
        self.variances[index] = 0.99 * self.variances[index] + 0.01 * unbiased
        x = (x - mean.view(shape)) / (variance.view(shape) + 1e-3).sqrt()
        return F.leaky_relu(x * gain.view(shape) + shift.view(shape), 0.3)

    def forward(self, z):
        dense, g0, b0, conv1, g1, b1, conv2, g2, b2, conv3 = self.weights
        x = self.normalize(z @ dense.T, 0, g0, b0)
        x = x.view(len(z), 7, 7, -1).permute(0, 3, 1, 2)
        x = self.normalize(F.conv_transpose2d(x, conv1, stride=1, padding=2), 1, g1, b1)
        x = F.conv_transpose2d(x, conv2, stride=2, padding=2, output_padding=1)
        x = self.normalize(x, 2, g2, b2)
        return F.conv_transpose2d(x, conv3, stride=2, padding=2, output_padding=1).tanh()


class PlainDiscriminator(nn.Module):
    """A discriminator with dropout `masks` of 0 and 1, two per pass (None: no dropout)."""

    def __init__(self, weights, masks=None):
        super().__init__()
        self.weights = nn.ParameterList(weight.detach().clone() for weight in weights)
        self.masks = iter(masks) if masks is not None else None

    def dropout(self, x):
        return x if self.masks is None else x * next(self.masks) / 0.7

    def forward(self, x):
        conv1, bias1, conv2, bias2, dense, bias3 = self.weights
        x = self.dropout(F.leaky_relu(F.conv2d(x, conv1, bias1, stride=2, padding=2), 0.3))
        x = self.dropout(F.leaky_relu(F.conv2d(x, conv2, bias2, stride=2, padding=2), 0.3))
        return x.permute(0, 2, 3, 1).flatten(1) @ dense.T + bias3


def set_gradients(network, gradients):
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        parameter.grad = gradient


def plain_training(generator, discriminator, batches, noise, updates="simultaneous"):
    """Return the metrics of each step of the classic recipe, and both optimizers.

    With `alternating` updates the generator's loss is that with the updated discriminator.
    """
    g_adam = torch.optim.Adam(generator.parameters(), 1e-4, (0.9, 0.999), eps=1e-8)
    d_adam = torch.optim.Adam(discriminator.parameters(), 1e-4, (0.9, 0.999), eps=1e-8)
    metrics = []
    for real, z in zip(batches, noise, strict=True):
        fake = generator(z)
        real_probability = discriminator(real).sigmoid()
        fake_probability = discriminator(fake).sigmoid()
        d_loss = -real_probability.log().mean() - (1 - fake_probability).log().mean()
        g_loss = -fake_probability.log().mean()
        d_gradients = torch.autograd.grad(d_loss, [*discriminator.parameters()], retain_graph=True)
        if updates == "simultaneous":
            g_gradients = torch.autograd.grad(g_loss, [*generator.parameters()])
        set_gradients(discriminator, d_gradients)
        d_adam.step()
        if updates == "alternating":
            g_loss = -discriminator(fake).sigmoid().log().mean()
            g_gradients = torch.autograd.grad(g_loss, [*generator.parameters()])
        set_gradients(generator, g_gradients)
        g_adam.step()
        values = (g_loss, d_loss, real_probability.mean(), fake_probability.mean())
        metrics.append(torch.stack(values).detach())
    return metrics, g_adam, d_adam


def batches_and_noise(count, batch=8, latent_dim=100, dtype=torch.float32):
    rng = torch.Generator().manual_seed(0)
    batches = [torch.rand(batch, 1, 28, 28, generator=rng) * 2 - 1 for _ in range(count)]
    noise = [latents.from_seeds(range(batch), latent_dim) for _ in range(count)]
    return [batch.to(dtype) for batch in batches], [z.to(dtype) for z in noise]


def assert_same_state(state, generator, discriminator, g_adam, d_adam):
    """Check that weights, running statistics and moments agree up to fp32 rounding.

    A step moves a weight by up to the rate, 1e-4; the tolerance, 2e-7, is a 500th of that. Adam
    divides by the gradient, so a gradient that is only a rounding error can move its weight by
    anything within the rate: this may happen to fewer than one in 1,000.
    """
    for network, plain, ours, theirs in (
        (state.generator, generator, state.optimizer_g, g_adam),
        (state.discriminator, discriminator, state.optimizer_d, d_adam),
    ):
        for (name, ours_p), plain_p in zip(
            network.named_parameters(), plain.parameters(), strict=True
        ):
            difference = (ours_p - plain_p).abs()
            assert (difference > 1e-6).double().mean() < 1e-3
            assert difference.max() <= 2 * 2e-4
            for moment in ("exp_avg", "exp_avg_sq"):
                expected = theirs.state[plain_p][moment]
                scale = expected.abs().max().item()
                found = ours.moments[moment][name]
                assert scale > 0
                assert_close(found, expected, rtol=1e-4, atol=1e-4 * scale)
    buffers = dict(state.generator.named_buffers())
    for name, expected in (("running_mean", generator.means), ("running_var", generator.variances)):
        found = [buffer for key, buffer in buffers.items() if key.endswith(name)]
        assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.fixture
def dcgan(tiny_config):
    """A full-size dcgan before its first step, in float64.

    In float32, one of the half a million inputs of LeakyReLUs may be rounded to the other side of
    the kink on some machines, and all gradients behind it then differ.
    """
    changes = {"base_channels": 64, "latent_dim": 100, "batch_size": 8}
    state = create(tiny_config("dcgan", **changes), CPU)
    state.generator.double()
    state.discriminator.double()
    state.optimizer_g, state.optimizer_d = (
        Adam(network, optimizer.betas)
        for network, optimizer in (
            (state.generator, state.optimizer_g),
            (state.discriminator, state.optimizer_d),
        )
    )
    return state


@pytest.mark.parametrize("updates", UPDATES)
def test_two_steps_without_dropout_equal_the_plain_implementation(dcgan, updates):
    dcgan.config = override(dcgan.config, {"updates": updates})
    for module in dcgan.discriminator.modules():
        if isinstance(module, Dropout):
            module.p = 0
    generator = PlainGenerator(dcgan.generator.parameters())
    discriminator = PlainDiscriminator(dcgan.discriminator.parameters())
    batches, noise = batches_and_noise(2, dtype=torch.float64)
    expected, g_adam, d_adam = plain_training(generator, discriminator, batches, noise, updates)
    for step in range(2):
        found = train_step(dcgan, batches[step], noise[step], noise_seed=step).metrics
        assert_close(found, expected[step].float(), rtol=1e-4, atol=1e-6)
    assert dcgan.step == 2
    assert_same_state(dcgan, generator, discriminator, g_adam, d_adam)


def test_a_step_with_dropout_equals_the_plain_implementation_with_the_same_masks(dcgan):
    masks = []
    for module in dcgan.discriminator.modules():
        if isinstance(module, Dropout):
            module.register_forward_hook(lambda _, x, y: masks.append((y != 0).double().detach()))
    generator = PlainGenerator(dcgan.generator.parameters())
    weights = [parameter.detach().clone() for parameter in dcgan.discriminator.parameters()]
    batches, noise = batches_and_noise(1, dtype=torch.float64)
    found = train_step(dcgan, batches[0], noise[0], noise_seed=5).metrics
    assert len(masks) == 4
    assert all(abs(mask.mean() - 0.7) < 0.01 for mask in masks)
    discriminator = PlainDiscriminator(weights, masks)
    expected, g_adam, d_adam = plain_training(generator, discriminator, batches, noise)
    assert_close(found, expected[0].float(), rtol=1e-4, atol=1e-6)
    assert_same_state(dcgan, generator, discriminator, g_adam, d_adam)


def outcome(state, noise_seed=0, num_real=16):
    """Return the metrics of a step, the weights and the state after it; `state` is not changed."""
    state = copy.deepcopy(state)
    config = state.config
    batches, noise = batches_and_noise(1, config.batch_size, config.network.latent_dim)
    metrics = train_step(state, batches[0][:num_real], noise[0], noise_seed=noise_seed).metrics
    return metrics, [parameter.detach() for parameter in state.discriminator.parameters()], state


def test_dropout_is_a_function_of_the_noise_seed(tiny_config):
    state = create(tiny_config("dcgan"), CPU)
    first, first_weights, _ = outcome(state, noise_seed=1)
    torch.manual_seed(99)
    again, again_weights, _ = outcome(state, noise_seed=1)
    other, _, _ = outcome(state, noise_seed=2)
    assert first.equal(again)
    assert all(map(torch.equal, first_weights, again_weights))
    assert not first.equal(other)


@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
def test_metrics_are_losses_and_probabilities(tiny_config, preset):
    metrics, _, _ = outcome(create(tiny_config(preset), CPU))
    assert metrics.shape == (len(STEP_METRICS),) == (4,)
    assert metrics.dtype == torch.float32
    assert not metrics.requires_grad
    assert metrics.isfinite().all()
    named = dict(zip(STEP_METRICS, metrics.tolist(), strict=True))
    assert 0 < named["d_real"] < 1
    assert 0 < named["d_fake"] < 1
    assert named["g_loss"] > 0
    assert named["d_loss"] > 0


@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
def test_the_last_batch_of_an_epoch_may_be_smaller(tiny_config, preset):
    metrics, _, _ = outcome(create(tiny_config(preset), CPU), num_real=3)
    assert metrics.isfinite().all()


@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
def test_bf16_is_near_fp32_and_keeps_fp32_weights(tiny_config, preset):
    fp32, _, _ = outcome(create(tiny_config(preset, base_channels=16), CPU))
    bf16, _, after = outcome(create(tiny_config(preset, base_channels=16, precision="bf16"), CPU))
    # bf16 has 8 bits: each of a few layers rounds by up to 2^-8
    assert_close(bf16, fp32, rtol=0.05, atol=0.02)
    assert not bf16.equal(fp32)
    assert {tensor.dtype for _, tensor in after.tensors()} <= {torch.float32, torch.int64}


def test_each_network_has_its_learning_rate_which_follows_the_step(tiny_config):
    rates = {"lr_g": 0.004, "lr_d": 0.002, "lr_warmup_steps": 10, "lr_decay_steps": 100}
    state = create(tiny_config(**rates), CPU)
    for step, factor in ((4, 0.5), (50, 1.0), (400, 0.5)):
        state.step = step
        _, _, after = outcome(state)
        rates = [0.004 * factor, 0.002 * factor]
        # Adam's first move is the rate wherever the gradient is well above its epsilon
        for before, now, rate in (
            (state.generator, after.generator, rates[0]),
            (state.discriminator, after.discriminator, rates[1]),
        ):
            moves = [
                (b - n).abs().max().item()
                for b, n in zip(before.parameters(), now.parameters(), strict=True)
            ]
            assert max(moves) == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("step", [0, 50])
def test_the_average_follows_the_generator_with_the_configured_decay(tiny_config, step):
    changes = {"ema_images": 1000, "ema_ramp": 0.5, "batch_size": 16}
    state = create(tiny_config("dcgan", **changes), CPU)
    with torch.no_grad():
        for average in state.ema.parameters():
            average.add_(1)
    state.step = step
    _, _, after = outcome(state)
    half_life = min(1000, 0.5 * 16 * (step + 1))
    decay = 0.5 ** (16 / half_life)
    assert math.isclose(decay, ema_decay(state.config, step))
    for old, new, average in zip(state.ema.parameters(), after.generator.parameters(),
                                 after.ema.parameters(), strict=True):  # fmt: skip
        assert_close(average, decay * old + (1 - decay) * new)
    pairs = list(zip(after.ema.buffers(), after.generator.buffers(), strict=True))
    assert len(pairs) == 9
    assert all(average.equal(now) for average, now in pairs)


def test_r1_is_part_of_the_gradient_at_every_interval_and_never_of_the_metrics(tiny_config):
    def discriminator_gradients(step, weight):
        # with beta1 = 0, Adam's first moment is the gradient
        changes = {"r1_weight": weight, "r1_interval": 4, "beta1": 0.0}
        state = create(tiny_config("fast", **changes), CPU)
        state.step = step
        metrics, _, after = outcome(state)
        return state, metrics, list(after.moments()["optimizer_d"]["exp_avg"].values())

    state, metrics, plain = discriminator_gradients(0, 0.0)
    _, metrics_with, penalized = discriminator_gradients(0, 0.5)
    real = batches_and_noise(1, 16, 8)[0][0].requires_grad_()
    (slope,) = torch.autograd.grad(state.discriminator(real).sum(), real, create_graph=True)
    # half the mean squared norm, times the weight, times the interval
    objective = 0.5 * 4 * slope.square().sum() / len(real) / 2
    expected = torch.autograd.grad(
        objective, [*state.discriminator.parameters()], allow_unused=True
    )
    for with_r1, without, extra in zip(penalized, plain, expected, strict=True):
        extra = torch.zeros_like(without) if extra is None else extra
        assert_close(with_r1, without + extra, rtol=1e-4, atol=1e-6)
    assert any(extra is not None and extra.abs().max() > 1e-3 for extra in expected)
    assert metrics[1:].equal(metrics_with[1:])  # the generator's loss is with another discriminator
    for step in (1, 3):
        assert all(map(torch.equal, discriminator_gradients(step, 0.5)[2],
                       discriminator_gradients(step, 0.0)[2]))  # fmt: skip
    assert not all(map(torch.equal, discriminator_gradients(4, 0.5)[2],
                       discriminator_gradients(4, 0.0)[2]))  # fmt: skip


@pytest.mark.parametrize("logit", [-200.0, -30.0, 0.0, 4.0])
def test_the_generator_learns_even_if_the_discriminator_is_certain(tiny_config, logit):
    """The generator's gradient is rescaled from the discriminator's, which may be tiny."""
    state = create(tiny_config("dcgan", beta1=0.0), CPU)
    for module in state.discriminator.modules():
        if isinstance(module, Dropout):
            module.p = 0
    with torch.no_grad():
        state.discriminator.layers[-1].bias.fill_(logit)
    _, noise = batches_and_noise(1, 16, 8)
    judged = copy.deepcopy(state)
    loss = F.softplus(-judged.discriminator(judged.generator(noise[0]))).mean()
    expected = torch.autograd.grad(loss, list(judged.generator.parameters()))
    _, _, after = outcome(state)
    # with beta1 = 0, Adam's first moment is the gradient
    found = after.moments()["optimizer_g"]["exp_avg"].values()
    for ours, direct in zip(found, expected, strict=True):
        assert direct.abs().max() > 0
        assert_close(ours, direct, rtol=1e-3, atol=1e-4 * direct.abs().max().item())


@pytest.mark.parametrize("updates", UPDATES)
def test_a_real_image_is_judged_with_the_class_of_the_fake_beside_it(tiny_config, updates):
    config = override(tiny_config("fast", updates=updates, r1_interval=1), {"num_classes": 3})
    state = create(config, CPU)
    judged = []
    state.discriminator.register_forward_hook(
        lambda _, given, __: judged.append((len(given[0]), given[1].argmax(1).tolist()))
    )
    batches, noise = batches_and_noise(1, 6, 8)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    inputs = latents.with_classes(noise[0], labels, 3)
    train_step(state, batches[0][:4], inputs, noise_seed=0)
    reals, fakes = labels[:4].tolist(), labels.tolist()
    assert (
        judged
        == {
            "simultaneous": [(4, reals), (6, fakes), (4, reals)],  # the last one for the penalty
            "alternating": [(10, reals + fakes), (4, reals), (6, fakes)],
        }[updates]
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
def test_a_step_on_a_gpu_is_close_to_one_on_a_cpu(tiny_config, preset):
    config = tiny_config(preset, base_channels=16)
    batches, noise = batches_and_noise(1, 16, 8)
    losses = []
    for device in (CPU, torch.device("cuda")):
        state = create(config, device)
        for module in state.discriminator.modules():
            if isinstance(module, Dropout):
                module.p = 0  # another device draws other masks
        metrics = train_step(state, batches[0].to(device), noise[0].to(device), noise_seed=0)
        assert all(tensor.isfinite().all() for _, tensor in state.tensors())
        losses.append(metrics.cpu())
    assert_close(losses[1], losses[0], rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
def test_a_step_never_waits_for_the_gpu(tiny_config, preset):
    device = torch.device("cuda")
    state = create(tiny_config(preset, augment="color,translation,cutout"), device)
    batches, noise = batches_and_noise(4, 16, 8)
    on_device = [(real.to(device), z.to(device)) for real, z in zip(batches, noise, strict=True)]
    train_step(state, *on_device[0], noise_seed=0)  # kernels are loaded, which waits
    torch.cuda.set_sync_debug_mode("error")
    try:
        for seed, (real, z) in enumerate(on_device[1:]):
            train_step(state, real, z, noise_seed=seed)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize("loss", ["bce", "relativistic"])
@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("augment", ["none", "color,translation,cutout"])
def test_micro_batches_together_equal_the_whole_batch(tiny_config, updates, loss, parts, augment):
    config = tiny_config(
        "fast", updates=updates, loss=loss, r1_weight=1.0, num_classes=3, augment=augment
    )
    batches, _ = batches_and_noise(1, 16)
    noise = latents.with_classes(
        latents.from_seeds(range(16), 8), torch.arange(16) % 3, num_classes=3
    )
    outcomes = []
    for accumulate in (1, parts):
        state = create(override(config, {"accumulate": accumulate}), CPU)
        metrics = train_step(state, batches[0], noise, noise_seed=0).metrics
        outcomes.append((metrics, dict(state.tensors())))
    (whole, whole_state), (summed, summed_state) = outcomes
    assert_close(summed, whole, rtol=1e-4, atol=1e-6)
    moved = 0
    for name, tensor in whole_state.items():
        if "exp_avg" in name:  # the gradients; weights move by the rate, whatever their size
            moved += int(tensor.abs().max() > 1e-4)
            assert_close(summed_state[name], tensor, rtol=1e-3, atol=1e-6)
    assert moved > 10


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("preset", ["fast", "guided"])
@pytest.mark.parametrize("updates", UPDATES)
def test_threads_compute_parts_with_the_bits_of_micro_batches(
    tiny_config, preset, updates, one_thread
):
    changes = {"updates": updates, "r1_weight": 0.5, "augment": "translation"}
    (real,), (noise,) = batches_and_noise(1, 16, tiny_config(preset).network.input_dim)
    outcomes = []
    for split in ({"threads": 3}, {"accumulate": 3, "threads": 1}):
        state = create(tiny_config(preset, **changes, **split), CPU)
        assert state.workers.count == split["threads"]
        for num_real in (16, 7, 2):
            metrics = train_step(state, real[:num_real], noise, noise_seed=num_real).metrics
        outcomes.append((metrics, *(tensor for _, tensor in state.tensors())))
    assert all(map(torch.equal, *outcomes))


@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize("augment", ["none", "color,translation,cutout"])
def test_every_tensor_of_a_step_is_on_one_device(
    tiny_config, monkeypatch, preset, updates, augment
):
    """On the meta device, which refuses tensors of the CPU as a GPU does and needs no hardware."""
    changes = {"updates": updates, "augment": augment, "r1_weight": 0.5, "r1_interval": 2}
    meta = torch.device("meta")
    state = create(tiny_config(preset, **changes), meta)
    monkeypatch.setattr(type(state), "autocast", lambda _: contextlib.nullcontext())
    (real,), (noise,) = batches_and_noise(1, 16, state.config.network.input_dim)
    for _ in range(2):
        found = train_step(state, real.to(meta), noise.to(meta), noise_seed=0)
    assert found.metrics.device == found.gradients.device == meta
    with pytest.raises(RuntimeError, match="device"):
        train_step(state, real, noise.to(meta), noise_seed=0)


@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize("num_real", [1, 3, 15])
def test_a_smaller_batch_is_split_into_micro_batches_too(tiny_config, updates, num_real):
    state = create(tiny_config("fast", updates=updates, accumulate=4), CPU)
    metrics, _, after = outcome(state, num_real=num_real)
    assert metrics.isfinite().all()
    assert all(tensor.isfinite().all() for _, tensor in after.tensors())


@pytest.mark.parametrize("num_real", range(1, 9))
def test_no_micro_batch_has_a_single_fake_which_would_have_no_variance(tiny_config, num_real):
    state = create(tiny_config("dcgan", batch_size=8, accumulate=4), CPU)
    metrics, _, _ = outcome(state, num_real=num_real)
    assert metrics.isfinite().all()


@pytest.mark.parametrize("updates", UPDATES)
def test_augmentation_is_a_function_of_the_noise_seed(tiny_config, updates):
    config = tiny_config("fast", updates=updates)
    plain, _, _ = outcome(create(config, CPU), noise_seed=1)
    state = create(override(config, {"augment": "color,translation,cutout"}), CPU)
    first, first_weights, _ = outcome(state, noise_seed=1)
    again, again_weights, _ = outcome(state, noise_seed=1)
    other, _, _ = outcome(state, noise_seed=2)
    assert first.equal(again)
    assert all(map(torch.equal, first_weights, again_weights))
    assert not first.equal(other)
    assert not first.equal(plain)


@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
def test_a_compiled_step_is_close_to_an_eager_one(tiny_config, preset, monkeypatch):
    """Uses all of torch.compile except its code generator, which needs a C++ compiler."""
    compiled = functools.partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", compiled)
    config = tiny_config(preset, r1_weight=1.0, r1_interval=2)
    batches, noise = batches_and_noise(3, 16, 8)
    outcomes = []
    for wanted in (False, True):
        state = create(override(config, {"compile": wanted}), CPU)
        assert (state.judge is not state.discriminator) == wanted
        for real, z in zip(batches, noise, strict=True):
            metrics = train_step(state, real, z, noise_seed=0).metrics
        outcomes.append(metrics)
    assert_close(outcomes[1], outcomes[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_other_layers_learn_as_if_none_was_frozen(tiny_config, updates, accumulate):
    """With the penalty, which differentiates through the frozen layers, in the first step."""
    changes = {"updates": updates, "accumulate": accumulate, "r1_weight": 0.5}
    (real,), (z,) = batches_and_noise(1, latent_dim=8)
    states = [create(tiny_config("fast", freeze_d=count, **changes), CPU) for count in (0, 2)]
    measured = [train_step(state, real, z, 0) for state in states]
    for state, found in zip(states, measured, strict=True):
        assert len(gradient_names(state)) == len(found.gradients)
    # The loss of the generator may already be that of the updated discriminator.
    assert_close(measured[1].metrics[1:], measured[0].metrics[1:])
    whole, frozen = (dict(state.tensors()) for state in states)
    names = {name for name in gradient_names(states[1]) if name.startswith("discriminator")}
    assert len(gradient_names(states[0])) == len(gradient_names(states[1])) + 4
    for name in names:
        moment = name.replace("discriminator", "optimizer_d exp_avg_sq")
        assert frozen[moment].any()
        assert_close(frozen[moment], whole[moment], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("updates", UPDATES)
def test_a_guided_step_equals_the_plain_implementation(tiny_config, updates):
    config = tiny_config("guided", updates=updates, r1_weight=0.0, ema_images=0)
    state, plain = create(config, CPU), create(config, CPU)
    rng = torch.Generator().manual_seed(2)
    real = torch.rand(6, 1, 28, 28, generator=rng) * 2 - 1
    noise = torch.randn(8, config.network.input_dim, generator=rng)
    metrics = train_step(state, real, noise, noise_seed=0).metrics
    networks = plain.generator, plain.discriminator

    def judge(images):
        return plain.discriminator(images, None, plain.feature_maps(images))

    def loss(logits, target):
        parts = [F.binary_cross_entropy_with_logits(part, torch.full_like(part, target))
                 for part in (logits[:, :1], logits[:, 1:])]  # fmt: skip
        return parts[0] + 0.3 * parts[1]

    fake = plain.generator(noise)
    d_loss = loss(judge(real), 1.0) + loss(judge(fake.detach()), 0.0)
    d_gradients = torch.autograd.grad(d_loss, list(plain.discriminator.parameters()))
    if updates == "alternating":
        plain.update_discriminator(d_gradients)
    g_loss = loss(judge(fake), 1.0)
    plain.update_generator(torch.autograd.grad(g_loss, list(plain.generator.parameters())))
    if updates == "simultaneous":
        plain.update_discriminator(d_gradients)
    assert_close(metrics[:2], torch.stack([g_loss, d_loss]).detach(), rtol=1e-4, atol=1e-5)
    for network, expected in zip((state.generator, state.discriminator), networks, strict=True):
        assert_close(network.state_dict(), expected.state_dict(), rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize("num_classes", [0, 3])
def test_r1_of_a_guided_step_is_that_of_the_pixels_and_of_the_heads_at_their_maps(
    tiny_config, monkeypatch, updates, num_classes
):
    monkeypatch.setattr(step_module, "FEATURE_R1_WEIGHT", 1000.0)  # since logits are not steep yet
    real = batches_and_noise(1, 16)[0][0]
    classes = torch.eye(3)[torch.arange(16) % 3] if num_classes else None
    found = []
    for weight in (0.0, 5.0):  # with beta1 = 0, Adam's first moment is the gradient
        changes = {"updates": updates, "r1_weight": weight, "r1_interval": 4, "beta1": 0.0}
        state = create(tiny_config("guided", **changes, num_classes=num_classes), CPU)
        before = copy.deepcopy(state)
        noise = torch.ones(16, state.config.network.latent_dim)
        inputs = noise if classes is None else torch.cat([noise, classes], 1)
        train_step(state, real, inputs, noise_seed=0)
        found.append(state.moments()["optimizer_d"]["exp_avg"])
    images, *maps = (each.requires_grad_() for each in (real.clone(), *before.feature_maps(real)))
    logits = before.discriminator(images, classes, maps)
    slopes = torch.autograd.grad(logits.sum(), [images, *maps], create_graph=True)
    of_pixels, *of_maps = (slope.square().sum() for slope in slopes)
    # half the mean squared norm for each image and for each logit of a map, times the interval
    objective = 4 * (5 * of_pixels / 16 + 1000 * sum(of_maps) / logits[:, 1:].numel()) / 2
    parameters = dict(before.discriminator.named_parameters())
    expected = torch.autograd.grad(objective, list(parameters.values()), allow_unused=True)
    without, penalized = found
    for name, extra in zip(parameters, expected, strict=True):
        extra = torch.zeros_like(without[name]) if extra is None else extra
        assert_close(penalized[name], without[name] + extra, rtol=1e-4, atol=1e-6, msg=name)
        if name.endswith("weight"):
            assert extra.abs().max() > 1e-4, name
