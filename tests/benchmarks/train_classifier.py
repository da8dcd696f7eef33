"""Train the classifier that `ganctl evaluate` compares digits with.

    python tests/benchmarks/train_classifier.py [--epochs 16] [--seed 0] [--out FILE]

It is trained on MNIST's 60,000 training images with small random shifts, rotations and scalings;
the test images are used once, at the end. Prints the accuracy on them and the file's SHA-256,
which ganctl/features/classifier.py pins.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ganctl.datasets import loading, mnist
from ganctl.datasets.dataset import Batch, Dataset
from ganctl.features.classifier import PATH, Classifier, to_bytes

BATCH = 128


def jittered(images: Tensor) -> Tensor:
    """Rotate each image by up to 12 degrees, scale it by up to 10 %, shift it by up to 2 pixels."""
    count = len(images)
    angle = (torch.rand(count) * 2 - 1) * 0.21
    scale = 1 + (torch.rand(count) * 2 - 1) * 0.1
    shift = (torch.rand(count, 2) * 2 - 1) * 2 / 14
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    rows = torch.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], 1)
    grid = F.affine_grid(rows.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1  # what is outside is black


def accuracy(classifier: Classifier) -> float:
    """Return the share of test images that are classified correctly."""
    images, labels = mnist.load_test()
    test = Dataset.from_arrays("test", images, labels)
    classifier.eval()
    with torch.inference_mode():
        logits = [
            classifier(Batch(*test.fetch(chunk), 0, len(chunk)).images())[1]
            for chunk in torch.arange(len(test)).split(500)
        ]
    return float((torch.cat(logits).argmax(1) == test.labels).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PATH)
    chosen = parser.parse_args()
    torch.manual_seed(chosen.seed)
    data = loading.load("mnist")
    classifier = Classifier().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=0.02)
    steps = len(data) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=6e-3, total_steps=steps * chosen.epochs
    )
    for epoch in range(chosen.epochs):
        begun, total = time.monotonic(), 0.0
        classifier.train()
        for indices in torch.randperm(len(data))[: steps * BATCH].split(BATCH):
            _, logits = classifier(jittered(Batch(*data.fetch(indices), 0, len(indices)).images()))
            loss = F.cross_entropy(logits, data.labels[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        seconds = time.monotonic() - begun
        print(f"epoch {epoch + 1}: loss {total / steps:.4f}, {seconds:.0f} s", flush=True)
    classifier.to(memory_format=torch.contiguous_format)
    content = to_bytes(classifier)
    chosen.out.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    print(f"{chosen.out}: {len(content):,} bytes, SHA-256 {digest}")
    print(f"right on {accuracy(classifier):.2%} of the test images")


if __name__ == "__main__":
    main()
