"""An hour of 32 channels at 512 Hz is read trial by trial in well under 1 GiB."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from device_files import _chunk, _header, _length, _number, write_edf, xdf_stream

RATE, CHANNELS, SECONDS, LIMIT_MIB = 512, 32, 3600, 1024
READ = """
import json, sys
from pathlib import Path
from himoe.datasets.folder import folder_dataset
root = Path(sys.argv[1])
form = folder_dataset(root)
assert form.inspect(root, {}).subjects == ("anna",)
means = [float(one.signals["EEG"].data[3].mean()) for one in form.read(root, "anna", {})]
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(json.dumps([int(peak.split()[1]) / 1024, means]))
"""


def level(second: np.ndarray) -> np.ndarray:
    return np.floor(second / 10.0)  # tells where in the hour a sample is from


def write_long_edf(path: Path) -> None:
    values = level(np.arange(SECONDS * RATE) / RATE)
    write_edf(path, {f"E{k}": (values + k, RATE, "uV") for k in range(CHANNELS)})


def write_long_xdf(path: Path) -> None:
    one = xdf_stream("amp", "EEG", [], [], RATE, [f"E{k}" for k in range(CHANNELS)], "uV", "double64")
    packed = np.zeros(RATE, dtype=[("bytes", "u1"), ("time", "<f8"), ("values", "<f8", CHANNELS)])
    packed["bytes"] = 8
    with open(path, "wb") as out:
        out.write(b"XDF:")
        _chunk(out, 1, b'<?xml version="1.0"?><info><version>1.0</version></info>')
        _chunk(out, 2, _number(1) + _header(one).encode())
        for second in range(SECONDS):
            packed["time"] = 700 + second + np.arange(RATE) / RATE
            packed["values"] = level(packed["time"] - 700)[:, np.newaxis] + np.arange(CHANNELS)
            _chunk(out, 3, _number(1) + _length(RATE) + packed.tobytes())
        _chunk(out, 4, _number(1) + struct.pack("<dd", 700, 0.0))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says a process's own peak memory")
@pytest.mark.parametrize(("ending", "write"), [("edf", write_long_edf), ("bdf", write_long_edf),
                                               ("xdf", write_long_xdf)])
def test_an_hour_stays_below_a_gibibyte(tmp_path: Path, ending: str, write: object) -> None:
    assert callable(write)
    write(tmp_path / f"anna.{ending}")
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({
        "name": "long", "title": "Long", "licence": "private", "dimensions": ["valence"], "scale": [1, 9],
        "threshold": 5, "ratings": "ratings.csv", "modalities": {"EEG": {
            "file": f"{{subject}}.{ending}", "columns": [f"E{k}" for k in range(CHANNELS)], "sfreq_hz": RATE,
            "unit": "uV"}}}))
    begins = [10, 1200, 3550]
    rows = [f"anna,t{begin},{begin},{begin + 10},5" for begin in begins]
    (tmp_path / "ratings.csv").write_text("\n".join(["subject,trial,start_s,end_s,valence", *rows]) + "\n")
    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[2])
    peak_mib, means = json.loads(done.stdout)
    assert peak_mib < LIMIT_MIB
    np.testing.assert_allclose(means, [3 + begin // 10 for begin in begins], atol=0.1)
