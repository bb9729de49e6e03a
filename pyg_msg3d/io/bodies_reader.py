from collections.abc import Iterable

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.documents import Bodies
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.tracks import Tracks
from pyg_msg3d.skeletons import skeleton


class BodiesReader(Reader):
    """A reader of frames that list bodies: whose joints they are follows from the first
    body that there is."""

    options = ('skeleton',)

    def _take_joints(self, frames: Iterable[Bodies]) -> None:
        """Looks at frames until there is a body."""
        for found in frames:
            if found.joints:
                self.holds, self.format = found.joints, found.format
                self.skeleton = found.skeleton
                if found.skeleton is not None:
                    self.choose(skeleton(found.skeleton))
                return

    def _add(self, tracks: Tracks, frame: int, found: Bodies, where: str) -> None:
        """Gives tracks the bodies of a frame, with the joints that are taken."""
        if found.joints and found.joints != self.holds:
            raise SkeletonDataError(
                f"'{where}' has {len(found.joints)} joints of {found.format}, but "
                f'others {len(self.holds)} of {self.format}'
            )
        bodies = [body._replace(pose=self.picked(body.pose)) for body in found.bodies]
        tracks.add(frame, bodies, where)
