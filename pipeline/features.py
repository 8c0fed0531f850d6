"""Stage ``features``: hand-made features of every window, one shard per subject, as the windows are."""

from __future__ import annotations

from pathlib import Path

from himoe.core.files import atomic_path
from himoe.core.params import parse
from himoe.core.progress import progress
from himoe.core.workers import map_forked
from himoe.prepare.feature_shards import FeatureParams, write_features
from himoe.prepare.unrated import unrated_paths
from himoe.prepare.windows import shard_paths
from pipeline.stage import PARAMS, jobs, main, stage_params


def features(name: str, windows: str, out: str) -> None:
    """Write the feature shards of data set *name* from the window shards in *windows* into *out*."""
    root = Path(windows)
    params = parse(FeatureParams, stage_params(f"features@{name}")["features"], PARAMS, "features")
    people: dict[str, list[Path]] = {}
    for path in (*shard_paths(root), *unrated_paths(root)):
        people.setdefault(path.stem, []).append(path.relative_to(root))
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        done = map_forked(_person, (root, folder, params), list(people.values()), jobs())
        for _ in progress(done, f"features {name}", "subject", len(people)):
            pass


def _person(shared: tuple[Path, Path, FeatureParams], paths: list[Path]) -> None:
    windows, folder, params = shared
    write_features([(windows / path, folder / path) for path in paths], params)


if __name__ == "__main__":
    main(features)
