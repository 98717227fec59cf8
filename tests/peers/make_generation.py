#!/usr/bin/env python3
"""What TransformerLens generates on the model of the golden case standard_a, greedily, and the distributions that it
draws from.

    python tests/peers/make_generation.py

Writes tests/resources/golden/generation/: expected.json (token ids, versions) and expected.safetensors (logits, and
the log-probabilities that its
sample_logits hands to its random draw). The logits for those are random with a fixed seed.
"""

import json
import os
from importlib.metadata import version
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "resources" / "golden"
os.environ.update(HF_HUB_CACHE=str(GOLDEN / "standard_a" / "hub"), HF_HUB_OFFLINE="1")

import torch
from safetensors.torch import save_file

torch.set_grad_enabled(False)
from transformer_lens import HookedTransformer, utils

SEED = 5
model = HookedTransformer.from_pretrained("gpt2-small", device="cpu")
expected = {
    "seed": SEED,
    "versions": {p: version(p) for p in ("torch", "transformers", "transformer-lens")},
    "greedy": [],
}
prompts = [
    ["When John and Mary went to the shops, John gave the bag to"],
    ["The harbour was quiet"],
    [""],
    ["a b c d e f", "one two three four five six"],
]
for texts in prompts:
    tokens = model.to_tokens(texts)
    for cache in (True, False):
        got = model.generate(tokens, max_new_tokens=30, do_sample=False, verbose=False, use_past_kv_cache=cache)
        expected["greedy"].append({"prompt": tokens.tolist(), "cache": cache, "tokens": got.tolist()})
halve = lambda x, hook: x * 0.5
tokens = model.to_tokens(prompts[0])
with model.hooks(fwd_hooks=[("blocks.1.hook_mlp_out", halve)]):
    expected["greedy_halved_mlp"] = model.generate(tokens, max_new_tokens=20, do_sample=False, verbose=False).tolist()
assert expected["greedy_halved_mlp"] != expected["greedy"][0]["tokens"][:1], "the hook changes nothing"

torch.manual_seed(SEED)
logits, before = torch.randn(1, 300) * 3, torch.randint(0, 300, (1, 40))
tensors = {"logits": logits, "before": before}
cases = {
    "plain": {},
    "temperature": dict(temperature=0.7),
    "top_k": dict(top_k=10),
    "top_p": dict(top_p=0.6),
    "top_p_small": dict(top_p=0.01),
    "penalty": dict(freq_penalty=1.5),
    "all_k": dict(temperature=1.3, top_k=25, freq_penalty=0.5),
    "all_p": dict(temperature=1.3, top_p=0.9, freq_penalty=0.5),
}
real = torch.distributions.categorical.Categorical
for name, options in cases.items():

    class Seen(real):
        def __init__(self, *a, **kw):
            super().__init__(*a, **kw)
            tensors[f"probs/{name}"] = self.probs.double()

    torch.distributions.categorical.Categorical = Seen
    utils.sample_logits(logits, tokens=before, **options)
    torch.distributions.categorical.Categorical = real
expected["sampling"] = cases
out = GOLDEN / "generation"
out.mkdir(exist_ok=True)
(out / "expected.json").write_text(json.dumps(expected, indent=1))
save_file({k: v.clone().contiguous() for k, v in tensors.items()}, out / "expected.safetensors")
