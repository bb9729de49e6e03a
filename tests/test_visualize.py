from actions import synthetic

from pyg_msg3d.training import Epoch, plot_history
from pyg_msg3d.visualize import animate, contact_sheet


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
