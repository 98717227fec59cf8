#!/usr/bin/env python3
"""SAEs in the model of the golden case standard_a, as SAELens's HookedSAETransformer runs them.

    python tests/peers/make_attached.py

Writes tests/resources/golden/attached/: the SAEs (seeded, saved by SAELens), and expected.safetensors: for each run
the last position's first 60 logits and every point inside
the SAEs. The first row of tokens begins with <|endoftext|>.
"""

import os
import shutil
from importlib.metadata import version
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "resources" / "golden"
os.environ.update(HF_HUB_CACHE=str(GOLDEN / "standard_a" / "hub"), HF_HUB_OFFLINE="1")

import torch
from safetensors.torch import load_file, save_file

torch.set_grad_enabled(False)
from sae_lens import (
    SAE,
    GatedSAE,
    GatedSAEConfig,
    HookedSAETransformer,
    JumpReLUSAE,
    JumpReLUSAEConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
    Transcoder,
    TranscoderConfig,
)
from sae_lens.saes.sae import SAEMetadata

SEED, D, N = 11, 48, 96
torch.manual_seed(SEED)
out = GOLDEN / "attached"
shutil.rmtree(out, ignore_errors=True)
out.mkdir()
model = HookedSAETransformer.from_pretrained("gpt2-small", device="cpu")
tokens = load_file(GOLDEN / "standard_a" / "expected.safetensors")["small_tokens"][:, :4].clone()
tokens[:, 0] = 50256
T = {"tokens": tokens}


def made(name, cls, cfg, hook, out_hook=None, **kw):
    extra = dict(hook_name_out=out_hook) if out_hook else {}
    sae = cls(
        cfg(
            d_in=D,
            d_sae=N,
            metadata=SAEMetadata(model_name="gpt2-small", hook_name=hook, prepend_bos=True, context_size=64, **extra),
            **kw,
        )
    )
    for key, p in sae.named_parameters():
        p.copy_(torch.randn_like(p) * 0.15 + (0.2 if key == "threshold" else 0))
    sae.eval()
    sae.save_model(out / name)
    return SAE.load_from_disk(out / name)


saes = {
    "standard": made("standard", StandardSAE, StandardSAEConfig, "blocks.2.hook_resid_pre"),
    "gated": made("gated", GatedSAE, GatedSAEConfig, "blocks.1.hook_mlp_out"),
    "topk": made(
        "topk",
        TopKSAE,
        TopKSAEConfig,
        "blocks.0.hook_resid_post",
        k=9,
        normalize_activations="layer_norm",
        rescale_acts_by_decoder_norm=True,
    ),
    "jumprelu_z": made(
        "jumprelu_z", JumpReLUSAE, JumpReLUSAEConfig, "blocks.1.attn.hook_z", reshape_activations="hook_z"
    ),
    "transcoder": made(
        "transcoder",
        Transcoder,
        TranscoderConfig,
        "blocks.1.ln2.hook_normalized",
        "blocks.1.hook_mlp_out",
        d_out=D,
        apply_b_dec_to_input=False,
    ),
}


def run(name, some, hooks=(), **kw):
    for sae in some:
        model.add_sae(sae, **kw)
    with model.hooks(fwd_hooks=list(hooks)):
        logits, cache = model.run_with_cache(tokens)
    model.reset_saes()
    T[f"{name}/logits"] = logits[:, -1, :60]
    for key, value in cache.items():
        if "hook_sae" in key:
            T[f"{name}/{key}"] = value


def ablate(acts, hook):
    acts = acts.clone()
    acts[..., ::2] = 0
    return acts


def halve(x, hook):
    return x * 0.5


for key, sae in saes.items():
    where = sae.cfg.metadata.hook_name_out or sae.cfg.metadata.hook_name
    run(key, [sae])
    run(f"{key}+error", [sae], use_error_term=True)
    run(f"{key}+ablated", [sae], [(f"{where}.hook_sae_acts_post", ablate)])
    run(f"{key}+ablated+error", [sae], [(f"{where}.hook_sae_acts_post", ablate)], use_error_term=True)
    run(f"{key}+halved", [sae], [(f"{where}.hook_sae_acts_pre", halve)])
run("standard+exclude", [saes["standard"]], exclude_special_tokens=True)
run("standard+exclude+error", [saes["standard"]], exclude_special_tokens=True, use_error_term=True)
run("two", [saes["topk"], saes["standard"]])
save_file(
    {k: v.clone().contiguous() for k, v in T.items()},
    out / "expected.safetensors",
    metadata={p: version(p) for p in ("torch", "transformers", "transformer-lens", "sae-lens")} | {"seed": str(SEED)},
)
