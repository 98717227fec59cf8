#!/usr/bin/env python3
"""Checks the demo bundle with the real TransformerLens and SAELens, and writes bundle/expected.json with what they
compute.

Prints every number and exits with 1 if a condition does not hold.
"""

import argparse
import contextlib
import io
import json
import sys
from importlib.metadata import version
from pathlib import Path

import make_corpus
import peer_model

HERE = Path(__file__).resolve().parent
PROMPT, ANSWER = "When John and Mary went to the shops, John gave the bag to", " Mary"
SWAPPED, SWAPPED_ANSWER = "When Mary and John went to the shops, Mary gave the bag to", " John"

ap = argparse.ArgumentParser(description=__doc__)
ap.add_argument("--vocab", required=True, help="folder with GPT-2's encoder.json and vocab.bpe")
ap.add_argument("--bundle", default=str(HERE / "bundle"))
ap.add_argument("--pairs", type=int, default=500)
ap.add_argument("--threads", type=int, default=2)
a = ap.parse_args()
bundle = Path(a.bundle)
hub = peer_model.prepare_hub()

import datasets
import torch
from safetensors.torch import load_file
from sae_lens import SAE
from transformer_lens import utils

torch.set_num_threads(a.threads)
torch.set_grad_enabled(False)
model = peer_model.load(hub, bundle / "model", a.vocab)
sae = SAE.load_from_disk(str(bundle / "sae"), device="cpu")
hook = sae.cfg.metadata.hook_name
failed = []


def check(name, value, good):
    print(f"{'ok  ' if good else 'FAIL'} {name}: {value}")
    if not good:
        failed.append(name)


def reconstruct(act, hook):
    return sae(act)


def zero(act, hook):
    return torch.zeros_like(act)


# --- files
size = sum(f.stat().st_size for f in bundle.rglob("*") if f.is_file())
check("bundle size in MB", round(size / 1e6, 2), size <= 15e6)
half = load_file(str(bundle / "model" / "model.safetensors"))
check(
    "model tensors are float16",
    len(half),
    all(t.dtype == torch.float16 and torch.isfinite(t).all() for t in half.values()),
)
weights = load_file(str(bundle / "sae" / "sae_weights.safetensors"))
check(
    "SAE tensors are float32",
    sorted(weights),
    all(t.dtype == torch.float32 and torch.isfinite(t).all() for t in weights.values()),
)
meta = sae.cfg.metadata
check(
    "SAE metadata",
    [
        meta.model_name,
        hook,
        meta.context_size,
        meta.prepend_bos,
        meta.neuronpedia_id,
        meta.model_from_pretrained_kwargs,
    ],
    (meta.model_name, meta.context_size, meta.prepend_bos, meta.neuronpedia_id) == ("panascope-demo", 128, True, None)
    and meta.model_from_pretrained_kwargs == {"center_writing_weights": True}
    and sae.cfg.normalize_activations == "none",
)
sparsity = load_file(str(bundle / "sae" / "sparsity.safetensors"))["sparsity"]
check("sparsity: mean of log10", round(sparsity.mean().item(), 4), sparsity.shape == (sae.cfg.d_sae,))
n_ctx = model.cfg.n_ctx
check(
    "context and heads",
    [n_ctx, model.cfg.n_layers, model.cfg.d_model, model.cfg.n_heads],
    n_ctx == 256 and model.cfg.act_fn == "gelu_new",
)

# --- the dataset
docs = datasets.Dataset.from_parquet(str(bundle / "dataset.parquet"))
check("documents", len(docs), len(docs) >= 1200 and docs.column_names == ["text"])
tokens = utils.tokenize_and_concatenate(docs, model.tokenizer, streaming=True, max_length=128, add_bos_token=True)[:][
    "tokens"
]
tokens = tokens if torch.is_tensor(tokens) else torch.stack([torch.as_tensor(t) for t in tokens])
check("tokens in whole rows", tokens.numel(), tokens.numel() >= 40000 and (tokens[:, 0] == 50256).all().item())
batch = tokens[:32]

