import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch_geometric.typing
from required import skip_or_fail

SHARED = Path(__file__).parents[2] / 'shared'


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch.manual_seed(12345)
    # Many small compilations in one process run into dynamo's recompile limit.
    torch._dynamo.reset()


@pytest.fixture
def torch_sparse():
    """The package, for tests that need it."""
    if not torch_geometric.typing.WITH_TORCH_SPARSE:
        skip_or_fail('torch-sparse is not installed')
    import torch_sparse

    return torch_sparse


@pytest.fixture
def torch_scatter():
    """The package, for tests that need it."""
    if not torch_geometric.typing.WITH_TORCH_SCATTER:
        skip_or_fail('torch-scatter is not installed')
    import torch_scatter

    return torch_scatter


@pytest.fixture
def triton():
    """The package, for tests that need it."""
    if find_spec('triton') is None:
        skip_or_fail('triton is not installed')
    import triton

    return triton


@pytest.fixture
def backend(request):
    """Parametrised indirectly: a backend's name, skipped where it cannot run."""
    if request.param in ('torch_sparse', 'torch_scatter', 'triton'):
        request.getfixturevalue(request.param)
    if request.param == 'triton' and os.environ.get('TRITON_INTERPRET') != '1':
        # Interpreting must be chosen before the kernels are imported: test_triton.py
        # runs these tests once more, in a process of its own.
        pytest.skip('Triton is interpreted in a process of its own')
    return request.param


@pytest.fixture
def nw_ucla() -> Path:
    """The folder of NW-UCLA's archive, which is not part of the project."""
    path = Path(os.environ.get('NW_UCLA', SHARED / 'data' / 'nw_ucla'))
    if not (path / 'all_sqe.zip').is_file():
        skip_or_fail('all_sqe.zip of NW-UCLA is not at hand (set NW_UCLA)')
    return path


def pytest_generate_tests(metafunc):
    """Where there is a GPU, tests of operators and layers run on it, too."""
    folder = metafunc.definition.path.parent.name
    if folder in ('ops', 'nn') and torch.cuda.is_available():
        metafunc.fixturenames.append('device')
        metafunc.parametrize('device', ['cpu', 'cuda'], indirect=True)


@pytest.fixture
def device(request):
    """All that a test makes is on it."""
    with torch.device(request.param):
        yield request.param
