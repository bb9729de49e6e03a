import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_msg3d import Skeleton, skeleton, skeleton_names

# Diameters of the published graphs (longest shortest path), and joints.
KNOWN = {
    'ntu-rgb+d': (25, 12),
    'ntu-rgb+d-mmaction': (25, 11),
    'coco-17': (17, 8),
    'openpose-18': (18, 8),
}


def distances(bones, n):
    far = [[0 if u == v else 10**9 for v in range(n)] for u in range(n)]
    for u, v in bones:
        far[u][v] = far[v][u] = 1
    for w in range(n):
        for u in range(n):
            for v in range(n):
                far[u][v] = min(far[u][v], far[u][w] + far[w][v])
    return far


@pytest.mark.parametrize('name', skeleton_names())
def test_catalogue(name):
    found = skeleton(name)
    assert found.name == name
    assert f'-{found.num_joints}' in name or found.num_joints == 25
    for left, right in found.pairs:
        if 'left' in found.joints[left]:
            mirrored = found.joints[left].replace('left', 'right')
            assert found.joints[right] == mirrored
    assert found.edge_index.shape == (2, 2 * len(found.bones))
    assert sum(parent == v for v, parent in enumerate(found.parents)) == 1


@pytest.mark.parametrize('name', KNOWN)
def test_diameters_are_those_of_the_published_graphs(name):
    joints, diameter = KNOWN[name]
    found = skeleton(name)
    assert found.num_joints == joints
    assert max(map(max, distances(found.bones, joints))) == diameter


def test_bone_vectors_of_the_recipes():
    for name in ('ntu-rgb+d', 'ntu-rgb+d-mmaction'):
        parents = skeleton(name).parents
        assert (parents[21], parents[22], parents[23], parents[24]) == (22, 7, 24, 11)
        assert parents[20] == 20
    assert skeleton('coco-17').parents[11:13] == (0, 0)
    assert skeleton('openpose-18').parents[0] == 0


def test_own_skeleton_by_names():
    own = Skeleton('arm', ['a', 'b', 'c'], [('a', 'b'), ('b', 'c')], centre='b')
    assert own.bones == ((0, 1), (1, 2))
    assert own.parents == (1, 1, 1)
    assert str(own) == "Skeleton('arm', joints=3, bones=2)"
    assert own.edge_index.tolist() == [[1, 0, 2, 1], [0, 1, 1, 2]]
    assert skeleton(own) is own


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'joints': []}, 'no joints'),
        ({'joints': ['a', 'a', 'b']}, 'names must differ.*a'),
        ({'bones': [(0, 3), (0, 1)]}, 'joint 3, but joints are numbered 0 to 2'),
        ({'bones': [(0, -1), (0, 1)]}, 'joint -1'),
        ({'bones': [('a', 'x'), ('a', 'b')]}, "'x', which is not among"),
        ({'bones': [(0, 1), (1, 1)]}, 'self-loop'),
        ({'bones': [(0, 1), (1, 0), (1, 2)]}, 'given twice'),
        ({'bones': [(0, 1, 2)]}, 'two joints'),
        ({'bones': [(0, 1)]}, r'disconnected.*2 parts.*\(a, b\); \(c\)'),
        ({'parents': [0, 0]}, 'one parent for each of its 3 joints .got 2'),
        ({'parents': [1, 0, 0]}, 'circle'),
        ({'parents': [0, 0, 7]}, 'joint 7'),
        ({'centre': 9}, 'joint 9'),
        ({'pairs': [(0, 0)]}, 'to itself'),
    ],
)
def test_refusals(arguments, message):
    good = {'name': 'own', 'joints': ['a', 'b', 'c'], 'bones': [(0, 1), (1, 2)]}
    Skeleton(**good)
    with pytest.raises(ValueError, match=message):
        Skeleton(**{**good, **arguments})


def test_disconnected_on_request():
    own = Skeleton('own', ['a', 'b', 'c'], [(0, 1)], allow_disconnected=True)
    assert own.parents == (0, 0, 2)


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r'ntu-rgb\+d.*coco-17.*Skeleton\('):
        skeleton('ntu')


@given(st.integers(2, 40), st.randoms(use_true_random=False))
def test_any_tree_is_its_own_tree_of_parents(n, random):
    bones = [(random.randrange(v), v) for v in range(1, n)]
    own = Skeleton('tree', [str(v) for v in range(n)], bones)
    assert own.parents == (0, *(u for u, _ in bones))
