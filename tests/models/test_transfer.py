"""Beginning with another model's weights, and giving ours to others."""

import json
import struct

import golden_rule as rule
import pytest
import torch

from pyg_msg3d import MSG3D, Skeleton, skeleton
from pyg_msg3d.data import CheckpointError, Metadata

SMALL = {'gcn_scales': 3, 'g3d_scales': 2, 'channels': (6, 12, 18)}


def small(bones='ntu-rgb+d', num_classes=4, **kwargs):
    torch.manual_seed(0)
    model = MSG3D(bones, num_classes, **{**SMALL, **kwargs})
    with torch.no_grad():  # So that statistics are no more those of the start.
        for name, buffer in model.named_buffers():
            if name.endswith('running_var'):
                buffer.uniform_(0.5, 1.5)
            elif name.endswith('running_mean'):
                buffer.uniform_(-0.2, 0.2)
    return model.eval()


def same(one, other):
    return one.keys() == other.keys() and all(one[k].equal(other[k]) for k in one)


def clips(model, frames=9):
    shape = (2, model.num_persons, frames, model.skeleton.num_joints, model.in_channels)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ('golden', 'family'),
    [('official_ntu60', 'official'), ('mmaction2_ntu60_2d_coco', 'mmaction2'),
     ('mmaction2_ntu60_3d', 'pyskl')],
)  # fmt: skip
def test_there_and_back_bit_for_bit(golden, family, tmp_path):
    """Theirs, ours, theirs, ours."""
    theirs = rule.state_dict(rule.load(golden))
    if family == 'pyskl':
        theirs = {
            k.replace('cls_head.fc', 'cls_head.fc_cls'): v for k, v in theirs.items()
        }
    model = MSG3D.from_checkpoint(theirs)
    back = model.to_checkpoint(family)
    assert same(back, theirs)
    assert {k: v.shape for k, v in back.items()} == {
        k: v.shape for k, v in theirs.items()
    }
    torch.save(back, tmp_path / 'back.pt')
    again = MSG3D.from_checkpoint(tmp_path / 'back.pt')
    assert same(again.state_dict(), model.state_dict())


@pytest.mark.parametrize('family', ['official', 'mmaction2', 'pyskl'])
@pytest.mark.parametrize('residual', ['dense', 'tied', None])
@pytest.mark.parametrize('normalization', ['sym', 'col'])
def test_other_adjacencies_go_into_the_residual(family, residual, normalization):
    model = small(residual=residual, normalization=normalization).double()
    again = MSG3D.from_checkpoint(model.to_checkpoint(family)).double().eval()
    x = clips(model).double()
    torch.testing.assert_close(again(x), model(x), rtol=1e-6, atol=1e-6)


def test_what_their_code_does_not_know_is_refused():
    for kwargs, said in [
        ({'channels': (6, 12)}, 'blocks'),
        ({'in_channels': 2}, 'channels of a joint'),
        ({'pooling': 'present'}, 'pooling'),
        ({'window_dilations': (1, 2)}, 'window dilations'),
    ]:
        with pytest.raises(ValueError, match=said):
            small(**kwargs).to_checkpoint('official')
    with pytest.raises(ValueError, match='official, mmaction2, pyskl'):
        small().to_checkpoint('keras')


def test_safetensors_keep_everything(tmp_path):
    model = small(residual='tied', dropout=0.3, pooling='present')
    steps = ({'name': 'Centre', 'joint': 1},)
    model.metadata = Metadata(
        ('a', 'b', 'c', 'd'), 'tracked', steps, 'bone', 'mmaction2'
    )
    model.save(tmp_path / 'model.safetensors')
    again = MSG3D.from_checkpoint(tmp_path / 'model.safetensors').eval()
    assert again.arguments == model.arguments
    assert again.metadata.arguments() == model.metadata.arguments()
    assert same(again.state_dict(), model.state_dict())
    assert again(clips(model)).equal(model(clips(model)))


