from pathlib import Path

import numpy as np
import pytest
import torch
from actions import synthetic

from pyg_msg3d import skeleton
from pyg_msg3d.training import Epoch, plot_history
from pyg_msg3d.visualize import (
    animate,
    contact_sheet,
    draw_frame,
    picture_file,
    upright,
)


def test_pictures(tmp_path):
    from PIL import Image

    clips = synthetic()
    history = [
        Epoch(1, 2.0, 0.3, 0.1, 100.0, 1.0),
        Epoch(2, 1.0, 0.5, 0.1, 100.0, 1.0, 1.5, 0.4, 0.9, 0.4),
    ]
    plot_history(history, tmp_path / 'curves.png')
    contact_sheet([('a clip', clips[0].x)], clips.skeleton, tmp_path / 'sheet.png')
    animate(clips[0].x[:, :3], clips.skeleton, tmp_path / 'clip.gif', title='a clip')
    with Image.open(tmp_path / 'clip.gif') as gif:
        assert gif.n_frames == 3
    for name in ('curves.png', 'sheet.png'):
        with Image.open(tmp_path / name) as png:
            assert len(png.convert('L').getcolors()) > 10, 'an empty picture'


@pytest.mark.parametrize(
    ('axis', 'sign', 'dims'), [(1, 1, 3), (1, -1, 3), (2, 1, 3), (1, -1, 2), (1, 1, 2)]
)
def test_bodies_stand_upright_whatever_axis_is_up(axis, sign, dims):
    """Metres with y or z up, images in which y points down."""
    bones = skeleton('coco-17')
    x = torch.rand(1, 4, 17, dims) * 0.1 + 0.5
    for joint, name in enumerate(bones.joints):
        height = 2 if name == 'nose' else 1.5 if 'shoulder' in name else 0.3
        x[..., joint, axis] = sign * height + 3
    plane = upright(x, bones)
    assert plane.shape == (1, 4, 17, 2)
    nose, ankle = bones.joints.index('nose'), bones.joints.index('left ankle')
    assert (plane[0, :, nose, 1] > plane[0, :, ankle, 1]).all()
    np.testing.assert_array_equal(plane[..., 0], x[..., 0])


def test_left_and_right_have_colours_of_their_own(tmp_path):
    import matplotlib.pyplot as plt

    bones = skeleton('coco-17')
    fig, ax = plt.subplots()
    plane = np.random.default_rng(0).uniform(1, 2, (1, 17, 2))
    draw_frame(ax, plane, bones, (np.zeros(2), np.ones(2)))
    colours = {line.get_color() for line in ax.lines}
    assert {'tab:blue', 'tab:orange'} <= colours
    plt.close(fig)


def test_files_of_pictures_differ():
    taken: set = set()
    folder = Path('pictures')
    names = [picture_file(folder, name, taken).name for name in ('a/b', 'a_b', 'a/b')]
    assert names == ['a_b.gif', 'a_b-2.gif', 'a_b-3.gif']
