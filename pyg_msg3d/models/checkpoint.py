"""Reading the files that hold weights of MS-G3D: public ones, and our own."""

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from pyg_msg3d.models.conversion import STRIDES, convert, model_rules
from pyg_msg3d.skeletons import Skeleton, skeleton

_SKELETONS = {
    # The authors' bones for the keys of the authors; the rest is common.
    'A_res': {25: 'ntu-rgb+d'},
    'PA': {25: 'ntu-rgb+d-mmaction'},
    'all': {17: 'coco-17', 18: 'openpose-18', 20: 'kinect-20', 21: 'hand-21'},
}


def read_checkpoint(
    source: str | PathLike | Mapping[str, Any], skeleton: str | Skeleton | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments of the model that a checkpoint holds, and its state dict in our
    keys. See :meth:`pyg_msg3d.MSG3D.from_checkpoint`."""
    name = 'The state dict' if isinstance(source, Mapping) else f"'{source}'"
    content = _load(source, name)
    if isinstance(content, Mapping) and 'model_arguments' in content:
        return _read_own(content, skeleton, name)
    state = _plain_state_dict(content, name)
    residual = 'PA' if any(key.endswith('.PA') for key in state) else 'A_res'
    classifier = next(
        (key for key in ('cls_head.fc', 'cls_head.fc_cls') if f'{key}.weight' in state),
        'fc',
    )
    windows = {m[1] for key in state if (m := re.match(r'gcn3d1\.gcn3d\.(\d+)\.', key))}
    rules = model_rules(residual, len(windows) or 2, classifier)

    needed = {key: None for rule in rules for key in rule.theirs}
    missing = [key for key in needed if key not in state]
    graphs = {key: state[key] for key in state if re.search(r'(^|\.)A$', key)}
    unexpected = [key for key in state if key not in needed and key not in graphs]
    if missing or unexpected:
        raise ValueError(
            f'{name} holds no MS-G3D as the authors, MMAction2 or PYSKL save it.\n'
            f'Missing keys: {_some(missing)}\nUnexpected keys: {_some(unexpected)}'
        )
    arguments = _arguments(state, residual, len(windows), classifier)
    arguments['skeleton'] = _find_skeleton(state, residual, skeleton, graphs, name)
    return arguments, convert(rules, state)


def _read_own(
    content: Mapping[str, Any], given: str | Skeleton | None, name: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a training of ours saved: its average of weights, if it kept one."""
    arguments = dict(content['model_arguments'])
    arguments['skeleton'] = own = Skeleton(**arguments['skeleton'])
    if given is not None and not skeleton(given).edge_index.equal(own.edge_index):
        raise ValueError(
            f'{name} was trained with the bones of skeleton {own.name!r}, which are '
            f'not those of {skeleton(given).name!r}'
        )
    if content['ema'] is None:
        return arguments, dict(content['model'])
    prefix = 'module.'
    return arguments, {
        key.removeprefix(prefix): value
        for key, value in content['ema'].items()
        if key.startswith(prefix)
    }


def _load(source: str | PathLike | Mapping[str, Any], name: str) -> Any:
    if isinstance(source, Mapping):
        return source
    try:
        return torch.load(source, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:  # Whatever the bytes trip over.
        raise ValueError(
            f'{name} cannot be read as a checkpoint: either it is none, or it is '
            f'damaged, or it holds more than tensors and plain containers, which is '
            f'refused because loading such files can run code. If you trust it, save '
            f"its 'state_dict' alone and load that. torch says: "
            f'{str(error).splitlines()[0] if str(error) else type(error).__name__}'
        ) from error


def _plain_state_dict(content: Any, name: str) -> dict[str, Tensor]:
    for key in ('state_dict', 'model_state_dict', 'model'):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(
            f'{name} holds no state dict, the names and tensors of a model (got '
            f'{type(content).__name__})'
        )
    odd = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if odd:
        raise ValueError(
            f'{name} holds no state dict: expected a tensor under every key (got '
            f'{type(content[odd[0]]).__name__} under {odd[0]!r})'
        )
    return {re.sub(r'^(module\.)?(backbone\.)?', '', k): v for k, v in content.items()}


def _arguments(
    state: Mapping[str, Tensor], residual: str, num_windows: int, classifier: str
) -> dict[str, Any]:
    def scales(key: str) -> int:
        tensor = state[f'{key}.{residual}']
        return tensor.numel() // tensor.size(-1) ** 2

    num_joints = state[f'sgcn1.0.{residual}'].size(-1)
    gcn_scales = scales('sgcn1.0')
    in_channels = state['sgcn1.0.mlp.layers.0.weight'].size(1) // gcn_scales
    return {
        'num_classes': state[f'{classifier}.weight'].size(0),
        'in_channels': in_channels,
        'num_persons': state['data_bn.weight'].numel() // (num_joints * in_channels),
        'gcn_scales': gcn_scales,
        'g3d_scales': scales('gcn3d1.gcn3d.0.gcn3d.1'),
        'window_sizes': tuple(
            state[f'gcn3d1.gcn3d.{j}.out_conv.weight'].size(3)
            for j in range(num_windows)
        ),
        'channels': tuple(
            state[f'gcn3d{i + 1}.gcn3d.0.out_bn.weight'].numel()
            for i in range(len(STRIDES))
        ),
        'residual': 'dense',
        'normalization': 'sym' if residual == 'A_res' else 'col',
    }


def _find_skeleton(
    state: Mapping[str, Tensor],
    residual: str,
    given: str | Skeleton | None,
    graphs: Mapping[str, Tensor],
    name: str,
) -> Skeleton:
    num_joints = state[f'sgcn1.0.{residual}'].size(-1)
    if given is None:
        given = {**_SKELETONS['all'], **_SKELETONS[residual]}.get(num_joints)
        if given is None:
            raise ValueError(
                f'{name} has {num_joints} joints, which is no skeleton that its '
                f'family ships; pass yours as skeleton=...'
            )
    found = skeleton(given)
    if found.num_joints != num_joints:
        raise ValueError(
            f'{name} has {num_joints} joints, but skeleton {found.name!r} has '
            f'{found.num_joints}'
        )
    if 'A' in graphs:  # The checkpoint says itself which bones it was trained with.
        theirs = {(int(u), int(v)) for u, v in graphs['A'].nonzero() if u != v}
        ours = {(int(u), int(v)) for u, v in found.edge_index.t()}
        if theirs != ours:
            raise ValueError(
                f'{name} was trained with other bones than skeleton {found.name!r}: '
                f'only in the checkpoint: {sorted(theirs - ours)}; only in the '
                f'skeleton: {sorted(ours - theirs)}. Pass the skeleton with those '
                f'bones as skeleton=...'
            )
    return found


def _some(keys: Sequence[str], most: int = 12) -> str:
    if not keys:
        return 'none'
    rest = f', ... and {len(keys) - most} more' if len(keys) > most else ''
    return ', '.join(keys[:most]) + rest