def test_hostile_safetensors(tmp_path):
    path = tmp_path / 'model.safetensors'
    model = small()
    model.save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], 'little')
    header = json.loads(content[8 : 8 + length])

    def write(changed, rest=content[8 + length :]):
        text = json.dumps(changed).encode()
        path.write_bytes(struct.pack('<Q', len(text)) + text + rest)

    def refused():
        with pytest.raises(CheckpointError, match='model.safetensors'):
            MSG3D.from_checkpoint(path)

    for broken in (b'', content[: len(content) // 2], b'\xff' * 100, content[:-1]):
        path.write_bytes(broken)
        refused()
    about = json.loads(header['__metadata__']['pyg_msg3d'])
    for key, value in [
        ('model_arguments', None), ('metadata', [1]),
        ('metadata', {'classes': ['a', 'a']}), ('metadata', {'classes': [1]}),
        ('metadata', {'steps': [{'name': 'X', 'size': 10**9}]}),
        ('metadata', {'code': 'import os'}),
        ('model_arguments', {**about['model_arguments'], 'gcn_scales': 10**6}),
    ]:  # fmt: skip
        changed = {**about, key: value}
        write({**header, '__metadata__': {'pyg_msg3d': json.dumps(changed)}})
        refused()
    write({**header, '__metadata__': {'pyg_msg3d': '{'}})
    refused()
    name = next(key for key in header if key != '__metadata__')
    write({**header, name: {**header[name], 'data_offsets': [0, 10**12]}})
    refused()


# Fine-tuning -------------------------------------------------------------------


@pytest.mark.filterwarnings('ignore:Of ')
def test_other_classes(tmp_path):
    model = small()
    model.metadata = Metadata(('a', 'b', 'c', 'd'))
    model.save(tmp_path / 'm.safetensors')
    new = MSG3D.from_checkpoint(tmp_path / 'm.safetensors', num_classes=3)
    assert new.num_classes == 3
    assert new.metadata.classes == ()
    assert new.transfer.drawn == ('classifier.weight', 'classifier.bias')
    assert len(new.transfer.kept) == len(model.state_dict()) - 2
    torch.testing.assert_close(
        new.eval().features(clips(model)), model.features(clips(model))
    )
    with pytest.warns(UserWarning, match=r'drawn anew: classifier.weight'):
        MSG3D.from_checkpoint(tmp_path / 'm.safetensors', num_classes=3)
    # By name: those that the model knows already are kept.
    named = MSG3D.from_checkpoint(tmp_path / 'm.safetensors', classes=['d', 'new', 'a'])
    assert named.classifier.weight[0].equal(model.classifier.weight[3])
    assert named.classifier.weight[2].equal(model.classifier.weight[0])
    assert not named.classifier.weight[1].equal(model.classifier.weight[1])
    assert named.metadata.classes == ('d', 'new', 'a')
    assert named.transfer.partly['classifier.weight'] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="'num_classes' is 2, but 'classes' names 3"):
        MSG3D.from_checkpoint(
            tmp_path / 'm.safetensors', num_classes=2, classes=['a', 'b', 'c']
        )
    # Names of what had none change nothing else.
    model.metadata = Metadata()
    model.save(tmp_path / 'm.safetensors')
    same_model = MSG3D.from_checkpoint(
        tmp_path / 'm.safetensors', classes=['w', 'x', 'y', 'z']
    )
    assert same_model.transfer is None
    assert same(same_model.state_dict(), model.state_dict())


@pytest.mark.filterwarnings('ignore:Of ')
@pytest.mark.parametrize('residual', ['dense', 'tied', None])
def test_other_joints_by_name(residual):
    """All that belongs to a joint goes where a joint of that name is."""
    model = small(residual=residual)
    state = {'model': model.state_dict(), 'ema': None,
             'model_arguments': model.arguments}  # fmt: skip
    own = Skeleton(
        'upper',
        ['tail', 'Right_Elbow', 'left shoulder', 'neck'],
        [(0, 3), (1, 3), (2, 3)],
    )
    new = MSG3D.from_checkpoint(state, own)
    assert new.transfer.joints == {
        'left shoulder': 'left shoulder', 'right elbow': 'Right_Elbow', 'neck': 'neck',
    }  # fmt: skip
    there = skeleton('ntu-rgb+d').joints
    pairs = [(1, there.index('right elbow')), (2, there.index('left shoulder')),
             (3, there.index('neck'))]  # fmt: skip
    old_mean = model.data_norm.module.running_mean.view(2, 25, 3)
    new_mean = new.data_norm.module.running_mean.view(2, 4, 3)
    for v, u in pairs:
        assert new_mean[:, v].equal(old_mean[:, u])
    assert new_mean[:, 0].eq(0).all()
    if residual is None:
        return
    old = model.blocks[1].g3d[0].adjacency.residual
    new_one = new.blocks[1].g3d[0].adjacency.residual
    frames = 3 if residual == 'dense' else 1
    old = old.view(frames, 25, frames, 25, 2)
    new_one = new_one.view(frames, 4, frames, 4, 2)
    for v, u in pairs:
        for v2, u2 in pairs:
            assert new_one[:, v, :, v2].equal(old[:, u, :, u2])
    assert not new_one[:, 0].eq(0).any()  # Drawn.
    assert new(clips(new)).isfinite().all()


@pytest.mark.filterwarnings('ignore:Of ')
def test_other_channels_and_persons():
    model = small()
    state = {'model': model.state_dict(), 'ema': None,
             'model_arguments': model.arguments}  # fmt: skip
    new = MSG3D.from_checkpoint(state, in_channels=2, num_persons=1)
    old_weight = model.blocks[0].gcn.conv.lin.weight
    assert new.blocks[0].gcn.conv.lin.weight.equal(old_weight[:, :2])
    assert 'blocks.0.gcn.conv.lin.weight' in new.transfer.kept
    more = MSG3D.from_checkpoint(state, in_channels=4)
    assert more.blocks[0].gcn.conv.lin.weight[:, :3].equal(old_weight)
    assert more.transfer.partly['blocks.0.gcn.conv.lin.weight'] == 0.75


def test_frozen_blocks_stay():
    model = small().freeze(2).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(clips(model)).logsumexp(1).sum().backward()
        optimizer.step()
    now = model.state_dict()
    frozen = [key for key in now if key.startswith(('blocks.0.', 'blocks.1.'))]
    assert all(now[key].equal(before[key]) for key in frozen)
    for key in ('data_norm.module.weight', 'blocks.2.gcn.conv.lin.weight',
                'blocks.2.tcn3.norm.running_mean', 'classifier.weight'):  # fmt: skip
        assert not now[key].equal(before[key])
    with pytest.raises(ValueError, match='from 0 to 3 blocks'):
        model.freeze(4)


def test_models_that_could_not_be_opened_again_are_refused():
    model = small()
    model.check_restorable()
    model.classifier = torch.nn.Linear(18, 9)
    model.check_restorable()  # Another number of classes is no obstacle.
    assert model.arguments['num_classes'] == 9
    model.classifier = torch.nn.Linear(18, 9, bias=False)
    with pytest.raises(CheckpointError, match='classifier.bias'):
        model.check_restorable()
    model.classifier = torch.nn.Sequential(torch.nn.Linear(18, 9))
    with pytest.raises(CheckpointError, match='classifier'):
        model.check_restorable()
    model = small()
    model.blocks[0].tcn1 = torch.nn.Identity()
    with pytest.raises(CheckpointError, match=r'blocks.0.tcn1'):
        model.check_restorable()


@pytest.mark.filterwarnings('ignore:Of ')
def test_public_joints_are_matched_by_name_too():
    """Another skeleton of as many joints is no other name for the same."""
    theirs = small('coco-17').to_checkpoint('official')
    assert MSG3D.from_checkpoint(theirs).skeleton.name == 'coco-17'
    new = MSG3D.from_checkpoint(theirs, 'h36m-17')
    assert new.transfer.joints['left knee'] == 'left knee'
    assert 'nose' not in new.transfer.joints
    assert len(new.transfer.joints) == 12


# Absent persons ----------------------------------------------------------------


def test_pooling_of_those_who_are_present():
    model = small()
    x = clips(model)
    alone = x.clone()
    alone[:, 1] = 0
    mean = model.features(alone)
    model.pooling = 'present'
    torch.testing.assert_close(model.features(x), small().features(x))
    found = model.features(alone)
    assert not torch.allclose(found, mean)
    # The mean over persons is what the first alone gives.
    each = model._through_blocks(
        model.data_norm(alone.transpose(1, 2).reshape(2, 9, -1))
        .view(2, 9, 2, 25, 3).transpose(1, 2).reshape(4, 9, 25, 3)
    ).view(2, 2, -1)  # fmt: skip
    torch.testing.assert_close(found, each[:, 0])
    nobody = model.features(torch.zeros_like(x))
    assert nobody.isfinite().all()
    fused = model.fused()
    torch.testing.assert_close(fused(alone), model(alone), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="'mean' or 'present'"):
        small(pooling='max')
