import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pyg_msg3d.data.atomic import write_atomically
from pyg_msg3d.data.errors import printable


@dataclass(frozen=True, eq=False)
class Prediction:
    r"""What a model says of a recording, a window of it, or a person in it.

    Args:
        name (str): The recording.
        classes (sequence of str): The names of the classes.
        probabilities (ndarray): One for each of them.
        person (int, optional): The person's number, where each is predicted alone.
        begin (int, optional): The first frame of a window.
        end (int, optional): The frame after its last.
    """

    name: str
    classes: Sequence[str] = field(repr=False)
    probabilities: np.ndarray = field(repr=False)
    person: int | None = None
    begin: int | None = None
    end: int | None = None

    @property
    def label(self) -> str:
        """The name of the most probable class."""
        return self.classes[int(self.probabilities.argmax())]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return float(self.probabilities.max())

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The most probable classes with their probabilities, the first first."""
        order = np.argsort(-self.probabilities, kind='stable')[:k]
        return [(self.classes[i], float(self.probabilities[i])) for i in order]

    @property
    def where(self) -> str:
        """The recording, and what of it."""
        text = printable(self.name, 200)
        if self.begin is not None:
            text += f', frames {self.begin} to {(self.end or 0) - 1}'
        return text if self.person is None else f'{text}, person {self.person}'

    def __str__(self) -> str:
        (label, share), *others = self.top(3)
        rest = ', '.join(f'{printable(name, 60)} {p:.1%}' for name, p in others)
        return f'{self.where}: {printable(label, 60)} {share:.1%} ({rest})'

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        place = {'person': self.person, 'begin': self.begin, 'end': self.end}
        return {
            'name': self.name,
            **{key: value for key, value in place.items() if value is not None},
            'label': self.label,
            'confidence': self.confidence,
            'probabilities': dict(
                zip(self.classes, self.probabilities.tolist(), strict=True)
            ),
        }


class Predictions(list[Prediction]):
    """Predictions in the order of the recordings; printed, a line for each.

    Attributes:
        skipped (mapping of str to str): Recordings, windows and persons of whom nothing
            can be said, and why.
    """

    def __init__(
        self,
        predictions: Sequence[Prediction] = (),
        skipped: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(predictions)
        self.skipped = dict(skipped or {})

    def __str__(self) -> str:
        return '\n'.join(map(str, self))

    def save_json(self, path: str | PathLike) -> None:
        """Writes all of them, with the probabilities of all classes."""
        content = {
            'predictions': [prediction.to_dict() for prediction in self],
            'skipped': self.skipped,
        }
        with write_atomically(Path(path)) as file:
            file.write((json.dumps(content, indent=2) + '\n').encode())

    def save_csv(self, path: str | PathLike) -> None:
        """Writes a table: a row for each, a column for each class."""
        text = io.StringIO(newline='')
        table = csv.writer(text)
        classes = self[0].classes if self else ()
        head = ['name', 'person', 'begin', 'end', 'label', 'confidence', *classes]
        table.writerow(head)
        for one in self:
            place = [one.name, one.person, one.begin, one.end]
            shares = [f'{p:.6f}' for p in one.probabilities]
            table.writerow([*place, one.label, f'{one.confidence:.6f}', *shares])
        with write_atomically(Path(path)) as file:
            file.write(text.getvalue().encode('utf-8', 'replace'))
