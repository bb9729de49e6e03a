"""The public weights of MS-G3D: how their keys and tensors map to ours.

Three families are in use: the authors' (adjacency residual ``A_res``), MMAction2's and
PYSKL's (``PA``; they differ in the name of the classifier only). All are the same
function as :class:`pyg_msg3d.MSG3D` with ``residual='dense'``, so the mapping is exact:
tensors are transposed, reshaped and concatenated, never computed with.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.skeletons import Skeleton, skeleton

_NORM = ('weight', 'bias', 'running_mean', 'running_var')
_NUM_DILATIONS = 4
_STRIDES = (1, 2, 2)
_SKELETONS = {
    # The authors' bones for the keys of the authors; the rest is common.
    'A_res': {25: 'ntu-rgb+d'},
    'PA': {25: 'ntu-rgb+d-mmaction'},
    'all': {17: 'coco-17', 18: 'openpose-18', 20: 'kinect-20', 21: 'hand-21'},
}


class Rule(NamedTuple):
    """One of our tensors, made from one or more of theirs."""

    ours: str
    theirs: tuple[str, ...]
    convert: Callable[..., Tensor]


def convert(rules: Iterable[Rule], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict from theirs. Differentiable, for what it is worth."""
    return {
        rule.ours: rule.convert(*(state[key] for key in rule.theirs)) for rule in rules
    }


# The layers --------------------------------------------------------------------


def norm_rules(ours: str, *theirs: str) -> list[Rule]:
    """Batch norms side by side become one, since channels know nothing of each
    other."""
    rules = [
        Rule(f'{ours}.{part}', tuple(f'{key}.{part}' for key in theirs), _concatenate)
        for part in _NORM
    ]
    counts = tuple(f'{key}.num_batches_tracked' for key in theirs)
    return [*rules, Rule(f'{ours}.num_batches_tracked', counts, lambda *n: n[0])]


def multi_scale_rules(ours: str, theirs: str, residual: str) -> list[Rule]:
    """Adjacency residual and the maps of all scales; theirs is the graph
    convolution, ours the block that holds ``adjacency`` and ``conv``."""
    layer, key = f'{theirs}mlp.layers.0', f'{theirs}{residual}'
    to_residual = _residual_of_rows if residual == 'A_res' else _residual_of_columns
    return [
        Rule(f'{ours}adjacency.residual', (key,), to_residual),
        Rule(f'{ours}conv.lin.weight', (key, f'{layer}.weight'), _scale_weight),
        Rule(f'{ours}conv.bias', (f'{layer}.bias',), _concatenate),
    ]


def mstcn_rules(ours: str, theirs: str, residual: bool) -> list[Rule]:
    """A multi-scale temporal convolution."""
    dilated = [f'{theirs}branches.{i}' for i in range(_NUM_DILATIONS)]
    pooled = f'{theirs}branches.{_NUM_DILATIONS}'
    last = f'{theirs}branches.{_NUM_DILATIONS + 1}'
    rules = norm_rules(f'{ours}pointwise_norm', *(f'{b}.1' for b in [*dilated, pooled]))
    rules += norm_rules(
        f'{ours}norm', *(f'{b}.3.bn' for b in dilated), f'{pooled}.4', f'{last}.1'
    )
    for part in ('weight', 'bias'):
        heads = tuple(f'{branch}.0.{part}' for branch in [*dilated, pooled])
        rules.append(Rule(f'{ours}pointwise.{part}', heads, _concatenate))
        for i, branch in enumerate(dilated):
            key = f'{branch}.3.conv.{part}'
            rules.append(Rule(f'{ours}temporal.{i}.{part}', (key,), _concatenate))
        rules.append(
            Rule(f'{ours}shortcut.{part}', (f'{last}.0.{part}',), _concatenate)
        )
        if residual:
            key = f'{theirs}residual.conv.{part}'
            rules.append(Rule(f'{ours}residual.0.{part}', (key,), _concatenate))
    if residual:
        rules += norm_rules(f'{ours}residual.1', f'{theirs}residual.bn')
    return rules


def msgcn_rules(ours: str, theirs: str, residual: str) -> list[Rule]:
    """A multi-scale graph convolution with its batch norm."""
    return [
        *multi_scale_rules(ours, theirs, residual),
        *norm_rules(f'{ours}norm.module', f'{theirs}mlp.layers.1'),
    ]


