"""Weights in the ``.safetensors`` format: tensors and a header of plain text."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from pyg_msg3d.data import Metadata
from pyg_msg3d.data.atomic import write_atomically
from pyg_msg3d.io.jsons import parse_json

_KEY = 'pyg_msg3d'


def save_safetensors(
    path: str | PathLike,
    state: Mapping[str, Tensor],
    arguments: Mapping[str, Any],
    metadata: Metadata,
) -> None:
    """Writes a model: its weights, and what makes it and says of its data."""
    about = {'model_arguments': dict(arguments), 'metadata': metadata.arguments()}
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    # Tensors that share memory, such as of a module used twice, are written apart.
    tensors = {key: value.clone() for key, value in tensors.items()}
    content = save(tensors, {_KEY: json.dumps(about), 'format': 'pt'})
    with write_atomically(Path(path)) as file:
        file.write(content)


def load_safetensors(content: bytes, where: str) -> dict[str, Any]:
    """What such a file holds, as a training checkpoint has it; of others' files, the
    tensors alone.

    Raises:
        Exception: Whatever damaged bytes trip over.
    """
    tensors = load(content)
    header = parse_json(content[8 : 8 + int.from_bytes(content[:8], 'little')], where)
    about = header.get('__metadata__', {}).get(_KEY)
    if about is None:
        return tensors
    found = parse_json(about.encode(), where)
    return {
        'model_arguments': found['model_arguments'],
        'metadata': found['metadata'],
        'model': tensors,
        'ema': None,
    }
