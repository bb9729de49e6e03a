"""The benchmarks run, compare before they time, and their gate can fail."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / 'benchmarks'


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_gate():
    import check

    recorded = {('a', 'pyg_msg3d'): (2.0, 2.1), ('b', 'pyg_msg3d'): (3.0, 3.1)}
    assert check.compare(recorded, recorded, 0.15) == 0
    noisy = recorded | {('a', 'pyg_msg3d'): (1.6, 1.75)}
    assert check.compare(recorded, noisy, 0.15) == 0
    slower = recorded | {('a', 'pyg_msg3d'): (1.5, 1.6)}
    assert check.compare(recorded, slower, 0.15) == 1
    assert check.compare(recorded, {}, 0.15) == 2


def test_ratios_are_those_within_a_round():
    import runner

    # The machine is three times slower in the second round: the ratio stays.
    seconds = {'naive': [2.0, 6.0, 2.0], 'ours': [1.0, 3.0, 1.0]}
    table = runner.rows('case', seconds, ['naive'])
    assert [row['speedup'] for row in table] == [1, 2]
    assert table[1]['speedup_q20'] == table[1]['speedup_q80'] == 2
    assert {row['baseline'] for row in table} == {'naive'}


def test_a_wrong_result_is_not_timed():
    import model
    import torch

    class Other(torch.nn.Linear):
        pass

    x = torch.randn(3, 4)
    with pytest.raises(AssertionError, match='second differs'):
        model.compare(
            'inference', {'first': (Other(4, 2), x), 'second': (Other(4, 2), x)}
        )


def test_whole_body_is_one_graph_of_543():
    import graphs

    body = graphs.whole_body()
    assert body.num_joints == 543
    face = graphs.mesh(468)
    # A surface without holes: nodes - edges + triangles = 1.
    assert 468 - len(face.bones) + 2 * 17 * 25 == 1


@pytest.mark.slow
def test_model(tmp_path):
    output = tmp_path / 'model.csv'
    command = [sys.executable, str(BENCHMARKS / 'model.py'), '--repeats', '2']
    command += ['--residuals', 'tied', '--only', 'inference', '--output', str(output)]
    subprocess.run(command, check=True)
    with output.open(newline='') as file:
        lines = list(csv.DictReader(file))
    assert {line['side'] for line in lines} == {'naive', 'pyg_msg3d', 'pyg_msg3d fused'}
    assert {line['case'] for line in lines} == {
        'ntu tied inference',
        'ntu tied inference bf16',
    }
    assert all(line['device'] and line['commit'] and line['torch'] for line in lines)
    peaks = [float(line['peak_mb']) for line in lines if 'bf16' not in line['case']]
    assert all(10 < peak < 2000 for peak in peaks)
