#!/usr/bin/env python3
"""Writes the SAE registry that the jar carries, from the installed sae_lens package's pretrained_saes.yaml.

Only releases named on the command line are taken; every other one needs a loader that Panascope does not have yet.
    python make_registry.py gpt2-small-res-jb > src/main/resources/io/github/panascope/hub/pretrained_saes.json
"""
import importlib.metadata
import importlib.resources
import json
import sys

import yaml

releases = yaml.safe_load((importlib.resources.files("sae_lens") / "pretrained_saes.yaml").read_text())
out = {}
for name in sys.argv[1:]:
    release = releases[name]
    assert release["conversion_func"] is None, f"{name} needs the loader {release['conversion_func']}"
    out[name] = {
        "repo_id": release["repo_id"],
        "model": release["model"],
        "model_from_pretrained_kwargs": release.get("config_overrides", {}).get("model_from_pretrained_kwargs", {}),
        "saes": {s["id"]: {k: s[k] for k in ("path", "neuronpedia", "l0") if k in s} for s in release["saes"]},
    }
json.dump(out, sys.stdout, indent=1)
print()
print("sae_lens", importlib.metadata.version("sae-lens"), file=sys.stderr)
