"""The README's scripts run as they stand, one after the other, on small files."""

import re
import textwrap
import zipfile
from pathlib import Path

import golden_rule as rule
import numpy as np
import pytest
import torch
from actions import ROOT, small_model, synthetic
from skeleton_files import BODY_ID, pose, skeleton_text

from pyg_msg3d.training import Settings, Trainer, world

README = (ROOT / 'README.md').read_text()
BLOCKS = re.findall(r'^```(\w+)\n(.*?)^```', README, re.MULTILINE | re.DOTALL)


def write_files(root: Path) -> None:
    """What the scripts read."""
    rng = np.random.default_rng(0)
    torch.save(rule.state_dict(rule.load('official_ntu60')), root / 'msg3d_joint.pth')
    text = skeleton_text([[(BODY_ID, pose(rng))] for _ in range(12)])
    (root / 'S001C001P003R001A001.skeleton').write_bytes(text)
    archive = root / 'nturgbd_skeletons_s001_to_s017.zip'
    with zipfile.ZipFile(archive, 'w') as file:
        for performer in (1, 3):
            file.writestr(f's/S001C001P{performer:03d}R001A001.skeleton', text)
    (root / 'data/ntu60/raw').mkdir(parents=True)
    archive.replace(root / 'data/ntu60/raw' / archive.name)
    (root / archive.name).symlink_to(root / 'data/ntu60/raw' / archive.name)
    rows = ['file,label,split']
    for number in range(12):
        folder = ('walk', 'fall')[number % 2]
        (root / 'my_data' / folder).mkdir(parents=True, exist_ok=True)
        x = rng.uniform(0, 480, (1, 20, 17, 2))
        score = rng.uniform(0.1, 1, (1, 20, 17))
        file = f'{folder}/clip{number}.npz'
        np.savez(root / 'my_data' / file, keypoints=x, score=score,
                 image_size=[480, 640])  # fmt: skip
        rows.append(f'{file},{folder},{"train" if number < 8 else "test"}')
    (root / 'my_data/labels.csv').write_text('\n'.join(rows))


def test_scripts_of_the_readme_run(tmp_path, monkeypatch):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    scripts = [text for language, text in BLOCKS if language == 'python']
    assert len(scripts) > 8
    for script in scripts:
        script = script.replace('epochs=40', 'epochs=1')  # As good as forty.
        exec(compile(script, '<README>', 'exec'), names)
    assert names['logits'].shape == (4, 60)
    assert names['out'].shape == (8, 50, 25, 96)
    assert names['recordings'].names[0] == 'S001C001P001R001A001'
    assert names['prediction'].name == 'S001C001P003R001A001'
    assert (tmp_path / 'model.safetensors').exists()
    assert names['batch'].x.shape == (8, 2, 64, 17, 2)
    assert names['scores'].values.shape == (4, 2)
    assert len(names['history']) == 1
    assert (tmp_path / 'runs/mine/best.pt').exists()


def test_the_example_of_processes_runs(tmp_path, monkeypatch):
    """The one in the documentation of ``join``."""
    monkeypatch.chdir(tmp_path)
    text = world.join.__doc__
    block = text[text.index('.. code-block:: python') :].split('\n\n')[1]
    clips = synthetic()
    names = {
        'join': world.join, 'Trainer': Trainer, 'model': small_model(clips),
        'train_set': clips, 'test_set': clips,
        'settings': Settings(epochs=1, batch_size=4, tensorboard=False),
    }  # fmt: skip
    exec(textwrap.dedent(block), names)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('language', ['bash'])
def test_commands_of_the_readme_exist(language):
    """Scripts, targets of make and options that are named."""
    commands = '\n'.join(text for kind, text in BLOCKS if kind == language)
    scripts = set(re.findall(r'(?:examples|benchmarks)/\w+\.\w+', README))
    assert len(scripts) > 5
    for script in scripts:
        assert (ROOT / script).is_file(), script
    makefile = (ROOT / 'Makefile').read_text()
    for target in re.findall(r'(?:`|^)make ([a-z-]+)', README, re.MULTILINE):
        assert f'\n{target}:' in makefile, target
    for line in commands.replace('\\\n', ' ').splitlines():
        script = re.search(r'examples/\w+\.py', line)
        if script is None or 'torchrun' in line:
            continue
        text = (ROOT / script[0]).read_text()
        settings = (ROOT / 'pyg_msg3d/training/settings.py').read_text()
        settings += (ROOT / 'pyg_msg3d/training/run.py').read_text()
        settings += (ROOT / 'pyg_msg3d/models/architecture.py').read_text()
        settings += (ROOT / 'examples/train_ntu60.py').read_text() + '--recipe'
        for option in re.findall(r'(?<= )--[a-z-]+', line):
            field = option.removeprefix('--').replace('-', '_')
            assert option in text or option in settings or f'    {field}: ' in settings
