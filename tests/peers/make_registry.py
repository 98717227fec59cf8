#!/usr/bin/env python3
"""Writes the SAE registry that the jar carries, from the installed sae_lens package's pretrained_saes.yaml.

    python make_registry.py > src/main/resources/io/github/panascope/hub/pretrained_saes.json

Each SAE is a list: id, path (null if it is the id), l0, neuronpedia id, norm_scaling_factor, variance_explained;
trailing nulls are cut.
Left out: links.model (an address of the model's card); the keys repo_id, model, conversion_func, links and saes that
one SAE of
gpt2-small-res_scefr-ajt carries (a slip of indentation upstream, which SAELens ignores too); variance_explained where
it is the default of 1.
"""

import importlib.metadata
import importlib.resources
import json
import sys

import yaml

SAE_KEYS = ["id", "path", "l0", "neuronpedia", "norm_scaling_factor", "variance_explained"]
MISPLACED = {"repo_id", "model", "conversion_func", "links", "saes"}

releases = yaml.load(
    (importlib.resources.files("sae_lens") / "pretrained_saes.yaml").read_text(), Loader=yaml.CSafeLoader
)
lines, count, left_out = [], 0, []
for name, release in releases.items():
    unknown = set(release) - {"repo_id", "model", "conversion_func", "config_overrides", "links", "saes"}
    assert not unknown, f"{name}: {unknown}"
    saes = []
    for sae in release["saes"]:
        extra = set(sae) - set(SAE_KEYS)
        assert extra <= MISPLACED, f"{name}/{sae['id']}: {extra}"
        if extra:
            left_out.append(f"{name}/{sae['id']}: {', '.join(sorted(extra))}")
        path = str(sae["path"])
        row = [str(sae["id"]), None if path == str(sae["id"]) else path] + [sae.get(key) for key in SAE_KEYS[2:]]
        if row[5] == 1:
            row[5] = None
        while row[-1] is None:
            row.pop()
        saes.append(json.dumps(row, separators=(",", ":")))
        count += 1
    links = {k: v for k, v in (release.get("links") or {}).items() if k != "model" and v}
    head = {
        "repo_id": release["repo_id"],
        "model": release["model"],
        "conversion_func": release.get("conversion_func"),
        "config_overrides": release.get("config_overrides"),
        "links": links or None,
    }
    head = json.dumps({k: v for k, v in head.items() if v is not None})
    lines.append(f'{json.dumps(name)}: {head[:-1]}, "saes": [\n' + ",\n".join(saes) + "]}")
about = {
    "sae_lens": importlib.metadata.version("sae-lens"),
    "releases": len(releases),
    "saes": count,
    "left_out": ["links.model", "variance_explained of 1"] + left_out,
}
print('{"about": ' + json.dumps(about) + ',\n"releases": {\n' + ",\n".join(lines) + "}}")
