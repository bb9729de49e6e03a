"""Exports a model for programs that know neither this package nor, but for the first
format, Python, and checks that each gives the model's logits.

    pyg-msg3d export --checkpoint runs/demo/best.pt --output exported
    pyg-msg3d export --formats onnx --frames 100 --threads 1

Formats: model.pt2, which torch.export.load reads; model.onnx; and model.aoti.pt2,
compiled for this machine (a C++ compiler is needed), for torch._inductor's
aoti_load_package or, in C++, AOTIModelPackageLoader. They take any number of clips, and
of frames from a few on. Beside them, model.json names the classes and says what is done
to recordings first. Without a checkpoint, a new small model shows the way.
"""

import argparse
from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from pyg_msg3d import MSG3D
from pyg_msg3d.training.record import write_json

Run = Callable[[Tensor], Tensor]
#: The largest difference from the model's logits, relative to the largest of these.
TOLERANCE = 1e-5


HELP = 'export a model for other programs'


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument('--checkpoint', type=Path, help='ours or a published one')
    parser.add_argument(
        '--output', type=Path, default=Path('exported'),
        help='folder of what is written (default: exported)',
    )  # fmt: skip
    parser.add_argument(
        '--formats', nargs='+', choices=list(FORMATS), default=['pt2'],
        help='which ones (default: pt2)',
    )  # fmt: skip
    parser.add_argument(
        '--fused', action=argparse.BooleanOptionalAction, default=True,
        help='export model.fused(): as pt2 5 %% faster, as ONNX equally fast',
    )  # fmt: skip
    parser.add_argument(
        '--frames', type=int, default=64,
        help='of the clips that are tried and timed (default: 64)',
    )  # fmt: skip
    parser.add_argument(
        '--threads', type=int, default=torch.get_num_threads(),
        help='of the processor (default: all cores)',
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    needed = ['onnx', 'onnxscript', 'onnxruntime'] if 'onnx' in args.formats else []
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ValueError(
            f"'--formats onnx' needs the packages {', '.join(needed)} (not installed: "
            f"{', '.join(missing)}); pip install 'pyg_msg3d[export]' installs them"
        )
    torch.set_num_threads(args.threads)
    with torch.no_grad():
        model = load(args.checkpoint).eval()
        args.output.mkdir(parents=True, exist_ok=True)
        print(f'{"":14}{"MB":>8}{"operations":>12}{"ms a clip":>11}{"difference":>12}')
        clip = clips(model, 1, args.frames)
        fused = model.fused()
        report('model', model, clip)
        report('model.fused()', fused, clip, difference(fused, model, args.frames))
        program = trace(fused if args.fused else model, args.frames)
        for name in args.formats:
            convert, file = FORMATS[name]
            given, operations = convert(program, args.output / file)
            worst = difference(given, model, args.frames)
            report(name, given, clip, worst, operations, args.output / file)
            if not worst <= TOLERANCE:  # Nor is NaN.
                raise FloatingPointError(
                    f"Expected '{args.output / file}' to give the model's logits up to "
                    f'{TOLERANCE} of the largest (got {worst:.1e}); do not use it'
                )
        write_json(
            args.output / 'model.json',
            {**model.metadata.arguments(), 'skeleton': model.skeleton.arguments()},
        )


def load(checkpoint: Path | None) -> MSG3D:
    """A checkpoint's model, or a new one."""
    if checkpoint is not None:
        return MSG3D.from_checkpoint(checkpoint)
    return MSG3D(
        'ntu-rgb+d',
        60,
        gcn_scales=4,
        g3d_scales=2,
        window_sizes=(3,),
        channels=(12, 24),
    )


def clips(model: MSG3D, number: int, frames: int) -> Tensor:
    """Clips as the model takes them, of nothing in particular."""
    joints, channels = model.skeleton.num_joints, model.in_channels
    return torch.randn(number, model.num_persons, frames, joints, channels)


def trace(model: MSG3D, frames: int) -> ExportedProgram:
    """The model's operations, for any number of clips and frames."""
    # Each block but the first leaves out every other frame. Two must be left: a single
    # one is a case of its own to torch.
    least = 2 ** (len(model.arguments['channels']) - 1) + 1
    if frames < 2 * least:
        raise ValueError(
            f"'--frames' must be at least {2 * least} for this model (got {frames}), "
            f'since clips of half as many are tried, too'
        )
    # Not Dim('frames'): torch before 2.13 cannot tell that its own conditions hold.
    sizes = {'x': {0: Dim.DYNAMIC, 2: Dim.DYNAMIC(min=least)}}
    return torch.export.export(model, (clips(model, 2, frames),), dynamic_shapes=sizes)


def to_pt2(program: ExportedProgram, path: Path) -> tuple[Run, int | None]:
    """Torch's own format."""
    torch.export.save(program, path)
    again = torch.export.load(path)
    operations = [node.op == 'call_function' for node in again.graph.nodes]
    return again.module(), sum(operations)


def to_onnx(program: ExportedProgram, path: Path) -> tuple[Run, int | None]:
    """ONNX."""
    import onnx
    import onnxruntime

    # In one file, which holds up to 2 GB.
    torch.onnx.export(
        program, (), path, dynamo=True, external_data=False, verbose=False
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options)
    name = session.get_inputs()[0].name

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: x.numpy()})[0])

    return run, len(onnx.load(path).graph.node)


def to_aoti(program: ExportedProgram, path: Path) -> tuple[Run, int | None]:
    """Compiled for this machine."""
    # What is compiled has no operations that could be counted.
    torch._inductor.aoti_compile_and_package(program, package_path=str(path))
    return torch._inductor.aoti_load_package(str(path)), None


FORMATS = {
    'pt2': (to_pt2, 'model.pt2'),
    'onnx': (to_onnx, 'model.onnx'),
    'aoti': (to_aoti, 'model.aoti.pt2'),
}


def difference(run: Run, model: MSG3D, frames: int) -> float:
    """The largest difference from the model's logits, relative to the largest of these,
    for other numbers of clips and frames than were traced."""
    found = []
    for size in product((1, 3), (frames // 2, frames + 1)):
        x = clips(model, *size)
        expected = model(x)
        found.append((run(x) - expected).abs().max() / expected.abs().max())
    return torch.stack(found).max().item()


def report(
    name: str,
    run: Run,
    clip: Tensor,
    worst: float | None = None,
    operations: int | None = None,
    path: Path | None = None,
) -> None:
    """A line of the table."""
    run(clip)  # The first time is another.
    times = []
    for _ in range(7):
        start = perf_counter()
        run(clip)
        times.append(perf_counter() - start)
    size = f'{path.stat().st_size / 1e6:.2f}' if path else ''
    shown = '' if worst is None else f'{worst:.1e}'
    print(
        f'{name:14}{size:>8}{operations or "":>12}{median(times) * 1e3:>11.1f}'
        f'{shown:>12}',
        flush=True,
    )
