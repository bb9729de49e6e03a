from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_msg3d.data import SkeletonData, SkeletonDataError

Joint = int | str


class Skeleton:
    r"""A skeleton: named joints, and the undirected bones that tie them.

    The bones are the graph on which MS-G3D works.
    The parents are the tree from which bone vectors
    :math:`x_v - x_{\mathrm{parent}(v)}` are made; in the published recipes that
    tree is not always a part of the graph, so the two are kept apart.

    .. code-block:: python

        Skeleton('arm', joints=['shoulder', 'elbow', 'wrist'],
                 bones=[('shoulder', 'elbow'), ('elbow', 'wrist')])

    Args:
        name (str): The name, as it appears in messages and pictures.
        joints (sequence of str): The joint names, in the order of the data.
        bones (sequence of pairs): The bones, each as two joints, by number
            (from 0) or by name. The order within a pair does not matter.
        parents (sequence, optional): For each joint the joint that its bone
            vector starts from; a root is its own parent. By default the tree of
            shortest paths from :obj:`centre` along the bones.
        centre (int or str, optional): The joint that clips are centred on.
            (default: :obj:`0`)
        pairs (sequence of pairs, optional): Joints that a mirror swaps,
            each as (left, right). (default: :obj:`()`)
        allow_disconnected (bool, optional): Accept a graph of several parts.
            Nothing flows between them. (default: :obj:`False`)

    Raises:
        ValueError: If a joint name repeats, a bone or a parent is out of range,
            a bone ties a joint to itself or is given twice, the parents hold a
            circle, or the bones leave the skeleton in several parts.
    """

    def __init__(
        self,
        name: str,
        joints: Sequence[str],
        bones: Sequence[tuple[Joint, Joint]],
        parents: Sequence[Joint] | None = None,
        centre: Joint = 0,
        pairs: Sequence[tuple[Joint, Joint]] = (),
        allow_disconnected: bool = False,
    ) -> None:
        self.name = name
        self.joints = tuple(joints)
        if not self.joints:
            raise ValueError(f"Skeleton '{name}' has no joints")
        twice = [joint for joint, n in Counter(self.joints).items() if n > 1]
        if twice:
            raise ValueError(
                f"Skeleton '{name}': joint names must differ (given more than once: "
                f'{", ".join(twice)})'
            )
        self._number = {joint: v for v, joint in enumerate(self.joints)}
        self.centre = self._index(centre, 'centre')
        self.bones = self._read_bones(bones)
        self.pairs = tuple(self._read_pair(pair, 'pair') for pair in pairs)

        neighbours: list[list[int]] = [[] for _ in self.joints]
        for u, v in self.bones:
            neighbours[u].append(v)
            neighbours[v].append(u)
        if not allow_disconnected:
            self._check_connected(neighbours)
        self.parents = (
            self._shortest_path_tree(neighbours)
            if parents is None
            else self._read_parents(parents)
        )

    @property
    def num_joints(self) -> int:
        """The number of joints."""
        return len(self.joints)

    def arguments(self) -> dict[str, Any]:
        """The arguments that make this skeleton: plain values, for files."""
        return {
            'name': self.name,
            'joints': list(self.joints),
            'bones': [list(bone) for bone in self.bones],
            'parents': list(self.parents),
            'centre': self.centre,
            'pairs': [list(pair) for pair in self.pairs],
            'allow_disconnected': True,
        }

    @property
    def edge_index(self) -> Tensor:
        """The bones in both directions, ``[2, 2 * num_bones]``, sorted by target."""
        both = [*self.bones, *((v, u) for u, v in self.bones)]
        both.sort(key=lambda edge: (edge[1], edge[0]))
        return torch.tensor(both, dtype=torch.long).view(-1, 2).t().contiguous()

    def to_data(self, x: Tensor | None = None, **kwargs: Any) -> Data:
        r"""The skeleton as a graph of PyG: the bones in both directions as
        :obj:`edge_index`, :obj:`num_nodes` and, one for each node, the names
        :obj:`joints`; with a clip or without.

        .. code-block:: python

            graph = to_networkx(skeleton('coco-17').to_data(), node_attrs=['joints'])

        Args:
            x (Tensor, optional): A clip of shape :math:`(M, T, V, C)`.
            **kwargs (optional): Other attributes, such as :obj:`y` and :obj:`name`.

        Returns:
            With a clip, a :class:`~pyg_msg3d.data.SkeletonData`, else a
            :class:`~torch_geometric.data.Data`.

        Raises:
            SkeletonDataError: If the clip has another shape or number of joints.
        """
        kwargs = {'edge_index': self.edge_index, 'joints': self.joints, **kwargs}
        if x is None:
            return Data(num_nodes=self.num_joints, **kwargs)
        if x.dim() != 4 or x.size(2) != self.num_joints:
            raise SkeletonDataError(
                f"Skeleton '{self.name}': expected a clip [persons, frames, "
                f'{self.num_joints} joints, channels] (got {list(x.shape)})'
            )
        return SkeletonData(x, **kwargs)

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}('{self.name}', joints={self.num_joints}, "
            f'bones={len(self.bones)})'
        )

    # Reading and checking what the user gave ----------------------------------

    def _index(self, joint: Joint, what: str) -> int:
        if isinstance(joint, str):
            if joint not in self._number:
                raise ValueError(
                    f"Skeleton '{self.name}': {what} names the joint '{joint}', "
                    f'which is not among its joints ({", ".join(self.joints)})'
                )
            return self._number[joint]
        if not 0 <= joint < len(self.joints):
            raise ValueError(
                f"Skeleton '{self.name}': {what} refers to joint {joint}, but joints "
                f'are numbered 0 to {len(self.joints) - 1}'
            )
        return int(joint)

    def _read_pair(self, pair: tuple[Joint, Joint], what: str) -> tuple[int, int]:
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(
                f"Skeleton '{self.name}': a {what} is two joints (got {pair!r})"
            )
        a, b = (self._index(joint, f'{what} {tuple(pair)}') for joint in pair)
        if a == b:
            raise ValueError(
                f"Skeleton '{self.name}': {what} {tuple(pair)} ties the joint "
                f"'{self.joints[a]}' to itself (a self-loop); leave it out, every "
                f'joint already sees itself at scale 0'
            )
        return a, b

    def _read_bones(
        self, bones: Sequence[tuple[Joint, Joint]]
    ) -> tuple[tuple[int, int], ...]:
        read = tuple(self._read_pair(bone, 'bone') for bone in bones)
        seen: set[frozenset[int]] = set()
        for bone in read:
            if frozenset(bone) in seen:
                raise ValueError(
                    f"Skeleton '{self.name}': bone {bone} is given twice; bones are "
                    f'undirected, so once is enough'
                )
            seen.add(frozenset(bone))
        return read

    def _read_parents(self, parents: Sequence[Joint]) -> tuple[int, ...]:
        if len(parents) != self.num_joints:
            raise ValueError(
                f"Skeleton '{self.name}': expected one parent for each of its "
                f'{self.num_joints} joints (got {len(parents)})'
            )
        read = tuple(
            self._index(parent, f'the parent of joint {v}')
            for v, parent in enumerate(parents)
        )
        to_root: set[int] = set()
        for v in range(self.num_joints):
            path: list[int] = []
            while v not in to_root and read[v] != v:
                if v in path:
                    raise ValueError(
                        f"Skeleton '{self.name}': the parents of joint "
                        f"'{self.joints[v]}' run in a circle; a root is its own parent"
                    )
                path.append(v)
                v = read[v]
            to_root.update(path, [v])
        return read

    def _check_connected(self, neighbours: list[list[int]]) -> None:
        parts: list[list[int]] = []
        reached: set[int] = set()
        for v in range(self.num_joints):
            if v not in reached:
                parts.append(list(_breadth_first(neighbours, v)))
                reached.update(parts[-1])
        if len(parts) > 1:
            named = '; '.join(
                '(' + ', '.join(self.joints[v] for v in sorted(part)) + ')'
                for part in parts
            )
            raise ValueError(
                f"Skeleton '{self.name}' is disconnected: the bones leave it in "
                f'{len(parts)} parts, between which nothing flows: {named}. Add the '
                f'missing bones, or pass allow_disconnected=True'
            )

    def _shortest_path_tree(self, neighbours: list[list[int]]) -> tuple[int, ...]:
        tree: dict[int, int] = {}
        for root in (self.centre, *range(self.num_joints)):
            if root not in tree:
                tree.update(_breadth_first(neighbours, root))
        return tuple(tree[v] for v in range(self.num_joints))


def _breadth_first(neighbours: list[list[int]], root: int) -> dict[int, int]:
    """Joint -> parent, for all that :obj:`root` reaches by shortest paths."""
    parents = {root: root}
    queue = deque([root])
    while queue:
        u = queue.popleft()
        for v in neighbours[u]:
            if v not in parents:
                parents[v] = u
                queue.append(v)
    return parents
