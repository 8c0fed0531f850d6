"""Stage ``features``: hand-made features of every window, one shard a subject, as the windows are."""

from __future__ import annotations

from pathlib import Path

from himoe.feature_shards import write_features
from himoe.files import atomic_path
from himoe.progress import progress
from himoe.unrated import unrated_paths
from himoe.windows import shard_paths
from himoe.workers import map_forked
from pipeline.stage import jobs, main


def features(name: str, windows: str, out: str) -> None:
    """Write the feature shards of data set *name* from the window shards in *windows* into *out*."""
    root = Path(windows)
    paths = [path.relative_to(root) for path in (*shard_paths(root), *unrated_paths(root))]
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        for _ in progress(map_forked(_shard, (root, folder), paths, jobs()), f"features {name}", "subject", len(paths)):
            pass


def _shard(shared: tuple[Path, Path], path: Path) -> None:
    windows, folder = shared
    write_features(windows / path, folder / path)


if __name__ == "__main__":
    main(features)
