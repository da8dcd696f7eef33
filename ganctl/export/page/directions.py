"""Principal directions of a generator's latent space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganctl import sampling
from ganctl.export.source import Source
from ganctl.networks.layers import Generator

_NUM_SEEDS = 2000


@torch.inference_mode()
def principal_directions(source: Source, count: int) -> Tensor:
    """Return unit vectors in latent space, float32 (count, latent_dim), the strongest first.

    They are the principal components of the first layer's activations, carried over to latents by
    linear regression (GANSpace, Harkonen et al. 2020, section 2.1). There are at most
    latent_dim.
    """
    assert isinstance(source.generator, Generator)
    inputs = sampling.inputs_of(range(_NUM_SEEDS), source.network)
    latents = inputs[:, : source.network.latent_dim]
    activations = inputs
    for layer in source.generator.layers:
        activations = layer(activations)
        if isinstance(layer, nn.ReLU | nn.LeakyReLU):
            break
    flat = activations.flatten(1)
    count = min(count, source.network.latent_dim)
    flat = flat - flat.mean(0)
    _, vectors = torch.linalg.eigh(flat.T @ flat if flat.shape[1] < _NUM_SEEDS else flat @ flat.T)
    strongest = vectors.flip(1)[:, :count]
    coordinates = flat @ strongest if flat.shape[1] < _NUM_SEEDS else strongest
    fitted = torch.linalg.lstsq(coordinates, latents - latents.mean(0)).solution
    # The sign is free: the largest entry is positive, on every machine.
    signs = fitted.gather(1, fitted.abs().argmax(1, keepdim=True)).sign()
    directions: Tensor = signs * fitted / fitted.norm(dim=1, keepdim=True)
    return directions
