"""Units as devices write them, turned into each other."""

from __future__ import annotations

PREFIXES = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6}
BASES = ("V", "S", "Ohm")
# as recording software spells them out -> as above
SPELT = {
    "microvolts": "uV", "microvolt": "uV", "millivolts": "mV", "millivolt": "mV", "volts": "V", "volt": "V",
    "microsiemens": "uS", "microsiemen": "uS", "siemens": "S", "kohms": "kOhm", "ohms": "Ohm", "ohm": "Ohm",
    "ω": "Ohm", "c": "degC", "°c": "degC", "degc": "degC", "celsius": "degC", "degrees celsius": "degC",
}
UNSAID = ("", "n/a", "unknown", "none", "no_units")


def unit_factor(found: str, wanted: str) -> float | None:
    """What turns values in *found* into *wanted*; 1 where the file does not say; None if they do not fit."""
    found, wanted = _plain(found), _plain(wanted)
    if found == wanted or found.lower() in UNSAID:
        return 1.0
    scales = {prefix + base: (factor, base) for base in BASES for prefix, factor in PREFIXES.items()}
    if found in scales and wanted in scales and scales[found][1] == scales[wanted][1]:
        return scales[found][0] / scales[wanted][0]
    return None


def _plain(unit: str) -> str:
    text = unit.strip()
    return SPELT.get(text.lower(), text)