# --- sparsity and losses
_, cache = model.run_with_cache(batch, prepend_bos=True, names_filter=hook)
acts = sae.encode(cache[hook])
l0 = (acts[:, 1:] > 0).float().sum(-1)
check("mean L0, positions 1..127", l0.mean().item(), 8 <= l0.mean() <= 80)
print("     L0 min, max, at BOS:", l0.min().item(), l0.max().item(), (acts[:, 0] > 0).float().sum(-1).mean().item())
print(f"     features alive on 32 rows: {(acts > 0).any(0).any(0).sum().item()} of {sae.cfg.d_sae}")
alive = torch.zeros(sae.cfg.d_sae, dtype=torch.bool)
for part in tokens.split(64):
    x = model.run_with_cache(part, names_filter=hook)[1][hook]
    alive |= (sae.encode(x) > 0).any(0).any(0)
check(
    "features alive on the whole dataset", f"{alive.sum().item()} of {sae.cfg.d_sae}", alive.sum() > sae.cfg.d_sae / 2
)
x = cache[hook][:, 1:].reshape(-1, sae.cfg.d_in)
print(
    f"     explained variance, positions 1..127: "
    f"{1 - ((sae(x) - x) ** 2).sum().item() / ((x - x.mean(0)) ** 2).sum().item():.4f}"
)
so = sae.decode(acts)
orig = model(batch, return_type="loss").item()
reconstr = model.run_with_hooks(batch, fwd_hooks=[(hook, lambda act, hook: so)], return_type="loss").item()
zeroed = model.run_with_hooks(batch, fwd_hooks=[(hook, zero)], return_type="loss").item()
check("CE orig < reconstructed < zero-ablated", [orig, reconstr, zeroed], orig < reconstr < zeroed)
score = (zeroed - reconstr) / (zeroed - orig)
check("CE loss score", round(score, 4), score >= 0.9)


# --- the indirect object
def top(prompt, answer, hooks):
    """(is the answer the top token, its probability, its margin in logits over the best other token)"""
    logits = model.run_with_hooks(model.to_tokens(prompt), fwd_hooks=hooks, return_type="logits")[0, -1]
    t = model.to_single_token(answer)
    others = logits.clone()
    others[t] = -torch.inf
    return (
        bool(logits[t] > others.max()),
        round(logits.softmax(-1)[t].item(), 4),
        round((logits[t] - others.max()).item(), 3),
    )


under = [(hook, reconstruct)]
for prompt, answer in ((PROMPT, ANSWER), (SWAPPED, SWAPPED_ANSWER)):
    for name, hooks in (("model", []), ("reconstructed", under)):
        is_top, p, margin = top(prompt, answer, hooks)
        check(
            f"{prompt[5:18]} ->{answer}, {name}: top, probability, logit margin",
            [is_top, p, margin],
            is_top and margin > 1,
        )
prompts = make_corpus.ioi_prompts(12345, a.pairs)
for name, hooks in (("model", []), ("reconstructed", under)):
    right = sum(top(p, x, hooks)[0] for p, x in prompts) / len(prompts)
    check(f"IOI accuracy over {a.pairs} held-out pairs, {name}", right, right > (0.9 if not hooks else 0.8))


# --- what the peers say, for tests of other implementations
def printed(fn):
    import rich

    buffer = io.StringIO()
    rich.reconfigure(file=buffer, width=200, no_color=True, force_terminal=False, highlight=False)
    with contextlib.redirect_stdout(buffer):
        fn()
    return buffer.getvalue()


def test_reconstructed():
    with model.hooks(fwd_hooks=under):
        utils.test_prompt(PROMPT, ANSWER, model, prepend_bos=True)


expected = {
    "versions": {p: version(p) for p in ("torch", "transformers", "datasets", "transformer-lens", "sae-lens")},
    "hook": hook,
    "n_rows_total": tokens.shape[0],
    "tokens_first_rows": tokens[:2].tolist(),
    "tokens_last_row": tokens[-1].tolist(),
    "l0_mean": l0.mean().item(),
    "l0_histogram": torch.bincount(l0.flatten().long()).tolist(),
    "feature_acts_sum": acts.double().sum().item(),
    "features_alive": alive.sum().item(),
    "sparsity_mean": sparsity.mean().item(),
    "ce_orig": orig,
    "ce_reconstr": reconstr,
    "ce_zero": zeroed,
    "prompt": PROMPT,
    "answer": ANSWER,
    "prompt_tokens": model.to_tokens(PROMPT).tolist(),
    "test_prompt": printed(lambda: utils.test_prompt(PROMPT, ANSWER, model, prepend_bos=True)),
    "test_prompt_reconstructed": printed(test_reconstructed),
}
print(expected["test_prompt"] + expected["test_prompt_reconstructed"])
(bundle / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
print("all holds" if not failed else f"does not hold: {failed}")
sys.exit(bool(failed))
