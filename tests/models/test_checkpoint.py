"""Loading public weights; that the numbers are theirs is shown in test_golden.py."""

import golden_rule as rule
import pytest
import torch

from pyg_msg3d import MSG3D, Skeleton, skeleton
from pyg_msg3d.graph import disentangle
from pyg_msg3d.models.checkpoint import _arguments


@pytest.fixture(scope='module')
def official():
    return rule.state_dict(rule.load('official_ntu60'))


@pytest.fixture(scope='module')
def mmaction2():
    return rule.state_dict(rule.load('mmaction2_ntu60_2d_coco'))


def same(a, b):
    return all(x.equal(y) for x, y in zip(a.values(), b.values(), strict=True))


def test_files_and_wrappings_of_the_authors(official, tmp_path):
    expected = MSG3D.from_checkpoint(official)
    assert expected.skeleton.name == 'ntu-rgb+d'
    torch.save(official, tmp_path / 'weights.pt')
    parallel = {f'module.{key}': value for key, value in official.items()}
    for source in (
        tmp_path / 'weights.pt',
        str(tmp_path / 'weights.pt'),
        parallel,
        {'state_dict': official, 'epoch': 7},
    ):
        model = MSG3D.from_checkpoint(source)
        assert same(model.state_dict(), expected.state_dict())


def test_mmaction2_and_pyskl_differ_in_a_name(mmaction2):
    first = MSG3D.from_checkpoint({'meta': {'epoch': 16}, 'state_dict': mmaction2})
    pyskl = {
        k.replace('cls_head.fc', 'cls_head.fc_cls'): v for k, v in mmaction2.items()
    }
    second = MSG3D.from_checkpoint(pyskl)
    assert first.skeleton.name == second.skeleton.name == 'coco-17'
    assert same(first.state_dict(), second.state_dict())
    assert first.num_classes == 60
    assert first.blocks[0].gcn.conv.num_scales == 13
    # With the mean over sources, not the symmetric normalisation.
    ours = first.blocks[0].gcn.adjacency.weight
    assert (ours.view(17, 17, 13).sum(1) - 1).abs().max() < 1e-6


def test_everything_is_read_off_the_tensors(official):
    found = _arguments(official, 'A_res', 2, 'fc')
    assert found == {
        'num_classes': 60,
        'in_channels': 3,
        'num_persons': 2,
        'gcn_scales': 13,
        'g3d_scales': 6,
        'window_sizes': (3, 5),
        'channels': (96, 192, 384),
        'residual': 'dense',
        'normalization': 'sym',
    }


def test_graph_buffers_may_be_there_and_are_believed(mmaction2):
    bones = torch.zeros(17, 17)
    edges = skeleton('coco-17').edge_index
    bones[edges[0], edges[1]] = 1
    with_graph = {**mmaction2, 'backbone.A': bones, 'backbone.sgcn1.0.A': bones}
    expected = MSG3D.from_checkpoint(mmaction2).state_dict()
    assert same(MSG3D.from_checkpoint(with_graph).state_dict(), expected)

    bones[0, 16] = bones[16, 0] = 1
    with pytest.raises(ValueError, match=r'other bones.*\(0, 16\), \(16, 0\)'):
        MSG3D.from_checkpoint(with_graph)


def test_own_skeleton_and_arguments(official):
    found = skeleton('ntu-rgb+d')
    own = Skeleton('mine', found.joints, [*found.bones, (3, 7)])
    model = MSG3D.from_checkpoint(official, own, window_dilations=(1, 3), dropout=0.5)
    assert model.skeleton is own
    assert model.blocks[0].g3d[1].conv.window.dilation == 3
    assert model.dropout.p == 0.5
    expected = disentangle(own.edge_index, 25, 13)[2].double().sum()
    actual = model.blocks[0].gcn.adjacency.weight.double().sum()
    assert actual == pytest.approx(expected.item(), rel=1e-6)


def test_another_model(official, tmp_path):
    resnet = {'conv1.weight': torch.zeros(3), 'layer1.0.bn1.bias': torch.zeros(3)}
    torch.save(resnet, tmp_path / 'resnet.pt')
    with pytest.raises(ValueError, match='resnet.pt') as error:
        MSG3D.from_checkpoint(tmp_path / 'resnet.pt')
    message = str(error.value)
    assert 'Missing keys: data_bn.weight' in message
    assert 'Unexpected keys: conv1.weight, layer1.0.bn1.bias' in message

    one_less = {key: value for key, value in official.items() if key != 'fc.bias'}
    with pytest.raises(
        ValueError, match='Missing keys: fc.bias\nUnexpected keys: none'
    ):
        MSG3D.from_checkpoint(one_less)
    one_more = {**official, 'extra': torch.zeros(1)}
    with pytest.raises(ValueError, match='Missing keys: none\nUnexpected keys: extra'):
        MSG3D.from_checkpoint(one_more)
    odd = {**official, 'fc.bias': torch.zeros(61)}
    with pytest.raises(ValueError, match='classifier.bias'):
        MSG3D.from_checkpoint(odd)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), 'w'))


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 cut off'])
def test_no_checkpoint(content, tmp_path):
    path = tmp_path / 'weights.pt'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'weights.pt.*cannot be read as a checkpoint'):
        MSG3D.from_checkpoint(path)


def test_truncated_checkpoint(official, tmp_path):
    path = tmp_path / 'weights.pt'
    torch.save(official, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match='cannot be read'):
        MSG3D.from_checkpoint(path)


def test_no_code_is_run(tmp_path):
    torch.save({'state_dict': Trap(tmp_path / 'trap')}, tmp_path / 'weights.pt')
    with pytest.raises(ValueError, match='run code'):
        MSG3D.from_checkpoint(tmp_path / 'weights.pt')
    assert not (tmp_path / 'trap').exists()


def test_other_content(tmp_path):
    for content in ([1, 2], {}, {'lr': 0.1}, torch.zeros(3)):
        torch.save(content, tmp_path / 'weights.pt')
        with pytest.raises(ValueError, match='holds no state dict'):
            MSG3D.from_checkpoint(tmp_path / 'weights.pt')
    with pytest.raises(FileNotFoundError):
        MSG3D.from_checkpoint(tmp_path / 'nowhere.pt')
