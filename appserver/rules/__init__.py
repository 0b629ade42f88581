"""Rules as dated data: what the law, the region or the operator says, with its source and its term.

Rules are TOML files: those of the package (``data/``), extended or overridden by ``data_dir/rules/*.toml`` and by what an
organisation entered (``entered``). ``kinds`` says which values a rule of each kind has, ``book`` reads the files and
answers what held on a day, ``tariffs`` reads clock times as tariff zones. Changing a rule needs no release, and a
statement says which version of it was used.
"""

from appserver.rules.book import Rule, RuleBook, RulesError, book_of, load
from appserver.rules.kinds import (
    KINDS,
    Backfill,
    ClockCorrection,
    CommonNorm,
    HeatContract,
    HeatQuality,
    HeatSubstitution,
    IncidentLimits,
    Norm,
    OutdoorSensor,
    Substitution,
    TariffZones,
    TemperatureGraph,
    Verification,
    WeatherControl,
)

__all__ = [
    "KINDS",
    "Backfill",
    "ClockCorrection",
    "CommonNorm",
    "HeatContract",
    "HeatQuality",
    "HeatSubstitution",
    "IncidentLimits",
    "Norm",
    "OutdoorSensor",
    "Rule",
    "RuleBook",
    "RulesError",
    "Substitution",
    "TariffZones",
    "TemperatureGraph",
    "Verification",
    "WeatherControl",
    "book_of",
    "load",
]
