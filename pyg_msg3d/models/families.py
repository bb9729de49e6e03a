"""Our weights as the code of others loads them."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.graph import ScaleGraph, disentangle, window_graph
from pyg_msg3d.models.conversion import (
    NORMALIZATION,
    SKELETONS,
    STRIDES,
    invert,
    model_rules,
)
from pyg_msg3d.skeletons import Skeleton, skeleton


class Family(NamedTuple):
    """What is their own in one family of public weights: the name of the learned
    residual, of the classifier, and what stands before the other keys."""

    residual: str
    classifier: str
    prefix: str


FAMILIES = {
    'official': Family('A_res', 'fc', ''),
    'mmaction2': Family('PA', 'cls_head.fc', 'backbone.'),
    'pyskl': Family('PA', 'cls_head.fc_cls', 'backbone.'),
}


@torch.no_grad()
def to_family(model: Any, name: str) -> dict[str, Tensor]:
    """See :meth:`pyg_msg3d.MSG3D.to_checkpoint`."""
    if name not in FAMILIES:
        raise ValueError(
            f"'family' must be one of {', '.join(FAMILIES)} (got {name!r})"
        )
    family = FAMILIES[name]
    model.check_restorable()
    arguments = model.arguments
    for what, got, expected in (
        ('blocks', len(model.blocks), len(STRIDES)),
        ('channels of a joint', model.in_channels, 3),
        ('pooling', model.pooling, 'mean'),
        ('window dilations', {*arguments['window_dilations']}, {1}),
    ):
        if got != expected:
            raise ValueError(
                f'The code of {name!r} knows MS-G3D with {expected!r} for {what} alone '
                f'(got {got!r})'
            )
    state = dict(model.state_dict())
    normalization = NORMALIZATION[family.residual]
    known = SKELETONS[family.residual].get(model.skeleton.num_joints)
    bones = model.skeleton if known is None else skeleton(known)
    same = (
        arguments['residual'] == 'dense'
        and arguments['normalization'] == normalization
        and bones.edge_index.equal(model.skeleton.edge_index)
    )
    if not same:
        state |= _residuals(model, state, bones, normalization)
    rules = model_rules(
        family.residual, len(arguments['window_sizes']), family.classifier
    )
    theirs = invert(rules, state)
    head = f'{family.classifier}.'
    return {
        (key if key.startswith(head) else family.prefix + key): value.cpu().contiguous()
        for key, value in theirs.items()
    }


def _residuals(
    model: Any, state: dict[str, Tensor], bones: Skeleton, normalization: str
) -> dict[str, Tensor]:
    """What the learned residuals must be with other adjacencies, so that the sum of
    both stays."""
    arguments = model.arguments
    changed: dict[str, Tensor] = {}
    paths = [('gcn', 1, arguments['gcn_scales'])]
    paths += [
        (f'g3d.{j}', size, arguments['g3d_scales'])
        for j, size in enumerate(arguments['window_sizes'])
    ]
    for path, size, scales in paths:
        ours = _matrix(model.skeleton, size, scales, arguments['normalization'])
        difference = ours - _matrix(bones, size, scales, normalization)
        for i in range(len(model.blocks)):
            key = f'blocks.{i}.{path}.adjacency.residual'
            residual = state.get(key)
            changed[key] = difference
            if residual is not None:
                # One matrix for all pairs of frames, or already one for each.
                v, k = len(residual), scales
                times = len(difference) // v
                each = residual.view(1, v, 1, v, k).double().cpu()
                each = each.expand(times, v, times, v, k).reshape(difference.shape)
                changed[key] = difference + each
            changed[key] = changed[key].float()
    return changed


def _matrix(bones: Skeleton, size: int, scales: int, normalization: str) -> Tensor:
    """The adjacency of all scales as one matrix, in float64."""
    nodes = size * bones.num_joints
    edges = bones.edge_index
    if size > 1:
        edges = window_graph(edges, bones.num_joints, size)
    graph = disentangle(edges, nodes, scales, normalization)
    found = ScaleGraph.of(
        *graph, num_sources=nodes, num_targets=nodes, num_scales=scales
    )
    return found.full().weight.double()
