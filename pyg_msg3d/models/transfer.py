"""What of a trained model serves another: of other classes, joints or channels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Pairs of numbers, there and here, of what is the same in both models.
Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Transfer:
    r"""What came of it, by the names of tensors.

    Args:
        kept (tuple of str): Those that are as they were.
        partly (mapping): Those of which a part is, and how much.
        drawn (tuple of str): Those that are new.
        joints (mapping): Which joint there became which here.
    """

    kept: tuple[str, ...]
    partly: Mapping[str, float]
    drawn: tuple[str, ...]
    joints: Mapping[str, str]

    def __str__(self) -> str:
        shares = self.partly.values()
        partly = 'none in part'
        if shares:
            partly = (
                f'{len(shares)} in part (of their numbers {min(shares):.0%} to '
                f'{max(shares):.0%})'
            )
        return (
            f'{len(self.kept)} tensors are kept, with {len(self.joints)} joints by '
            f'name; {partly}; drawn anew: {", ".join(self.drawn) or "none"}'
        )


@torch.no_grad()
def transfer(source: Any, target: Any) -> Transfer:
    r"""Copies what fits from one model to another with the same blocks.

    Joints are matched by name, classes by name where both models name theirs, persons
    and channels by place. What has no counterpart stays as it was drawn.

    Args:
        source (MSG3D): The trained model.
        target (MSG3D): The model that begins with its weights.
    """
    old, new = source.state_dict(), target.state_dict()
    pairs = _Pairs(source, target)
    kept, partly, drawn = [], {}, []
    for key, tensor in new.items():
        if key not in old:
            drawn.append(key)
            continue
        sizes = pairs.axes(key, old[key], tensor)
        if sizes is None:
            drawn.append(key)
            continue
        share = _copy(old[key], tensor, sizes)
        if share == 1:
            kept.append(key)
        elif share:
            partly[key] = share
        else:
            drawn.append(key)
    target.load_state_dict(new)
    names = source.skeleton.joints, target.skeleton.joints
    joints = {names[0][u]: names[1][v] for u, v in pairs.joints}
    return Transfer(tuple(kept), partly, tuple(drawn), joints)


class _Axis:
    """An axis of a tensor: its sizes there and here, and what is the same in both."""

    def __init__(self, old: int, new: int, pairs: Pairs | None = None) -> None:
        if pairs is None:
            pairs = [(i, i) for i in range(min(old, new))]
        self.old, self.new, self.pairs = old, new, pairs


class _Pairs:
    """What of two models is the same."""

    def __init__(self, source: Any, target: Any) -> None:
        self.source, self.target = source, target
        here = {_plain(name): v for v, name in enumerate(target.skeleton.joints)}
        self.joints: Pairs = [
            (u, here[_plain(name)])
            for u, name in enumerate(source.skeleton.joints)
            if _plain(name) in here
        ]
        one, other = source.metadata.classes, target.metadata.classes
        self.classes: Pairs | None = None
        if one and other:
            label = {name: number for number, name in enumerate(other)}
            self.classes = [
                (number, label[name])
                for number, name in enumerate(one)
                if name in label
            ]
        elif source.num_classes != target.num_classes:
            self.classes = []

    def axes(self, key: str, old: Tensor, new: Tensor) -> list[_Axis] | None:
        """The axes of a tensor by what they mean; None if it has no counterpart."""
        a, b = self.source, self.target
        joints = _Axis(a.skeleton.num_joints, b.skeleton.num_joints, self.joints)
        if key.startswith('data_norm.') and old.dim():
            persons = _Axis(a.num_persons, b.num_persons)
            return [persons, joints, _Axis(a.in_channels, b.in_channels)]
        if key.endswith('adjacency.residual'):
            frames = old.size(0) // joints.old
            scales = old.numel() // (frames * joints.old) ** 2
            if new.numel() != (frames * joints.new) ** 2 * scales:
                return None
            time = _Axis(frames, frames)
            return [time, joints, time, joints, _Axis(scales, scales)]
        if key.startswith('classifier.'):
            rest = [_Axis(n, n) for n in old.shape[1:]]
            if old.shape[1:] != new.shape[1:]:
                return None
            return [_Axis(old.size(0), new.size(0), self.classes), *rest]
        if old.dim() != new.dim() or old.shape[:-1] != new.shape[:-1]:
            return None
        # Of the first maps, the last axis is that of the channels.
        return [_Axis(m, n) for m, n in zip(old.shape, new.shape, strict=True)]


def _copy(old: Tensor, new: Tensor, axes: Sequence[_Axis]) -> float:
    """Copies what both have, and returns its share of the new tensor."""
    if not axes:
        new.copy_(old)
        return 1.0
    if not all(axis.pairs for axis in axes):
        return 0.0
    there = [torch.tensor([u for u, _ in axis.pairs]) for axis in axes]
    here = [torch.tensor([v for _, v in axis.pairs]) for axis in axes]
    part = old.view([axis.old for axis in axes])[torch.meshgrid(*there, indexing='ij')]
    new.view([axis.new for axis in axes])[torch.meshgrid(*here, indexing='ij')] = part
    return math.prod(len(axis.pairs) / axis.new for axis in axes)


def _plain(name: str) -> str:
    return ' '.join(name.lower().replace('_', ' ').replace('-', ' ').split())
