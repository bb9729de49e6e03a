"""What the names of files and images tell of videos and frames."""

import re

# Every habit of numbering frames: video_000000000012_keypoints, video.0012, frame0001,
# img00001, video-0001, 0001.
_NAME = re.compile(r'(?P<video>.*?)(?P<mark>[_.\- ]?)(?P<frame>\d{1,18})', re.ASCII)


def split_name(stem: str) -> tuple[str, str, int]:
    """Video, mark before the number, and frame, of a name; without a number, it is the
    only frame."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return stem, '', 0
    return match['video'], match['mark'], int(match['frame'])


def is_numbered(stem: str) -> bool:
    """Whether a name ends in a number, as those of frames do."""
    return _NAME.fullmatch(stem.removesuffix('_keypoints')) is not None
