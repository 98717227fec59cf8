#!/usr/bin/env python3
"""sae_lens.evals on the models and SAEs of the golden cases standard_a, gated_b, topk_d and on the SAE at attn.hook_z
of golden/attached.

    python tests/peers/make_evals.py

Writes tests/resources/golden/evals/expected.json. The tokens are the cases' first rows: 12 for the losses, 8 for the
rest, in batches of 4.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "resources" / "golden"
if len(sys.argv) == 1:  # a process for each case: the hub's cache is chosen when the libraries are imported
    import subprocess

    E = {"versions": {p: version(p) for p in ("torch", "transformers", "transformer-lens", "sae-lens")}}
    for case, hub, sae in (
        ("standard", "standard_a", "standard_a/sae"),
        ("gated", "gated_b", "gated_b/sae"),
        ("topk", "topk_d", "topk_d/sae"),
        ("hook_z", "standard_a", "attached/jumprelu_z"),
    ):
        E[case] = json.loads(
            subprocess.run(
                [sys.executable, __file__, hub, sae], check=True, capture_output=True, text=True
            ).stdout.splitlines()[-1]
        )
    (GOLDEN / "evals").mkdir(exist_ok=True)
    (GOLDEN / "evals" / "expected.json").write_text(json.dumps(E))
    sys.exit()

hub, folder = sys.argv[1:]
os.environ.update(HF_HUB_CACHE=str(GOLDEN / hub / "hub"), HF_HUB_OFFLINE="1")
import torch

torch.set_grad_enabled(False)
from sae_lens import SAE
from sae_lens.evals import (
    get_downstream_reconstruction_metrics,
    get_featurewise_weight_based_metrics,
    get_sparsity_and_variance_metrics,
)
from sae_lens.training.activation_scaler import ActivationScaler
from transformer_lens import HookedTransformer

from transformers import GPT2LMHeadModel, GPT2TokenizerFast

snapshot = GOLDEN / "standard_a" / "hub" / "models--gpt2" / "snapshots" / ("0" * 40)
tokenizer = GPT2TokenizerFast.from_pretrained(snapshot)
hf = GPT2LMHeadModel.from_pretrained(GOLDEN / hub / "hub" / "models--gpt2" / "snapshots" / ("0" * 40))
model = HookedTransformer.from_pretrained("gpt2-small", hf_model=hf, tokenizer=tokenizer, device="cpu")
sae = SAE.load_from_disk(GOLDEN / folder)
if "hook_z" in sae.cfg.metadata.hook_name:
    sae.turn_off_forward_pass_hook_z_reshaping()
rows = torch.tensor(json.loads((GOLDEN / "standard_a" / "expected.json").read_text())["tokens_first_rows"])[:, :40]
tokens = torch.cat([rows, rows.flip(1), (rows + 17) % 50256])
tokens[:, 0] = 50256
tokens[5, 7] = 50256


class Store:
    def __init__(self):
        self.at = 0

    def get_batch_tokens(self, n):
        self.at += n
        return tokens[self.at - n : self.at]


out = {"tokens": tokens.tolist()}
for name, ignore in (("exclude", [50256]), ("all", None)):
    metrics = get_downstream_reconstruction_metrics(sae, model, Store(), ActivationScaler(), True, True, 3, 4, ignore)
    some, features = get_sparsity_and_variance_metrics(
        sae, model, Store(), ActivationScaler(), 2, True, True, True, True, 4, {}, ignore
    )
    features |= get_featurewise_weight_based_metrics(sae)
    out[name] = metrics | some | {k: [None if x != x else x for x in v] for k, v in features.items()}
print(json.dumps(out))
