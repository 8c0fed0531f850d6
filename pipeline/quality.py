"""Stage ``quality``: what the sensors delivered, as a table, a page and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from himoe.core.errors import InputError
from himoe.core.files import atomic_path, require_folder, write_text
from himoe.core.params import WindowParams, parse
from himoe.core.workers import map_forked
from himoe.prepare.quality import quality_rows, read_quality
from himoe.prepare.recording_files import read_description
from himoe.prepare.windows import open_shard, read_meta, shard_paths
from himoe.report.figures.style import save
from himoe.report.quality import Picture, SetQuality, build_quality_page, picture_caption
from himoe.report.quality_pictures import set_figure, side_svgs
from himoe.scoring.results import check_provenance
from pipeline.stage import PARAMS, jobs, main, stage_params


def quality(signals: str, windows: str, table: str, page: str, figures: str) -> None:
    """Describe every set in the folders *signals* and *windows*: CSV *table*, HTML *page*, pictures in *figures*."""
    params = parse(WindowParams, stage_params("quality")["windows"], PARAMS, "windows")
    names = sorted(path.parent.name for path in require_folder(Path(signals)).glob("[!.]*/set.json"))
    if not names:
        raise InputError(f"{signals}: found no set.json, expected one a data set; run the preprocess stage.")
    with atomic_path(Path(figures)) as folder:
        folder.mkdir(parents=True)
        shared = (Path(signals), Path(windows), params.min_completeness, folder)
        sets = list(map_forked(_describe, shared, names, jobs()))
    text = pd.concat([one.rows for one in sets]).to_csv(index=False, float_format="%.4g", lineterminator="\n")
    write_text(Path(table), text)
    write_text(Path(page), build_quality_page(sets, params.min_completeness))


def _describe(shared: tuple[Path, Path, float, Path], name: str) -> SetQuality:
    """One set's rows and pictures; its figure goes into the folder."""
    signals, windows, min_completeness, folder = shared
    provenance = read_description(signals / name)["provenance"]
    label = provenance["label"]
    check_provenance(f"{signals / name / 'set.json'}: provenance",
                     {"simulated": provenance["simulated"], "data": label})
    subjects, example = read_quality(signals / name)
    rows = quality_rows(name, label, subjects, window_indices(windows / name), min_completeness)
    pictures: tuple[Picture, ...] = ()
    if example is not None and example["modalities"]:
        pictures = tuple(_picture(name, label, example, modality) for modality in example["modalities"])
        save(set_figure(example, label), folder / name)
    return SetQuality(name, label, provenance["simulated"], rows, pictures)


def window_indices(folder: Path) -> dict[str, pd.DataFrame]:
    """By subject, what the shards of a set say of their windows' completeness; no signals are read."""
    indices = {}
    for path in shard_paths(folder):
        columns = [f"completeness_{modality}" for modality in read_meta(path).modalities]
        indices[path.stem] = open_shard(path).read(columns).to_pandas()
    return indices


def _picture(name: str, label: str, example: dict[str, Any], modality: str) -> Picture:
    svgs = side_svgs(example["modalities"][modality], modality, f"{name}-{modality}")
    return Picture(modality, svgs, picture_caption(modality, label, example))


if __name__ == "__main__":
    main(quality)
