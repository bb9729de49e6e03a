"""Files of weights that are damaged, or say more than they hold."""

import io
import pickle
import random
import resource
import subprocess
import sys
import zipfile

import golden_rule as rule
import pytest
import torch
from actions import ROOT, same_weights, small_model, synthetic

from pyg_msg3d import MSG3D
from pyg_msg3d.data import CheckpointError
from pyg_msg3d.training import Settings, Trainer, read_notes
from pyg_msg3d.training.checkpoints import load_checkpoint


@pytest.fixture(scope='module')
def official():
    return rule.state_dict(rule.load('official_ntu60'))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    clips = synthetic()
    settings = Settings(epochs=1, batch_size=4, tensorboard=False)
    Trainer(small_model(clips), clips, clips, settings, folder).fit()
    return folder / 'best.pt'


def save(content, path, **kwargs):
    torch.save(content, path, **kwargs)
    return path


def test_no_flipped_bit_loads_other_weights(run, tmp_path):
    expected = MSG3D.from_checkpoint(run).state_dict()
    notes = read_notes(run)
    content, rng = run.read_bytes(), random.Random(0)
    file, refused, same = tmp_path / 'best.pt', 0, 0
    for _ in range(300):
        flipped = bytearray(content)
        bit = rng.randrange(8 * len(content))
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            assert same_weights(MSG3D.from_checkpoint(file).state_dict(), expected)
            assert read_notes(file) == notes
            same += 1
        except CheckpointError:
            refused += 1
            for opens in (load_checkpoint, read_notes):
                with pytest.raises(CheckpointError, match='best.pt'):
                    opens(file)
    print(f'300 bits: {refused} refused, {same} of no consequence, 0 wrong')
    assert refused > 200


@pytest.mark.parametrize('legacy', [False, True])
def test_wrappings(official, tmp_path, legacy):
    expected = MSG3D.from_checkpoint(official).state_dict()
    for prefix in (
        '_orig_mod.',
        'model.',
        'module.',
        'module._orig_mod.',
        'model.model.',
    ):
        wrapped = {f'{prefix}{key}': value for key, value in official.items()}
        file = save(
            {'state_dict': wrapped}, tmp_path / 'x.pt',
            _use_new_zipfile_serialization=not legacy,
        )  # fmt: skip
        assert same_weights(MSG3D.from_checkpoint(file).state_dict(), expected)


@pytest.mark.parametrize('prefix', ['', 'module.', '_orig_mod.'])
def test_bare_weights_of_ours_are_known_as_such(prefix):
    state = small_model(synthetic()).state_dict()
    with pytest.raises(CheckpointError, match='weights of this library, alone'):
        MSG3D.from_checkpoint({prefix + key: value for key, value in state.items()})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda t: t * float('nan'), 'numbers under .* are NaN'),
        (lambda t: t + float('inf'), 'NaN or infinite'),
        (lambda t: t.to(torch.complex64), 'expected real numbers under'),
        (lambda t: t.long(), 'expected real numbers under'),
        (lambda t: t[..., :1], 'does not fit itself'),
        (lambda t: t[None], 'does not fit itself'),
        (lambda t: t.to_sparse(), 'in a layout that is not plain'),
        (lambda t: t[:1].expand(10**12, *t.shape[1:]), 'says that .* has the shape'),
    ],
)
@pytest.mark.parametrize('ours', [False, True])
def test_weights_that_are_none(run, official, tmp_path, change, message, ours):
    if ours:
        content = torch.load(run, weights_only=True)
        state, key = content['model'], 'classifier.weight'
    else:
        content = state = dict(official)
        key = 'fc.weight'
    state[key] = change(state[key])
    with pytest.raises(CheckpointError, match=message):
        MSG3D.from_checkpoint(save(content, tmp_path / 'x.pt'))


@pytest.mark.parametrize(
    'argument',
    [{'num_classes': 10**12}, {'num_persons': 10**9}, {'in_channels': -3},
     {'channels': [10**7, 12]}, {'channels': []}, {'gcn_scales': 10**8},
     {'g3d_scales': 10**8}, {'window_sizes': [10**7]}, {'window_sizes': 'x'},
     {'residual': None}, {'residual': 'tied'}, {'skeleton': {}}, {'skeleton': 3},
     {'dropout': 7}, {'num_classes': None}],
    ids=str,
)  # fmt: skip
def test_sizes_that_weights_do_not_have(run, tmp_path, argument):
    """Refused before a model of that size is made."""
    content = torch.load(run, weights_only=True)
    content['model_arguments'].update(argument)
    with pytest.raises(
        CheckpointError, match=r'x.pt. does not fit itself|checkpoint does'
    ):
        MSG3D.from_checkpoint(save(content, tmp_path / 'x.pt'))


def test_storages_that_claim_more_than_there_is(tmp_path):
    """The pickle says a million numbers, the archive holds four."""
    file = save({'fc.weight': torch.ones(4)}, tmp_path / 'x.pt')
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = next(n for n in parts if n.endswith('data.pkl'))
    # Four numbers of storage and of shape, as pickled.
    parts[name] = parts[name].replace(b'K\x04', b'J\x40\x42\x0f\x00')
    with zipfile.ZipFile(file, 'w') as archive:
        for member, content in parts.items():
            archive.writestr(member, content)
    with pytest.raises(CheckpointError, match='is shorter than it should be'):
        MSG3D.from_checkpoint(file)


def test_archives_that_unfold(tmp_path):
    buffer = io.BytesIO()
    torch.save({'fc.weight': torch.zeros(10**6)}, buffer)
    with (
        zipfile.ZipFile(buffer) as archive,
        zipfile.ZipFile(tmp_path / 'x.pt', 'w', zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in archive.namelist():
            packed.writestr(member, archive.read(member))
    with pytest.raises(CheckpointError, match='more than its size'):
        MSG3D.from_checkpoint(tmp_path / 'x.pt')


def test_a_hostile_checkpoint_takes_no_memory(tmp_path):
    """In a process that may have half a gigabyte more than it has."""
    state = rule.state_dict(rule.load('official_ntu60'))
    state['fc.weight'] = torch.zeros(1).expand(10**9, 384)
    save(state, tmp_path / 'x.pt')
    script = (
        'import resource, sys\nfrom pyg_msg3d import MSG3D\n'
        'size = int(open("/proc/self/statm").read().split()[0]) * 4096 + (1 << 29)\n'
        'resource.setrlimit(resource.RLIMIT_AS, (size, size))\n'
        'try:\n    MSG3D.from_checkpoint(sys.argv[1])\n'
        'except ValueError as error:\n    print(error)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', script, tmp_path / 'x.pt'],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert 'says that fc.weight has the shape' in done.stdout
    assert resource.getrlimit(resource.RLIMIT_AS)[0] < 0 or done.returncode == 0


def test_other_files_and_none(tmp_path):
    with pytest.raises(FileNotFoundError, match='There is no'):
        MSG3D.from_checkpoint(tmp_path / 'none.pt')
    (tmp_path / 'x.pt').write_bytes(pickle.dumps({'a': 1}))
    for opens in (MSG3D.from_checkpoint, load_checkpoint, read_notes):
        with pytest.raises(CheckpointError, match='cannot be read as a checkpoint'):
            opens(tmp_path / 'x.pt')
    # Sound, and none of ours: nothing is known of its data.
    assert read_notes(save({'state_dict': {}}, tmp_path / 'y.pt')) == {}
