#!/usr/bin/env python3
"""What TransformerLens has at the hook points that are off by default, and what hooks there do: on the model of the
golden case standard_a.

    python tests/peers/make_hooks.py

Writes tests/resources/golden/hooks/expected.safetensors, with the versions in its metadata. No random number is
drawn: interventions are fixed.
"""

import os
from importlib.metadata import version
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "resources" / "golden"
os.environ.update(HF_HUB_CACHE=str(GOLDEN / "standard_a" / "hub"), HF_HUB_OFFLINE="1")

import torch
from safetensors.torch import load_file, save_file

torch.set_grad_enabled(False)
from transformer_lens import HookedTransformer

model = HookedTransformer.from_pretrained("gpt2-small", device="cpu")
tokens = load_file(GOLDEN / "standard_a" / "expected.safetensors")["small_tokens"]
out = {}


def intervention(name, point, hook):
    out[f"loss/{name}"] = model.run_with_hooks(
        tokens, fwd_hooks=[(point, hook)], return_type="loss", loss_per_token=True
    )


def scaled_head(x, hook):
    x = x.clone()
    x[:, :, 1] *= 0.5
    return x


model.set_use_attn_result(True)
model.set_use_split_qkv_input(True)
model.set_use_hook_mlp_in(True)
points = [f"blocks.1.{p}" for p in ("hook_q_input", "hook_k_input", "hook_v_input", "attn.hook_result", "hook_mlp_in")]
logits, cache = model.run_with_cache(tokens, names_filter=points)
for p in points:
    out[p] = cache[p]
for p in ("hook_q_input", "hook_k_input", "hook_v_input", "attn.hook_result"):
    intervention(p, f"blocks.1.{p}", scaled_head)
intervention("hook_mlp_in", "blocks.1.hook_mlp_in", lambda x, hook: x * 0.5)
model.set_use_split_qkv_input(False)
model.set_use_attn_in(True)
out["blocks.1.hook_attn_in"] = model.run_with_cache(tokens, names_filter="blocks.1.hook_attn_in")[1][
    "blocks.1.hook_attn_in"
]
intervention("hook_attn_in", "blocks.1.hook_attn_in", scaled_head)

(GOLDEN / "hooks").mkdir(exist_ok=True)
save_file(
    {k: v.clone().contiguous() for k, v in out.items()},
    GOLDEN / "hooks" / "expected.safetensors",
    metadata={p: version(p) for p in ("torch", "transformers", "transformer-lens")},
)
