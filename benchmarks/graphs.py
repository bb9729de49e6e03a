"""Graphs to measure on that are larger than a motion capture's skeleton."""

from pyg_msg3d import Skeleton, skeleton


def mesh(num_nodes: int, columns: int = 26) -> Skeleton:
    """A triangulated surface: a grid with one diagonal in each square."""
    edges = []
    for node in range(num_nodes):
        right, below = node + 1, node + columns
        if right % columns and right < num_nodes:
            edges.append((node, right))
        if below < num_nodes:
            edges.append((node, below))
        if right % columns and below + 1 < num_nodes:
            edges.append((node, below + 1))
    return Skeleton(f'mesh-{num_nodes}', [f'n{i}' for i in range(num_nodes)], edges)


def whole_body() -> Skeleton:
    """543 nodes: a body of 33 joints, two hands of 21 and a triangulated face of 468,
    joined at the wrists and the nose."""
    body, hand, face = skeleton('mediapipe-pose-33'), skeleton('hand-21'), mesh(468)
    bones, first = list(body.bones), body.num_joints
    names = list(body.joints)
    nose, left_wrist, right_wrist = 0, 15, 16
    for part, at, name in (
        (hand, left_wrist, 'left'),
        (hand, right_wrist, 'right'),
        (face, nose, 'face'),
    ):
        bones += [(a + first, b + first) for a, b in part.bones]
        bones.append((at, first))
        names += [f'{name}-{joint}' for joint in part.joints]
        first += part.num_joints
    return Skeleton('whole-body-543', names, bones)
