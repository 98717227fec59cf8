#!/usr/bin/env python3
"""Do SAEs that Panascope saves load in SAELens, and give the numbers they gave there before?

    mvn -B test -Dtest=GoldenArchitectureTest -Dpanascope.saved=FOLDER
    python tests/peers/check_saved.py FOLDER

The test saves each SAE of tests/resources/golden/saes again, as it is and with decoder norms folded. Here SAELens
loads them from there and
computes; the numbers it gave for the originals are in the goldens. Result with sae-lens 6.54.12:
"38 SAEs, 76 comparisons, largest difference 9.5e-07; all equal".
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

torch.set_grad_enabled(False)
from sae_lens import SAE

golden = Path(__file__).resolve().parents[1] / "resources" / "golden" / "saes"
saved = Path(sys.argv[1])
worst, failed, count = 0.0, [], 0
for folder in sorted(saved.iterdir()):
    name, _, kind = folder.name.partition("@")
    expected = load_file(golden / name / "expected.safetensors")
    sae = SAE.load_from_disk(folder)
    if kind == "folded":
        pairs = [("folded_features", sae.encode(expected["x"])), ("folded_out", sae(expected["x"]))]
    else:
        pairs = [("features", sae.encode(expected["x"])), ("out", sae(expected["x"]))]
    for key, got in pairs:
        count += 1
        difference = (got - expected[key]).abs().max().item()
        worst = max(worst, difference)
        if not torch.allclose(got, expected[key], rtol=1e-4, atol=2e-5):
            failed.append(f"{folder.name} {key}: {difference:.2e}")
print(f"{len(list(saved.iterdir()))} SAEs, {count} comparisons, largest difference {worst:.1e}")
print("\n".join(failed) or "all equal")
sys.exit(bool(failed))
