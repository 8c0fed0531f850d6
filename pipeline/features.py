"""Stage ``features``: hand-made features of every window, one shard a subject, as the windows are."""

from __future__ import annotations

from pathlib import Path

from himoe.feature_shards import write_features
from himoe.files import atomic_path
from himoe.progress import progress
from himoe.windows import shard_paths
from himoe.workers import map_forked
from pipeline.stage import jobs, main


def features(name: str, windows: str, out: str) -> None:
    """Write the feature shards of data set *name* from the window shards in *windows* into *out*."""
    paths = shard_paths(Path(windows))
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        for _ in progress(map_forked(_shard, folder, paths, jobs()), f"features {name}", "subject", len(paths)):
            pass


def _shard(folder: Path, path: Path) -> None:
    write_features(path, folder / path.name)


if __name__ == "__main__":
    main(features)
