import pickle
from contextlib import suppress

import numpy as np
import pytest

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io import unpickle


class Evil:
    """Runs a command when unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('protocol', range(6))
def test_plain_content_comes_back(protocol):
    content = {
        'list': [1, -2, 2**40, 2**80, 1.5, None, True, 'é', b'bytes'],
        'tuple': (1, (2, (3, (4, ())))),
        'arrays': [
            np.arange(6).reshape(2, 3), np.arange(6.0).reshape(2, 3).T,
            np.zeros((0, 3), np.float16), np.array(3.5), np.array(['a', 'bcd']),
            np.arange(4, dtype='>i4'), np.arange(100, dtype=np.uint8)[::7],
        ],
        'scalars': [np.float32(1.5), np.int64(3), np.str_('x'), np.bool_(True)],
        np.str_('key'): 1,
        5: {'nested': {}},
    }  # fmt: skip
    read = unpickle(pickle.dumps(content, protocol), 'x.pkl')
    for ours, theirs in zip(read.pop('arrays'), content.pop('arrays'), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype.newbyteorder('=') == theirs.dtype.newbyteorder('=')
    assert read == content
    assert [type(a) for a in read['scalars']] == [type(a) for a in content['scalars']]


def test_containers_that_are_shared_stay_shared():
    shared = [np.zeros(2)]
    first, second = unpickle(pickle.dumps((shared, shared)), 'x.pkl')
    assert first is second


@pytest.mark.parametrize('protocol', range(6))
def test_no_code_is_run(tmp_path, protocol):
    import os

    victim = tmp_path / 'victim'
    for evil in [
        Evil(os.mkdir, str(victim)),
        Evil(eval, f'open({str(victim)!r}, "w")'),
        Evil(np.save, str(victim), [1]),
        Evil(np.fromfile, '/etc/passwd'),
        Evil(pickle.loads, pickle.dumps(Evil(os.mkdir, str(victim)))),
    ]:
        with pytest.raises(SkeletonDataError, match=r"x.pkl', byte \d+: .* asks for"):
            unpickle(pickle.dumps([evil], protocol), 'x.pkl')
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    'content',
    [
        {1, 2},
        np.array([[1], 'x'], dtype=object),
        np.zeros(2, 'i4,f4'),
        object,
        1j,
        Evil,
    ],
    ids=str,
)
def test_other_objects_are_refused(content):
    with pytest.raises(SkeletonDataError, match=r"'x.pkl', byte \d+: "):
        unpickle(pickle.dumps(content), 'x.pkl')


class Liar:
    """An array that claims a shape."""

    def __init__(self, shape):
        self.shape = shape

    def __reduce__(self):
        function, arguments, _ = np.zeros(2, np.float32).__reduce__()
        return function, arguments, (1, self.shape, np.dtype('f4'), False, bytes(8))


def test_arrays_that_lie_about_their_shape():
    assert unpickle(pickle.dumps(Liar((2,))), 'x.pkl').tolist() == [0, 0]
    for shape in [(3,), (10**12,), (-2, -1), (2**62, 4), (1,) * 20, 2, ('a',), None]:
        with pytest.raises(SkeletonDataError, match='x.pkl'):
            unpickle(pickle.dumps(Liar(shape)), 'x.pkl')


def test_allocating_before_reading_is_no_way():
    vast = (2**40).to_bytes(8, 'little')
    for content in [
        b'\x80\x05\x96' + vast + b'.',  # a bytearray of a terabyte
        b'\x80\x05\x8e' + vast + b'.',  # bytes
        b'\x80\x05\x8d' + vast + b'.',  # text
        b'\x80\x05]r\xff\xff\xff\xff.',  # the four billionth place of the memo
    ]:
        with suppress(SkeletonDataError):
            unpickle(content, 'x.pkl')


def test_keys_that_take_for_ever_to_hash_are_refused():
    # A tuple of a tuple twice, of a tuple twice, ...: 2 to the 60th hashes.
    content = (
        b'\x80\x04})' + b'\x94h\x00h\x00\x86'.replace(b'\x94h\x00h\x00', b'2\x86') * 60
    )
    content += b'K\x01s.'
    with pytest.raises(SkeletonDataError, match='x.pkl'):
        unpickle(content, 'x.pkl')
