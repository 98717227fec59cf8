#!/usr/bin/env python3
"""Gradients at hook points, by TransformerLens and SAELens, on the model of the golden case standard_a and the SAEs
of golden/attached.

    python tests/peers/make_gradients.py

Writes tests/resources/golden/gradients/expected.safetensors. The number is a difference of two logits at the last
position, summed over rows.
"""

import os
from importlib.metadata import version
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "resources" / "golden"
os.environ.update(HF_HUB_CACHE=str(GOLDEN / "standard_a" / "hub"), HF_HUB_OFFLINE="1")

import torch
from safetensors.torch import load_file, save_file
from sae_lens import SAE, HookedSAETransformer

T = {}
tokens = load_file(GOLDEN / "attached" / "expected.safetensors")["tokens"]
metric = lambda logits: (logits[:, -1, 100] - logits[:, -1, 200]).sum()
POINTS = [
    "hook_embed",
    "hook_pos_embed",
    "blocks.0.ln1.hook_scale",
    "blocks.0.attn.hook_q",
    "blocks.0.attn.hook_k",
    "blocks.0.attn.hook_v",
    "blocks.1.attn.hook_attn_scores",
    "blocks.1.attn.hook_pattern",
    "blocks.1.attn.hook_z",
    "blocks.1.hook_resid_mid",
    "blocks.1.mlp.hook_pre",
    "blocks.1.mlp.hook_post",
    "blocks.2.hook_resid_pre",
    "ln_final.hook_scale",
    "ln_final.hook_normalized",
]


def run(kind, model, points):
    grads = {}

    def keep(grad, hook):
        grads[hook.name] = grad.clone()

    with model.hooks(bwd_hooks=[(p, keep) for p in points]):
        value = metric(model(tokens))
        value.backward()
    T[f"{kind}/value"] = value.detach().reshape(1)
    for name, grad in grads.items():
        T[f"{kind}/{name}"] = grad


for kind, load in (
    ("processed", HookedSAETransformer.from_pretrained),
    ("no_processing", HookedSAETransformer.from_pretrained_no_processing),
):
    # Their ln1 reports three times, once for each of q, k and v, and the last is kept: its gradient is a third of the
    # story.
    run(kind, load("gpt2-small", device="cpu"), [p for p in POINTS if "ln1" not in p])
for name in ("standard", "gated", "topk", "transcoder"):
    model = HookedSAETransformer.from_pretrained("gpt2-small", device="cpu")
    sae = SAE.load_from_disk(GOLDEN / "attached" / name)
    where = sae.cfg.metadata.hook_name_out or sae.cfg.metadata.hook_name
    model.add_sae(sae, use_error_term=True)
    run(name, model, [f"{where}.hook_sae_acts_post", f"{where}.hook_sae_recons", f"{where}.hook_sae_output"])
(GOLDEN / "gradients").mkdir(exist_ok=True)
save_file(
    {k: v.clone().contiguous() for k, v in T.items()},
    GOLDEN / "gradients" / "expected.safetensors",
    metadata={p: version(p) for p in ("torch", "transformers", "transformer-lens", "sae-lens")},
)
print(len(T), [k for k in T if k.startswith("transcoder")])
