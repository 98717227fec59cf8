#!/usr/bin/env python3
"""What the peers make of padded batches, short names, stacked weights, hooks on gradients and feature attribution, on
the golden case standard_a.

    python tests/peers/make_surface.py

Writes tests/resources/golden/surface/: expected.json (names, numbers, token ids, versions) and expected.safetensors
(tensors).
"""

import json
import os
from importlib.metadata import version
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "resources" / "golden"
os.environ.update(HF_HUB_CACHE=str(GOLDEN / "standard_a" / "hub"), HF_HUB_OFFLINE="1")

import torch
from safetensors.torch import save_file
from sae_lens import SAE, HookedSAETransformer
from transformer_lens import utils

model = HookedSAETransformer.from_pretrained("gpt2-small", device="cpu")
expected = {"versions": {p: version(p) for p in ("torch", "transformers", "transformer-lens", "sae-lens")}}
tensors = {}

# Padded batches
texts = ["When John and Mary went to the shops, John gave the bag to", "The harbour was quiet", "a b c"]
with torch.no_grad():
    for side in ("left", "right"):
        tokens = model.to_tokens(texts, padding_side=side)
        model.tokenizer.padding_side = side
        mask = utils.get_attention_mask(model.tokenizer, tokens, True)
        logits, losses = model(tokens, return_type="both", loss_per_token=True, attention_mask=mask, padding_side=side)
        loss = model(tokens, return_type="loss", attention_mask=mask, padding_side=side)
        _, cache = model.run_with_cache(tokens, attention_mask=mask, padding_side=side)
        expected[side] = {
            "tokens": tokens.tolist(),
            "mask": mask.tolist(),
            "loss": loss.item(),
            "accuracy": utils.lm_accuracy(logits, tokens).item(),
        }
        tensors[f"{side}/losses"], tensors[f"{side}/last_logits"] = losses, logits[:, -1, :200]
        for name in ("hook_pos_embed", "blocks.1.attn.hook_pattern", "blocks.2.hook_resid_post"):
            tensors[f"{side}/{name}"] = cache[name]
model.tokenizer.padding_side = "right"
expected["texts"] = texts

# Short names
asked = [
    ["k", 6, "a"],
    ["pre", 2, None],
    ["embed", None, None],
    ["normalized", 27, "ln2"],
    ["k6", None, None],
    ["scale4ln1", None, None],
    ["pre5", None, None],
    ["attn", 3, None],
    ["resid_pre", 7, None],
    ["normalized", None, None],
    ["scale", None, None],
    ["blocks.1.hook_resid_mid", None, None],
    ["mlp_out", 4, None],
    ["query", 1, None],
    ["attn_logits", 0, None],
    ["result", 2, None],
    ["q_input", 1, None],
]
expected["names"] = [[a, utils.get_act_name(*a)] for a in asked]

# Weights of all blocks
with torch.no_grad():
    for mode in "QKV":
        tensors[f"composition/{mode}"] = model.all_composition_scores(mode)
    for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O", "W_in", "b_in", "W_out", "b_out"):
        tensors[f"sums/{name}"] = getattr(model, name).double().pow(2).sum(-1).float()
    tensors["ov/S"], tensors["ov/norm"] = model.OV.S, model.OV.norm()
    eig = model.OV.eigenvalues
    tensors["ov/eigenvalue_abs_sorted"] = eig.abs().sort(-1).values
    tensors["ov/eigenvalue_sum"] = eig.sum(-1).real
    expected["head_labels"] = model.all_head_labels()

# A hook on a gradient
prompt = model.to_tokens(texts[0])
right, wrong = model.to_single_token(" Mary"), model.to_single_token(" John")


def metric(logits):
    return logits[0, -1, right] - logits[0, -1, wrong]


seen = {}


def keep(name, factor):
    def hook(grad, hook):
        seen[name] = grad.detach().clone()
        return (grad * factor,) if factor != 1 else None

    return hook


model.reset_hooks()
with model.hooks(
    fwd_hooks=[],
    bwd_hooks=[
        ("blocks.2.hook_resid_pre", keep("blocks.2.hook_resid_pre", 3)),
        ("blocks.1.hook_mlp_out", keep("blocks.1.hook_mlp_out", 1)),
        ("blocks.0.attn.hook_z", keep("blocks.0.attn.hook_z", 1)),
    ],
):
    metric(model(prompt)).backward()
for name, gradient in seen.items():
    tensors[f"backward/{name}"] = gradient

# Features
sae = SAE.load_from_disk(str(GOLDEN / "standard_a" / "sae"), device="cpu")
hook = sae.cfg.metadata.hook_name
point = hook + ".hook_sae_acts_post"
model.add_sae(sae, use_error_term=True)
acts = {}


def keep_acts(value, hook):
    acts["value"] = value.detach().clone()
    return value


def keep_gradient(grad, hook):
    acts["gradient"] = grad.detach().clone()


with model.hooks(fwd_hooks=[(point, keep_acts)], bwd_hooks=[(point, keep_gradient)]):
    value = metric(model(prompt))
    value.backward()
tensors["attribution"] = acts["value"] * acts["gradient"]
expected["metric"] = value.item()
active = acts["value"][0].nonzero().tolist()
chosen = active[:: max(1, len(active) // 40)]
ablated = []
with torch.no_grad():
    for position, feature in chosen:

        def without(value, hook):
            value = value.clone()
            value[0, position, feature] = 0
            return value

        ablated.append(
            [
                position,
                feature,
                expected["metric"] - metric(model.run_with_hooks(prompt, fwd_hooks=[(point, without)])).item(),
            ]
        )
    both = [active[0][1], active[-1][1]]

    def without_both(value, hook):
        value = value.clone()
        value[:, :, both] = 0
        return value

    expected["ablated_features"] = {
        "features": both,
        "metric": metric(model.run_with_hooks(prompt, fwd_hooks=[(point, without_both)])).item(),
    }
expected["ablation"] = ablated
expected["active"] = len(active)
out = GOLDEN / "surface"
out.mkdir(exist_ok=True)
(out / "expected.json").write_text(json.dumps(expected, indent=None) + "\n")
save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, out / "expected.safetensors")
