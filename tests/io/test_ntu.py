import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skeleton_files import (
    BODY_ID,
    NAME,
    corrupt_skeletons,
    pose,
    skeleton_text,
    valid_skeletons,
)

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io import NTUReader, SkeletonSequence, parse_skeleton, write_skeleton
from pyg_msg3d.io.ntu import SampleName, _parse_fast, _parse_lines


@pytest.mark.parametrize('kind', valid_skeletons())
def test_valid_files(kind):
    content = valid_skeletons()[kind]
    lines = _parse_lines(content, 'file')
    fast = _parse_fast(content)
    assert (fast is None) == (kind in ['spaces at ends of lines'])
    if fast is not None:
        for ours, oracle in zip(fast, lines, strict=True):
            np.testing.assert_array_equal(ours, oracle)


def test_what_a_file_holds():
    rng = np.random.default_rng(1)
    first, second = pose(rng), pose(rng)
    # The second body comes midway and takes the first one's place in the list.
    content = skeleton_text(
        [[(BODY_ID, first)], [(BODY_ID + 1, second), (BODY_ID, first)]],
        states=[0, 1, 2],
    )
    sequence = parse_skeleton(content, f'some/where/{NAME}.skeleton')
    assert sequence.name == NAME
    assert sequence.label == 12
    assert sequence.keypoints.shape == (2, 2, 25, 3)
    assert sequence.keypoints.dtype == np.float32
    np.testing.assert_array_equal(sequence.keypoints[0, 0], first)
    np.testing.assert_array_equal(sequence.keypoints[0, 1], second)
    np.testing.assert_array_equal(sequence.keypoints[1, 1], first)
    assert not sequence.keypoints[1, 0].any()
    # The id has 17 digits: as a double it would be another one.
    assert sequence.body_ids.tolist() == [[BODY_ID, BODY_ID + 1], [0, BODY_ID]]
    assert int(float(BODY_ID)) != BODY_ID
    assert sequence.score[0, 0, :4].tolist() == [0, 0.5, 1, 0]
    assert sequence.present.tolist() == [[True, True], [False, True]]


def test_no_bodies_give_no_slots():
    sequence = parse_skeleton(valid_skeletons()['no bodies'], f'{NAME}.skeleton')
    assert sequence.keypoints.shape == (0, 3, 25, 3)


@pytest.mark.parametrize('kind', corrupt_skeletons())
def test_corrupt_files_name_file_and_line(kind):
    content, message = corrupt_skeletons()[kind]
    assert _parse_fast(content) is None
    with pytest.raises(SkeletonDataError, match=f"'some.skeleton', {message}"):
        parse_skeleton(content, 'some.skeleton')


@pytest.mark.parametrize(
    'name', ['walking', 'S001C001P001R001', 'S1C1P1R1A1', f'{NAME}x']
)
def test_other_names_have_no_label(name):
    content = valid_skeletons()['one body']
    sequence = parse_skeleton(content, f'{name}.skeleton')
    assert (sequence.name, sequence.label) == (name, None)
    assert SampleName.parse(name) is None


def test_sample_name():
    assert SampleName.parse(NAME) == (1, 2, 3, 1, 13)
    assert str(SampleName.parse(NAME)) == NAME


def test_folder_and_zip_give_the_same(tmp_path):
    folder = tmp_path / 'nturgb+d_skeletons'
    folder.mkdir()
    for action in (1, 2):
        file = folder / f'S001C001P001R001A00{action}.skeleton'
        file.write_bytes(valid_skeletons()['one body'])
    with zipfile.ZipFile(tmp_path / 'ntu.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f'nturgb+d_skeletons/{file.name}')
    readers = NTUReader(folder), NTUReader(tmp_path / 'ntu.zip')
    for reader in readers:
        assert reader.names == ['S001C001P001R001A001', 'S001C001P001R001A002']
        assert [sequence.label for sequence in reader] == [0, 1]
    np.testing.assert_array_equal(readers[0][1].keypoints, readers[1][1].keypoints)


@given(
    st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 4),
    st.sampled_from(['\r\n', '\n']),
)  # fmt: skip
def test_writing_and_reading_again_changes_nothing(
    tmp_path_factory, seed, slots, frames, newline
):
    rng = np.random.default_rng(seed)
    keypoints = (rng.normal(size=(slots, frames, 25, 3)) * 3).astype(np.float32)
    states = rng.integers(0, 3, (slots, frames, 25))
    # Bodies without a gap before them in the list, as the format has it.
    present = np.cumprod(rng.random((slots, frames)) < 0.8, axis=0, dtype=bool)
    present[0, 0] = True
    keypoints[~present] = 0
    written = SkeletonSequence(
        keypoints,
        NAME,
        score=(states / 2 * present[..., None]).astype(np.float32),
        body_ids=rng.integers(1, 2**63 - 1, (slots, frames)) * present,
    )
    file = tmp_path_factory.mktemp('written') / f'{NAME}.skeleton'
    write_skeleton(file, written, newline)
    content = file.read_bytes()
    read = parse_skeleton(content, str(file))
    assert _parse_fast(content) is not None
    top = read.keypoints.shape[0]
    assert not keypoints[top:].any()
    np.testing.assert_array_equal(read.keypoints, keypoints[:top])
    np.testing.assert_array_equal(read.score, written.score[:top])
    np.testing.assert_array_equal(read.body_ids, written.body_ids[:top])


def test_writing_refuses_other_skeletons(tmp_path):
    sequence = SkeletonSequence(np.zeros((1, 2, 17, 2), np.float32), 'coco')
    with pytest.raises(ValueError, match=r'Expected 25 joints in 3 dimensions'):
        write_skeleton(tmp_path / 'x.skeleton', sequence)


@given(st.data())
def test_fast_path_never_differs_from_line_by_line(data):
    """Bytes changed at random: where the fast path has an answer, it is the same."""
    content = bytearray(data.draw(st.sampled_from(list(valid_skeletons().values()))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, min(len(content) - 1, 300)))
        new = data.draw(st.sampled_from(['', ' ', '\n', '1', '.', '-', 'e', 'a']))
        content[place : place + data.draw(st.integers(0, 1))] = new.encode()
    fast = _parse_fast(bytes(content))
    if fast is not None:
        oracle = _parse_lines(bytes(content), 'file')
        for ours, theirs in zip(fast, oracle, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_fast_path_notices_256_numbers_too_many():
    content = valid_skeletons()['one body']
    lines = content.split(b'\r\n')
    lines[5] += b' 1' * 256
    assert _parse_fast(content) is not None
    assert _parse_fast(b'\r\n'.join(lines)) is None
