class SkeletonDataError(ValueError):
    """A sample, a file or an archive that is not what it should be; the message
    names it."""
