#!/usr/bin/env python3
"""Activation patching with TransformerLens, on the model of the golden case standard_a.

    python tests/peers/make_patching.py

Writes tests/resources/golden/patching/expected.safetensors: the tokens, and the metric for every patch. The metric is
the difference of two logits at
the last position.
"""

import os
from importlib.metadata import version
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "resources" / "golden"
os.environ.update(HF_HUB_CACHE=str(GOLDEN / "standard_a" / "hub"), HF_HUB_OFFLINE="1")

import torch
from safetensors.torch import save_file

torch.set_grad_enabled(False)
from transformer_lens import HookedTransformer, patching

model = HookedTransformer.from_pretrained("gpt2-small", device="cpu")
clean = model.to_tokens(["When John and Mary went to the shops", "When Tom and Lucy went to the shops"])
corrupted = model.to_tokens(["When John and Lars went to the shops", "When Sam and Lucy went to the shops"])
_, cache = model.run_with_cache(clean)
metric = lambda logits: (logits[:, -1, 5335] - logits[:, -1, 1757]).mean()
T = {"clean": clean, "corrupted": corrupted}
for name, function in {
    "hook_resid_pre": patching.get_act_patch_resid_pre,
    "hook_resid_mid": patching.get_act_patch_resid_mid,
    "hook_attn_out": patching.get_act_patch_attn_out,
    "hook_mlp_out": patching.get_act_patch_mlp_out,
    "attn.hook_z/by_pos": patching.get_act_patch_attn_head_out_by_pos,
    "attn.hook_q/by_pos": patching.get_act_patch_attn_head_q_by_pos,
    "attn.hook_k/by_pos": patching.get_act_patch_attn_head_k_by_pos,
    "attn.hook_v/by_pos": patching.get_act_patch_attn_head_v_by_pos,
    "attn.hook_pattern/by_pos": patching.get_act_patch_attn_head_pattern_by_pos,
    "attn.hook_z/all": patching.get_act_patch_attn_head_out_all_pos,
    "attn.hook_q/all": patching.get_act_patch_attn_head_q_all_pos,
    "attn.hook_k/all": patching.get_act_patch_attn_head_k_all_pos,
    "attn.hook_v/all": patching.get_act_patch_attn_head_v_all_pos,
    "attn.hook_pattern/all": patching.get_act_patch_attn_head_pattern_all_pos,
}.items():
    T[name] = function(model, corrupted, cache, metric)
    print(name, tuple(T[name].shape))
(GOLDEN / "patching").mkdir(exist_ok=True)
save_file(
    {k: v.clone().contiguous() for k, v in T.items()},
    GOLDEN / "patching" / "expected.safetensors",
    metadata={p: version(p) for p in ("torch", "transformers", "transformer-lens")},
)
