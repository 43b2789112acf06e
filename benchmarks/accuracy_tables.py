"""The tables of the paper as lists of rows to compute: which method, protocol and settings each line stands for."""

from dataclasses import dataclass, field
from typing import Any

from benchmarks.accuracy_rows import OURS


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table.

    Attributes:
        label: As the table names it.
        method: `OURS` or a peer.
        protocol: See `benchmarks.accuracy_runs`.
        changes: Settings that differ from the preset.
    """

    label: str
    method: str = OURS
    protocol: str = "R+C"
    changes: dict[str, Any] = field(default_factory=dict)


NO_REPULSION = 1e9
"""As alpha it silences L_rep: r² - d - alpha is never above 0."""
LOSS_TERMS: dict[str, dict[str, Any]] = {"none": {"epochs": 0}, "att": {"alpha": NO_REPULSION}, "att+rep": {}}

_PEERS = ("PaDiM", "PatchCore 1 %")
TABLES: dict[int, tuple[Line, ...]] = {
    2: (*(Line(peer, peer) for peer in _PEERS), Line("CFA, R+C"), Line("CFA, R", protocol="R")),
    3: (*(Line(peer, peer, "RD") for peer in _PEERS), Line("CFA", protocol="RD")),
    4: (*(Line(peer, peer) for peer in _PEERS), Line("CFA, R+C"), Line("CFA, R", protocol="R")),
    5: tuple(Line(f"loss: {name}", changes=changes) for name, changes in LOSS_TERMS.items()),
    6: tuple(
        Line(f"γ_d = 1/{ratio}, γ_c = 1/{ratio}", changes={"descriptor_ratio": ratio, "bank_ratio": ratio})
        for ratio in (1, 2, 4, 8)
    ),
    7: tuple(
        Line(backbone, changes={"backbone": backbone})
        for backbone in ("lite0", "vgg19_bn", "efficientnet_b5", "resnet18", "wide_resnet50_2")
    ),
}
"""Tables 2 and 4 hold the same runs: 2 is read by the mean, 4 by the class. CFA++ there is the better of R+C and R
per class, chosen on the test images; we print both and choose nothing."""
