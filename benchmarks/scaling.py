"""How the time and memory of one G3D layer grow with joints, frames, scales and clips.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --axes joints --plot scaling.png

Forward and backward pass of one layer (a window of 5 frames, 48 channels). Along each
axis all points run in turns; printed with each line is the slope of the logarithm of
time: 1 is linear growth. Joints are those of triangulated meshes of up to 6,890 nodes,
and their time is taken against the edges, of all scales and of one window.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import runner
import torch
from graphs import mesh
from torch import Tensor
from torch.nn import Identity, Module

from pyg_msg3d import Skeleton, skeleton
from pyg_msg3d.graph import disentangle, factored_window, window_graph
from pyg_msg3d.nn import G3DBlock, G3DConv

TAU, CHANNELS = 5, 48


class Point(NamedTuple):
    """One layer and its input."""

    residual: str
    joints: int
    frames: int
    scales: int
    clips: int

    def bones(self) -> Skeleton:
        return skeleton('ntu-rgb+d') if self.joints == 25 else mesh(self.joints)

    def edges(self) -> int:
        """Of the graph that is aggregated over: of all scales, in two factors."""
        bones = self.bones()
        if self.residual == 'none':
            graph = factored_window(
                bones.edge_index,
                self.joints,
                num_scales=self.scales,
                window_size=TAU,
            )
            return graph[0].size(1)
        per_frame = 2 if self.residual == 'tied' else TAU**2
        return per_frame * self.joints**2 * self.scales


def axes() -> dict[str, list[Point]]:
    """The points along each axis."""
    around = {name: Point(name, 25, 64, 6, 4) for name in ('dense', 'tied', 'none')}
    found = {
        'joints': [
            Point('none', v, 32, 6, 1) for v in (500, 1000, 2000, 3500, 5000, 6890)
        ]
    }
    for axis, values in (
        ('frames', (32, 64, 128, 256, 512)),
        ('scales', (2, 4, 6, 9, 12)),
        ('clips', (2, 4, 8, 16, 32)),
    ):
        found[axis] = [
            point._replace(**{axis: value})
            for point in around.values()
            for value in values
        ]
    return found


def main() -> None:
    parser = runner.parser(__doc__, 'scaling.csv')
    parser.add_argument('--axes', nargs='+', choices=axes(), default=list(axes()))
    parser.add_argument('--plot', type=Path, help='a picture of the growth')
    parser.add_argument('--point', type=int, nargs=4, help=argparse.SUPPRESS)
    parser.add_argument('--residual', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point is not None:
        measure_memory(Point(args.residual, *args.point))
        return
    print(', '.join(f'{key} {value}' for key, value in runner.machine().items()))
    check()
    table: list[dict[str, object]] = []
    for axis in args.axes:
        table += along(axis, args.repeats)
    runner.save(table, args.output)
    print(f'written to {args.output}')
    if args.plot is not None:
        plot(table, args.plot)
        print(f'drawn in {args.plot}')


# One layer ---------------------------------------------------------------------------


def layer(point: Point) -> tuple[Module, Tensor]:
    """The layer of a point, and clips ``[B, T, V, C]`` for it."""
    torch.manual_seed(0)
    block = G3DBlock(
        CHANNELS,
        CHANNELS,
        point.bones().edge_index,
        point.joints,
        point.scales,
        TAU,
        residual=None if point.residual == 'none' else point.residual,
    )
    block.norm = Identity()  # The convolution alone, with its graph.
    x = torch.randn(point.clips, point.frames, point.joints, CHANNELS)
    return block.to(runner.DEVICE), x.to(runner.DEVICE)


def step(point: Point) -> Callable[[], None]:
    block, x = layer(point)
    x.requires_grad_()
    with torch.no_grad():
        grad = torch.randn_like(block(x))

    def run() -> None:
        x.grad = None
        for parameter in block.parameters():
            parameter.grad = None
        block(x).backward(grad)

    return run


def check() -> None:
    """The layer that grows is the one of the paper: on a small mesh it gives what
    PyG's gather and scatter over the whole window's graph do."""
    bones, v, k = mesh(60).edge_index, 60, 6
    torch.manual_seed(0)
    reference = G3DConv(4, 4, k, TAU, backend='scatter')
    ours = G3DConv(4, 4, k, TAU, factored=True)
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(2, 7, v, 4)
    whole = disentangle(window_graph(bones, v, TAU), TAU * v, k)
    expected = reference(x, *whole)
    actual = ours(x, *factored_window(bones, v, num_scales=k, window_size=TAU))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def measure_memory(point: Point) -> None:
    """Of one point alone, in this process."""
    step(Point('none', 25, 8, 2, 1))()  # Libraries are loaded at their first use.
    peak = runner.PeakMemory()
    run = step(point)
    run()
    run()
    print(peak.read())


# Along an axis -----------------------------------------------------------------------


def along(axis: str, repeats: int) -> list[dict[str, object]]:
    """The lines of an axis, one for each point."""
    points = axes()[axis]
    seconds = runner.in_turns(
        {str(i): step(point) for i, point in enumerate(points)}, repeats
    )
    table = []
    for residual in dict.fromkeys(point.residual for point in points):
        mine = [i for i, point in enumerate(points) if point.residual == residual]
        grown = [size(axis, points[i]) for i in mine]
        medians = [runner.quantiles(seconds[str(i)])[0] for i in mine]
        rising = slope(grown, medians)
        print(f'  {axis:8} residual {residual:6} slope {rising:.2f}')
        for i, extent in zip(mine, grown, strict=True):
            point = points[i]
            median, low, high = runner.quantiles(seconds[str(i)])
            arguments = ['--residual', residual, '--point', *map(str, point[1:])]
            peak = runner.memory(__file__, arguments)
            print(
                f'    {getattr(point, axis):6} {median * 1e3:9.1f} ms '
                f'({low * 1e3:.1f} to {high * 1e3:.1f}) {peak:8.0f} MB'
                f'{point.edges():10} edges',
                flush=True,
            )
            table.append(
                {
                    'axis': axis,
                    **point._asdict(),
                    'extent': extent,
                    'edges': point.edges(),
                    'seconds': median,
                    'seconds_q20': low,
                    'seconds_q80': high,
                    'peak_mb': peak,
                    'slope': rising,
                }
            )
    return table


def size(axis: str, point: Point) -> int:
    """What time is taken against."""
    return point.edges() if axis == 'joints' else getattr(point, axis)


def slope(extents: list[int], seconds: list[float]) -> float:
    """That of the line through the logarithms which fits best."""
    x, y = ([math.log(value) for value in values] for values in (extents, seconds))
    return float(np.polyfit(x, y, 1)[0])


def plot(table: list[dict[str, object]], path: Path) -> None:
    """Time along each axis, both logarithmic; broken lines grow linearly."""
    import matplotlib as mpl

    mpl.use('agg')
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row['axis'] for row in table))
    figure, all_axes = plt.subplots(
        1, len(names), figsize=(4 * len(names), 3.6), squeeze=False, layout='tight'
    )
    for axes_, name in zip(all_axes[0], names, strict=True):
        rows = [row for row in table if row['axis'] == name]
        for residual in dict.fromkeys(row['residual'] for row in rows):
            mine = [row for row in rows if row['residual'] == residual]
            x = np.array([row['extent'] for row in mine], dtype=float)
            y = np.array([row['seconds'] for row in mine], dtype=float) * 1e3
            label = f"'{residual}'" if residual != 'none' else 'None'
            label = f'residual={label}, slope {mine[0]["slope"]:.2f}'
            (line,) = axes_.loglog(x, y, 'o-', label=label)
            axes_.loglog(x, y[0] * x / x[0], '--', color=line.get_color(), alpha=0.4)
        axes_.set_xlabel('edges of meshes' if name == 'joints' else name)
        axes_.set_ylabel('forward and backward, ms')
        points = sorted({float(str(row['extent'])) for row in rows})
        axes_.set_xticks(points, [f'{point:,.0f}' for point in points], fontsize=7)
        axes_.tick_params(axis='x', which='minor', bottom=False, labelbottom=False)
        if name == 'joints':
            axes_.tick_params(axis='x', rotation=45)
        axes_.legend(fontsize=7)
        axes_.grid(alpha=0.3, which='both')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == '__main__':
    main()
