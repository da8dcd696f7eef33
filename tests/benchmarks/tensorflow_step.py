"""Compare the speed of the classic recipe's step in TensorFlow and in ganctl.

    python -m venv tf && tf/bin/pip install tensorflow-cpu
    python tests/benchmarks/tensorflow_step.py --tensorflow tf/bin/python [--rounds 5] [--steps 8]

The TensorFlow step is that of the tutorial on deep convolutional GANs: Keras layers, one
tf.function, two gradient tapes. Each runs in a process of its own, in turn, and the ratio is
taken pair by pair, since a machine's speed drifts. Run this script with the Python that has ganctl.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BATCH = 256


def tensorflow(steps: int) -> list[float]:
    """Return the seconds of each step in TensorFlow; the first step traces it."""
    import tensorflow as tf
    from tensorflow.keras import layers

    generator = tf.keras.Sequential(
        [
            layers.Input((100,)),
            layers.Dense(7 * 7 * 256, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Reshape((7, 7, 256)),
            layers.Conv2DTranspose(128, 5, strides=1, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Conv2DTranspose(64, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Conv2DTranspose(
                1, 5, strides=2, padding="same", use_bias=False, activation="tanh"
            ),
        ]
    )
    discriminator = tf.keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(64, 5, strides=2, padding="same"),
            layers.LeakyReLU(),
            layers.Dropout(0.3),
            layers.Conv2D(128, 5, strides=2, padding="same"),
            layers.LeakyReLU(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    cross_entropy = tf.keras.losses.BinaryCrossentropy(from_logits=True)
    adams = [tf.keras.optimizers.Adam(1e-4) for _ in range(2)]

    @tf.function
    def train_step(images: tf.Tensor) -> tf.Tensor:
        noise = tf.random.normal([BATCH, 100])
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            fakes = generator(noise, training=True)
            real_pred = discriminator(images, training=True)
            fake_pred = discriminator(fakes, training=True)
            g_loss = cross_entropy(tf.ones_like(fake_pred), fake_pred)
            d_loss = cross_entropy(tf.ones_like(real_pred), real_pred) + cross_entropy(
                tf.zeros_like(fake_pred), fake_pred
            )
        for adam, tape, loss, network in zip(
            adams, (g_tape, d_tape), (g_loss, d_loss), (generator, discriminator), strict=True
        ):
            variables = network.trainable_variables
            adam.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return g_loss

    images = tf.random.uniform([BATCH, 28, 28, 1], -1, 1)
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        train_step(images).numpy()
        seconds.append(time.perf_counter() - start)
    return seconds


def run(python: str, script: Path, arguments: list[str]) -> float:
    """Return the median of the seconds that a separate process prints last, without the first."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [python, script, *arguments], capture_output=True, text=True, check=True, env=quiet
    )
    return statistics.median(json.loads(done.stdout.splitlines()[-1])[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tensorflow", metavar="PYTHON", help="one that has TensorFlow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only:
        print(json.dumps(tensorflow(chosen.steps)))
        return
    here, pairs = Path(__file__), []
    steps = ["--steps", str(chosen.steps)]
    for number in range(chosen.rounds):
        theirs = run(chosen.tensorflow, here, [*steps, "--only"])
        ours = run(sys.executable, here.with_name("dcgan_step.py"), [*steps, "--child", "auto"])
        pairs.append((theirs, ours))
        print(
            f"pair {number + 1}: TensorFlow {theirs * 1e3:.0f} ms, ganctl {ours * 1e3:.0f} ms, "
            f"ratio {theirs / ours:.2f}",
            flush=True,
        )
    ratios = [theirs / ours for theirs, ours in pairs]
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    print(
        f"medians: TensorFlow {medians[0] * 1e3:.0f} ms ({BATCH / medians[0]:.0f} images/s), "
        f"ganctl {medians[1] * 1e3:.0f} ms ({BATCH / medians[1]:.0f} images/s); ratio "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
