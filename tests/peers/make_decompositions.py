#!/usr/bin/env python3
"""TransformerLens's decompositions of the residual stream, on the model of the golden case standard_a.

    python tests/peers/make_decompositions.py

Writes tests/resources/golden/decompositions/expected.json (labels, versions) and expected.safetensors.
"""

import json
import os
from importlib.metadata import version
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "resources" / "golden"
os.environ.update(HF_HUB_CACHE=str(GOLDEN / "standard_a" / "hub"), HF_HUB_OFFLINE="1")

import torch
from safetensors.torch import load_file, save_file

torch.set_grad_enabled(False)
from transformer_lens import HookedTransformer

E = {"versions": {p: version(p) for p in ("torch", "transformers", "transformer-lens")}, "labels": {}}
T = {}


def keep(name, pair):
    T[name], labels = pair[0].clone().contiguous(), pair[1]
    E["labels"][name] = [str(label) for label in labels]


for kind, load in (
    ("processed", HookedTransformer.from_pretrained),
    ("no_processing", HookedTransformer.from_pretrained_no_processing),
):
    model = load("gpt2-small", device="cpu")
    tokens = load_file(GOLDEN / "standard_a" / "expected.safetensors")["small_tokens"][:, :3]
    _, cache = model.run_with_cache(tokens)
    keep(f"{kind}/decompose", cache.decompose_resid(2, mlp_input=True, return_labels=True))
    keep(f"{kind}/decompose_mlp", cache.decompose_resid(-1, mode="mlp", incl_embeds=False, return_labels=True))
    keep(f"{kind}/decompose_attn_ln", cache.decompose_resid(2, mode="attn", apply_ln=True, return_labels=True))
    keep(f"{kind}/accumulated", cache.accumulated_resid(-1, incl_mid=True, return_labels=True))
    keep(f"{kind}/accumulated_mlp", cache.accumulated_resid(1, mlp_input=True, return_labels=True))
    keep(f"{kind}/accumulated_lens", cache.accumulated_resid(-1, incl_mid=True, apply_ln=True, return_labels=True))
    keep(f"{kind}/heads", cache.stack_head_results(-1, return_labels=True, incl_remainder=True))
    keep(f"{kind}/heads_ln", cache.stack_head_results(2, return_labels=True, apply_ln=True))
    keep(f"{kind}/neurons", cache.stack_neuron_results(1, return_labels=True, incl_remainder=True, pos_slice=-1))
    keep(
        f"{kind}/full", cache.get_full_resid_decomposition(2, mlp_input=True, expand_neurons=False, return_labels=True)
    )
    keep(
        f"{kind}/full_neurons",
        cache.get_full_resid_decomposition(1, expand_neurons=True, pos_slice=-1, return_labels=True),
    )
    stack = cache.decompose_resid(-1)
    T[f"{kind}/attrs_one"] = cache.logit_attrs(stack, 5335)
    T[f"{kind}/attrs_difference"] = cache.logit_attrs(
        stack[:, :, -1], torch.tensor([10, 20]), torch.tensor([30, 40]), pos_slice=-1
    )
out = GOLDEN / "decompositions"
out.mkdir(exist_ok=True)
(out / "expected.json").write_text(json.dumps(E))
save_file({k: v.clone().contiguous() for k, v in T.items()}, out / "expected.safetensors")