def g3d_rules(ours: str, theirs: str, residual: str, embed: bool = False) -> list[Rule]:
    """One G3D pathway."""
    inner = f'{theirs}gcn3d.1.'
    rules = [
        *multi_scale_rules(ours, inner, residual),
        *norm_rules(f'{ours}conv.norm.module', f'{inner}mlp.layers.1'),
        Rule(f'{ours}conv.collapse.weight', (f'{theirs}out_conv.weight',), _collapse),
        Rule(f'{ours}conv.collapse.bias', (f'{theirs}out_conv.bias',), _concatenate),
        *norm_rules(f'{ours}norm.module', f'{theirs}out_bn'),
    ]
    if embed:
        layers = f'{theirs}in1x1.layers'
        rules += norm_rules(f'{ours}conv.embed_norm.module', f'{layers}.1')
        rules += [
            Rule(f'{ours}conv.embed.weight', (f'{layers}.0.weight',), _pointwise),
            Rule(f'{ours}conv.embed.bias', (f'{layers}.0.bias',), _concatenate),
        ]
    return rules


def model_rules(residual: str, num_windows: int, classifier: str) -> list[Rule]:
    """The whole model."""
    rules = norm_rules('data_norm.module', 'data_bn')
    for i, stride in enumerate(_STRIDES):
        ours, theirs = f'blocks.{i}.', f'sgcn{i + 1}.'
        rules += msgcn_rules(f'{ours}gcn.', f'{theirs}0.', residual)
        rules += mstcn_rules(f'{ours}tcn1.', f'{theirs}1.', residual=stride > 1)
        rules += mstcn_rules(f'{ours}tcn2.', f'{theirs}2.', residual=False)
        for j in range(num_windows):
            pathway = f'gcn3d{i + 1}.gcn3d.{j}.'
            rules += g3d_rules(f'{ours}g3d.{j}.', pathway, residual)
        rules += mstcn_rules(f'{ours}tcn3.', f'tcn{i + 1}.', residual=False)
    for part in ('weight', 'bias'):
        key = f'{classifier}.{part}'
        rules.append(Rule(f'classifier.{part}', (key,), _concatenate))
    return rules


# How tensors are rearranged ----------------------------------------------------


def _concatenate(*parts: Tensor) -> Tensor:
    return torch.cat(parts)


def _pointwise(weight: Tensor) -> Tensor:
    return weight.flatten(1)


def _residual_of_rows(a_res: Tensor) -> Tensor:
    """Row k V + target, column source."""
    return a_res.unflatten(0, (-1, a_res.size(1))).permute(1, 2, 0).flatten(1)


def _residual_of_columns(pa: Tensor) -> Tensor:
    """[scale, source, target]."""
    return pa.permute(2, 1, 0).flatten(1)


def _scale_weight(residual: Tensor, weight: Tensor) -> Tensor:
    """[out, K in, 1, 1], column k C + c; the residual tells K."""
    k = residual.numel() // residual.size(-1) ** 2
    return weight.flatten(1).unflatten(1, (k, -1)).transpose(0, 1).flatten(0, 1)


def _collapse(weight: Tensor) -> Tensor:
    """[out, hidden, 1, frames, 1]."""
    return weight[:, :, 0, :, 0].transpose(1, 2).flatten(1)


# The whole checkpoint ----------------------------------------------------------


def read_checkpoint(
    source: str | PathLike | Mapping[str, Any], skeleton: str | Skeleton | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments of the model that a public checkpoint holds, and its state dict
    in our keys. See :meth:`pyg_msg3d.MSG3D.from_checkpoint`."""
    name = 'The state dict' if isinstance(source, Mapping) else f"'{source}'"
    state = _plain_state_dict(source, name)
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


def _plain_state_dict(
    source: str | PathLike | Mapping[str, Any], name: str
) -> dict[str, Tensor]:
    content: Any = source
    if not isinstance(source, Mapping):
        try:
            content = torch.load(source, map_location='cpu', weights_only=True)
        except OSError:
            raise
        except Exception as error:  # Whatever the bytes trip over.
            raise ValueError(
                f'{name} cannot be read as a checkpoint: either it is none, or it '
                f'is damaged, or it holds more than tensors and plain containers, '
                f'which is refused because loading such files can run code. If you '
                f"trust it, save its 'state_dict' alone and load that. torch says: "
                f'{str(error).splitlines()[0] if str(error) else type(error).__name__}'
            ) from error
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
            for i in range(len(_STRIDES))
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
