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


def test_gate_compares_with_the_lowest_of_several_processors():
    import check

    def line(side, speedup):
        return {'case': 'a', 'side': side, 'speedup': speedup, 'speedup_q80': speedup}

    lines = [line('pyg_msg3d', '3.5'), line('pyg_msg3d', '2.5'), line('reference', '1')]
    assert check.speedups(lines) == {('a', 'pyg_msg3d'): (2.5, 2.5)}


def test_ratios_are_those_within_a_round():
    import runner

    # The machine is three times slower in the second round: the ratio stays.
    seconds = {'reference': [2.0, 6.0, 2.0], 'ours': [1.0, 3.0, 1.0]}
    table = runner.rows('case', seconds, ['reference'])
    assert [row['speedup'] for row in table] == [1, 2]
    assert table[1]['speedup_q20'] == table[1]['speedup_q80'] == 2
    assert {row['baseline'] for row in table} == {'reference'}


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


def test_sides_in_their_own_processes(tmp_path):
    import runner

    script = tmp_path / 'script.py'
    script.write_text(
        f'import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n'
        'import runner, time\n'
        "print('something else')\n"
        'runner.serve(lambda: time.sleep(float(sys.argv[1])))\n'
    )
    slow = runner.Process(str(script), ['0.2'])
    with slow, runner.Process(str(script), ['0']) as fast:
        seconds = runner.in_turns({'slow': slow, 'fast': fast}, repeats=2)
    assert all(a >= 0.2 and b < 0.1 for a, b in zip(*seconds.values(), strict=True))
    with (
        pytest.raises(RuntimeError, match=r'script.py no-number ended'),
        runner.Process(str(script), ['no-number']) as broken,
    ):
        broken()


def test_whole_body_is_one_graph_of_543():
    import graphs

    body = graphs.whole_body()
    assert body.num_joints == 543
    face = graphs.mesh(468)
    # A surface without holes: nodes - edges + triangles = 1.
    assert 468 - len(face.bones) + 2 * 17 * 25 == 1


def test_auto_is_the_fastest_or_close():
    """On the recorded machine, for all graphs: a forward pass alone and one with a
    backward pass together, by the backend that 'auto' takes, cost at most a half more
    than by the best one."""
    import runner
    import torch

    from pyg_msg3d.ops import policy

    graphs: dict = {}
    for row in runner.load(BENCHMARKS / 'results' / 'operators.csv'):
        graph = row['case'].rsplit(' ', 1)[0], int(row['edges']), int(row['entries'])
        seconds = graphs.setdefault(graph, {})
        seconds[row['side']] = seconds.get(row['side'], 0) + float(row['seconds'])
    for (graph, edges, entries), seconds in graphs.items():
        chosen = policy.backend(torch.device('cpu'), edges, entries)
        assert seconds[chosen] <= 1.5 * min(seconds.values()), (graph, chosen)
    assert len(graphs) > 20


def test_growth():
    import scaling

    # Three times the edges take three times the time, whatever the machine.
    assert scaling.slope([100, 300, 900], [1.0, 3.0, 9.0]) == pytest.approx(1)
    assert scaling.slope([10, 100], [1.0, 100.0]) == pytest.approx(2)
    scaling.check()
    point = scaling.Point('none', 100, 6, 3, 1)
    scaling.step(point)()
    assert point.edges() < scaling.Point('tied', 100, 6, 3, 1).edges()


@pytest.mark.slow
@pytest.mark.parametrize(
    'command',
    [
        ['ddp.py', '--clips', '2', '--frames', '10', '--repeats', '1'],
        ['operators.py', '--only', 'coco-17 K=6 tau=1', '--repeats', '2'],
        ['scaling.py', '--axes', 'scales', '--repeats', '1', '--plot', 'growth.png'],
    ],
    ids=lambda command: command[0],
)
def test_runs(tmp_path, command):
    script, *arguments = command
    output = tmp_path / 'table.csv'
    subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments, '--output', output],
        check=True, cwd=tmp_path,
    )  # fmt: skip
    with output.open(newline='') as file:
        lines = list(csv.DictReader(file))
    assert lines
    assert all(float(line['seconds']) > 0 and line['device'] for line in lines)
    assert ('--plot' in command) == (tmp_path / 'growth.png').exists()


def test_estimates_for_gpus(tmp_path):
    """As many launches whatever the batch, and on no path meant for CPUs."""
    found = []
    for batch in ('2', '5'):
        output = tmp_path / f'{batch}.csv'
        command = [sys.executable, BENCHMARKS / 'gpu_estimate.py', '--batch', batch]
        subprocess.run([*command, '--layers', '--output', output], check=True)
        with output.open(newline='') as file:
            lines = list(csv.DictReader(file))
        found.append({
            (line['side'], line['task'], line['part']): int(line['operators'])
            for line in lines
        })  # fmt: skip
    assert found[0] == found[1]
    for side in ('dense', 'tied', 'none'):
        assert found[0][side, 'training step', ''] <= 900
        assert found[0][side, 'inference', ''] <= 300
        assert found[0][side, 'training step', 'blocks.2.g3d'] > 0
        assert found[0][side, 'training step', 'backward'] > 0


@pytest.mark.slow
def test_data(tmp_path):
    """That both sides agree, and that it measures what it says; not how fast."""
    output = tmp_path / 'data.csv'
    command = [sys.executable, BENCHMARKS / 'data.py', '--files', '8']
    subprocess.run([*command, '--repeats', '3', '--output', output], check=True)
    with output.open(newline='') as file:
        lines = list(csv.DictReader(file))
    cases = {line['case'] for line in lines}
    assert cases == {'parsing', 'processing', 'feeding joint', 'feeding bone_motion'}
    sides = {line['side'] for line in lines}
    assert {'line by line', 'normalised at every epoch', 'from the store'} <= sides
    assert all(float(line['per_second']) > 0 and line['device'] for line in lines)


@pytest.mark.slow
def test_model(tmp_path):
    output = tmp_path / 'model.csv'
    command = [sys.executable, str(BENCHMARKS / 'model.py'), '--repeats', '2']
    command += ['--residuals', 'tied', '--output', str(output)]
    command += ['--tasks', 'inference', 'inference bf16']
    subprocess.run(command, check=True)
    with output.open(newline='') as file:
        lines = list(csv.DictReader(file))
    sides = {'reference', 'pyg_msg3d', 'pyg_msg3d fused'}
    assert {line['side'] for line in lines} == sides
    assert {line['case'] for line in lines} == {
        'ntu tied inference',
        'ntu tied inference bf16',
    }
    assert all(line['device'] and line['commit'] and line['torch'] for line in lines)
    peaks = [float(line['peak_mb']) for line in lines if 'bf16' not in line['case']]
    assert all(10 < peak < 2000 for peak in peaks)


def test_bf16_rounds_no_more_than_the_definition():
    """Gradients under autocast, each against float32: steps of training fall between
    them by chance, so that accuracies after a training say less."""
    import torch
    from model import Reference

    from pyg_msg3d import MSG3D

    torch.manual_seed(0)
    model = MSG3D(
        'ntu-rgb+d',
        13,
        gcn_scales=4,
        g3d_scales=3,
        window_sizes=(3,),
        channels=(12, 24),
    )
    x, labels = torch.randn(8, 2, 12, 25, 3), torch.arange(8)

    def gradients(module, low):
        model.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=low):
            logits = module(x)
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    exact = gradients(model, False)
    ours, reference = (
        (gradients(module, True) - exact).norm() / exact.norm()
        for module in (model, Reference(model))
    )
    assert 0 < ours <= 1.15 * reference
