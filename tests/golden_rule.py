"""The weights and inputs behind the reference values, drawn from names and shapes."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / 'golden'


def load(name: str) -> dict:
    return json.loads((GOLDEN / f'{name}.json').read_text())


def _uniform(tag: str, shape: list[int]) -> np.ndarray:
    bits = np.random.PCG64(zlib.crc32(tag.encode()))
    return np.random.Generator(bits).random(shape)


def tensor(tag: str, shape: list[int]) -> Tensor:
    """An input or a probe."""
    return torch.from_numpy(((_uniform(tag, shape) - 0.5) * 2).astype(np.float32))


def weight(key: str, shape: list[int]) -> Tensor:
    """One entry of a state dict."""
    leaf = key.rsplit('.', 1)[-1]
    if leaf == 'num_batches_tracked':
        return torch.zeros(shape, dtype=torch.long)
    u = _uniform(key, shape)
    if leaf == 'running_var' or (leaf == 'weight' and len(shape) == 1):
        value = 0.5 + u
    elif leaf == 'running_mean':
        value = 0.4 * (u - 0.5)
    elif leaf in ('A_res', 'PA'):
        value = 0.1 * (u - 0.5)
    elif len(shape) == 1:
        value = 0.2 * (u - 0.5)
    else:
        value = (u - 0.5) * np.sqrt(12 / np.prod(shape[1:]))
    return torch.from_numpy(value.astype(np.float32))


def state_dict(golden: dict) -> dict[str, Tensor]:
    return {key: weight(key, shape) for key, shape in golden['state_dict'].items()}


def probe(value: Tensor, tag: str) -> Tensor:
    """``[norm, probe]`` of a tensor."""
    value = value.double()
    weights = tensor(f'probe:{tag}', list(value.shape)).double()
    return torch.stack([value.norm(), (value * weights).sum()])
