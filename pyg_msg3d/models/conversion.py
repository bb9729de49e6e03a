"""The public weights of MS-G3D: how their keys and tensors map to ours, and back.

Three families are in use: the authors' (adjacency residual ``A_res``), MMAction2's and
PYSKL's (``PA``; they differ in the name of the classifier only). All are the same
function as :class:`pyg_msg3d.MSG3D` with ``residual='dense'``, so the mapping is exact:
tensors are transposed, reshaped and concatenated, never computed with.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

_NORM = ('weight', 'bias', 'running_mean', 'running_var')
_NUM_DILATIONS = 4
STRIDES = (1, 2, 2)
_COMMON = {17: 'coco-17', 18: 'openpose-18', 20: 'kinect-20', 21: 'hand-21'}
#: The family's own skeletons by their number of joints, and its normalisation, by the
#: name of its residual.
SKELETONS = {
    'A_res': {**_COMMON, 25: 'ntu-rgb+d'},
    'PA': {**_COMMON, 25: 'ntu-rgb+d-mmaction'},
}
NORMALIZATION = {'A_res': 'sym', 'PA': 'col'}


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


def invert(rules: Iterable[Rule], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict from ours: the same rules, read from right to left."""
    theirs: dict[str, Tensor] = {}
    for rule in rules:
        parts = _INVERSES[rule.convert](rule, state)
        # What else a rule looks at, the residual of the maps, has its own.
        theirs.update(zip(rule.theirs[-len(parts) :], parts, strict=True))
    return theirs


# The layers --------------------------------------------------------------------


def norm_rules(ours: str, *theirs: str) -> list[Rule]:
    """Batch norms side by side become one, since channels know nothing of each
    other."""
    rules = [
        Rule(f'{ours}.{part}', tuple(f'{key}.{part}' for key in theirs), _concatenate)
        for part in _NORM
    ]
    counts = tuple(f'{key}.num_batches_tracked' for key in theirs)
    return [*rules, Rule(f'{ours}.num_batches_tracked', counts, _first)]


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
    for i, stride in enumerate(STRIDES):
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


def _first(*parts: Tensor) -> Tensor:
    return parts[0]


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


# And back ----------------------------------------------------------------------


def _copies(rule: Rule, state: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    return tuple(state[rule.ours].clone() for _ in rule.theirs)


def _parts(rule: Rule, state: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Equal parts, of which the last has what remains."""
    whole, number = state[rule.ours], len(rule.theirs)
    width = len(whole) // number
    return whole.split([width] * (number - 1) + [len(whole) - width * (number - 1)])


def _as_pointwise(rule: Rule, state: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    return (state[rule.ours][..., None, None],)


def _to_rows(rule: Rule, state: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    residual = state[rule.ours]
    v = len(residual)
    return (residual.view(v, v, -1).permute(2, 0, 1).flatten(0, 1),)


def _to_columns(rule: Rule, state: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    residual = state[rule.ours]
    v = len(residual)
    return (residual.view(v, v, -1).permute(2, 1, 0),)


def _unscale_weight(rule: Rule, state: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    residual = state[rule.ours.replace('conv.lin.weight', 'adjacency.residual')]
    k = residual.size(1) // residual.size(0)
    weight = state[rule.ours].unflatten(0, (k, -1)).transpose(0, 1).flatten(1)
    return (weight[..., None, None],)


def _uncollapse(rule: Rule, state: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    hidden = state[rule.ours.replace('collapse.weight', 'norm.module.weight')].numel()
    weight = state[rule.ours].unflatten(1, (-1, hidden)).transpose(1, 2)
    return (weight[:, :, None, :, None],)


_INVERSES = {
    _first: _copies,
    _concatenate: _parts,
    _pointwise: _as_pointwise,
    _residual_of_rows: _to_rows,
    _residual_of_columns: _to_columns,
    _scale_weight: _unscale_weight,
    _collapse: _uncollapse,
}
