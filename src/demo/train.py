#!/usr/bin/env python3
"""Trains the demo bundle: a small GPT-2 on the generated corpus, then a standard SAE (SAELens) on its residual stream.

Writes bundle/model, bundle/sae, bundle/dataset.parquet and bundle/TRAINING.json. Everything is seeded.
Needs sae-lens 6.54.12 and transformer-lens 2.18.0:  python train.py --vocab FOLDER  and then  python check.py --vocab
FOLDER
"""

import argparse
import json
import math
import random
import sys
import time
from importlib.metadata import version
from pathlib import Path

import make_corpus
import peer_model

HERE = Path(__file__).resolve().parent
BOS, ROW, N_VOCAB = 50256, 128, 50257

ap = argparse.ArgumentParser(description=__doc__)
ap.add_argument("--vocab", required=True, help="folder with GPT-2's encoder.json and vocab.bpe")
ap.add_argument("--out", default=str(HERE / "bundle"))
ap.add_argument("--seed", type=int, default=1)
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--layers", type=int, default=4)
ap.add_argument("--heads", type=int, default=4)
ap.add_argument("--d-model", type=int, default=96)
ap.add_argument("--steps", type=int, default=3000, help="training steps of the model")
ap.add_argument("--batch", type=int, default=32, help="rows a step")
ap.add_argument("--lr", type=float, default=3e-3)
ap.add_argument("--answer-weight", type=float, default=4.0, help="loss weight of the name an IOI sentence asks for")
ap.add_argument("--hook", default="blocks.2.hook_resid_pre")
ap.add_argument("--d-sae", type=int, default=1024)
ap.add_argument("--l1", type=float, default=0.7)
ap.add_argument("--sae-steps", type=int, default=3000)
ap.add_argument("--sae-lr", type=float, default=1e-3)
ap.add_argument("--dataset-docs", type=int, default=2000)
ap.add_argument("--only-sae", action="store_true", help="keep the model that is already in --out")
a = ap.parse_args()
out = Path(a.out)
hub = peer_model.prepare_hub()

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

torch.set_num_threads(a.threads)
torch.manual_seed(a.seed)
tok = peer_model.tokenizer(a.vocab)
versions = {p: version(p) for p in ("torch", "transformers", "transformer-lens", "sae-lens", "safetensors", "numpy")}
versions["python"] = sys.version.split()[0]
print(versions)


def rows(seed, n_rows):
    """BOS-prefixed rows of 128 tokens and their per-token loss weights. Half of them keep a separator between
    documents, half glue
    documents together as TransformerLens's tokenize_and_concatenate does; a third starts in the middle of a document.
    """
    r = random.Random(seed)
    tokens = np.empty((n_rows, ROW), dtype=np.int64)
    weights = np.ones((n_rows, ROW), dtype=np.float32)
    pool, k = [], 0

    def next_document():
        nonlocal pool, k
        if k == len(pool):
            docs, k = [make_corpus.document(r) for _ in range(20000)], 0
            enc = tok([d["text"] for d in docs], return_offsets_mapping=True)
            pool = [
                (ids, [a.answer_weight if "answer" in d and o[0] <= d["answer"] < o[1] else 1.0 for o in offsets])
                for d, ids, offsets in zip(docs, enc["input_ids"], enc["offset_mapping"])
            ]
        k += 1
        return pool[k - 1]

    for i in range(n_rows):
        ids, w, separate = [BOS], [1.0], r.random() < 0.5
        cut = r.random() < 0.34
        while len(ids) < ROW:
            t, u = next_document()
            if cut:
                c = r.randrange(len(t))
                t, u, cut = t[c:], u[c:], False
            elif separate and len(ids) > 1:
                ids.append(BOS)
                w.append(1.0)
            ids += t
            w += u
        tokens[i], weights[i] = ids[:ROW], w[:ROW]
    return torch.from_numpy(tokens), torch.from_numpy(weights)


def train_model():
    """Trains over the tokens that the corpus uses, plus one row that stands for all others: its logit counts log(how
    many) more, so the
    softmax is that of the full vocabulary at a thirtieth of the cost. Afterwards the rows are scattered to their real
    ids.
    """
    start = time.time()
    tokens, weights = rows(a.seed, a.steps * a.batch)
    used = torch.unique(torch.cat([tokens.flatten(), rows(a.seed + 1, 2000)[0].flatten(), torch.tensor([BOS])]))
    compact = torch.full((N_VOCAB,), len(used))
    compact[used] = torch.arange(len(used))
    tokens = compact[tokens]
    offset = torch.zeros(len(used) + 1)
    offset[-1] = math.log(N_VOCAB - len(used))
    print(f"corpus: {tokens.numel()} tokens, {len(used)} different, {time.time() - start:.0f} s", flush=True)

    shape = dict(
        n_layer=a.layers,
        n_embd=a.d_model,
        n_head=a.heads,
        n_positions=256,
        n_ctx=256,
        layer_norm_epsilon=1e-5,
        activation_function="gelu_new",
        bos_token_id=BOS,
        eos_token_id=BOS,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    net = GPT2LMHeadModel(GPT2Config(vocab_size=len(used) + 1, **shape)).transformer
    decay = [p for n, p in net.named_parameters() if p.dim() == 2]
    plain = [p for n, p in net.named_parameters() if p.dim() < 2]
    opt = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}], lr=a.lr, betas=(0.9, 0.98)
    )
    warm = 100
    schedule = torch.optim.lr_scheduler.LambdaLR(
        opt, lambda s: min((s + 1) / warm, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * s / a.steps)))
    )

    prompts = make_corpus.ioi_prompts(a.seed + 2, 200)
    enc = [[BOS] + tok(p)["input_ids"] for p, _ in prompts]
    last = torch.tensor([len(e) - 1 for e in enc])
    padded = compact[torch.tensor([e + [BOS] * (32 - len(e)) for e in enc])]
    answers = compact[torch.tensor([tok(x)["input_ids"][0] for _, x in prompts])]

    def accuracy():
        with torch.no_grad():
            h = net(padded).last_hidden_state[torch.arange(len(last)), last]
            return (h @ net.wte.weight.T + offset).argmax(-1).eq(answers).float().mean().item()

    for step in range(a.steps):
        t = tokens[step * a.batch : (step + 1) * a.batch]
        w = weights[step * a.batch : (step + 1) * a.batch, 1:].clone()
        x = t.clone()
        unknown = torch.rand(x.shape) < 0.003
        unknown[:, 0] = False
        x[unknown] = len(used)  # the model should also survive words it has never seen
        h = net(x).last_hidden_state[:, :-1]
        loss_each = F.cross_entropy((h @ net.wte.weight.T + offset).flatten(0, 1), t[:, 1:].flatten(), reduction="none")
        loss = (loss_each * w.flatten()).sum() / w.sum()
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        schedule.step()
        if step % 100 == 0 or step == a.steps - 1:
            print(
                f"step {step} loss {loss_each.mean().item():.4f} ioi {accuracy():.3f} {time.time() - start:.0f} s",
                flush=True,
            )

    full = GPT2LMHeadModel(GPT2Config(vocab_size=N_VOCAB, **shape))
    state = {k: v for k, v in net.state_dict().items() if k != "wte.weight"}
    wte = net.wte.weight.detach()
    rest = wte[-1] + 0.02 * torch.randn(N_VOCAB, a.d_model)  # a little noise, so that no two tokens are the same
    rest[used] = wte[:-1]
    full.transformer.load_state_dict(state | {"wte.weight": rest})
    full.half().save_pretrained(out / "model", safe_serialization=True)
    (out / "model" / "generation_config.json").unlink(missing_ok=True)
    return {
        "tokens_trained_on": tokens.numel(),
        "different_tokens": len(used),
        "final_loss": round(loss_each.mean().item(), 4),
        "ioi_accuracy_while_training": round(accuracy(), 4),
    }


def train_sae(model):
    """SAELens's own trainer (L1) on the activations of the model as it was saved, rounded to half precision and
    processed."""
    from sae_lens import SAE, StandardTrainingSAE, StandardTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(a.seed + 3)
    layer = int(a.hook.split(".")[1])
    tokens, _ = rows(a.seed + 4, 16000)

    @torch.no_grad()
    def activations(t):
        return model.run_with_cache(t, names_filter=a.hook, stop_at_layer=layer + 1, return_type=None)[1][
            a.hook
        ].flatten(0, 1)

    store = torch.cat([activations(tokens[i : i + 256]) for i in range(0, len(tokens), 256)])
    print(
        f"activations: {tuple(store.shape)}, mean norm {store.norm(dim=1).mean():.3f}, at BOS "
        f"{store[::ROW].norm(dim=1).mean():.3f}",
        flush=True,
    )

    def batches():
        while True:  # every pass in another order
            for part in torch.randperm(len(store)).split(4096):
                if len(part) == 4096:
                    yield store[part]

    meta = SAEMetadata(
        model_name="panascope-demo",
        hook_name=a.hook,
        context_size=ROW,
        prepend_bos=True,
        dataset_path="panascope-demo",
        neuronpedia_id=None,
        model_from_pretrained_kwargs={"center_writing_weights": True},
    )
    sae = StandardTrainingSAE(
        StandardTrainingSAEConfig(
            d_in=a.d_model,
            d_sae=a.d_sae,
            dtype="float32",
            device="cpu",
            apply_b_dec_to_input=True,
            normalize_activations="expected_average_only_in",
            l1_coefficient=a.l1,
            l1_warm_up_steps=a.sae_steps // 4,
            metadata=meta,
        )
    )
    trainer = SAETrainer(
        SAETrainerConfig(
            total_training_samples=a.sae_steps * 4096,
            train_batch_size_samples=4096,
            lr=a.sae_lr,
            lr_end=a.sae_lr / 10,
            lr_warm_up_steps=100,
            lr_decay_steps=a.sae_steps // 4,
            device="cpu",
            n_batches_for_norm_estimate=20,
            feature_sampling_window=a.sae_steps // 4,
        ),
        sae=sae,
        data_provider=batches(),
    )
    start = time.time()
    sae = trainer.fit()
    print(f"\nSAE: {time.time() - start:.0f} s")
    sae.save_inference_model(str(out / "sae"))
    sae = SAE.load_from_disk(str(out / "sae"), device="cpu")
    with torch.no_grad():
        sample = store[torch.randperm(len(store))[:400000]]
        fired, error = torch.zeros(a.d_sae), 0.0
        for part in sample.split(8192):
            acts = sae.encode(part)
            fired += (acts > 0).sum(0)
            error += (sae.decode(acts) - part).pow(2).sum().item()
        frequency = fired / len(sample)
        variance = (sample - sample.mean(0)).pow(2).sum().item()
    save_file({"sparsity": torch.log10(frequency + 1e-10)}, str(out / "sae" / "sparsity.safetensors"))
    return {
        "l0": round(frequency.sum().item(), 3),
        "features_that_fire": int((frequency > 0).sum()),
        "explained_variance": round(1 - error / variance, 4),
    }


out.mkdir(parents=True, exist_ok=True)
import datasets

docs = make_corpus.documents(a.seed + 5, a.dataset_docs)  # another seed than the training rows
datasets.Dataset.from_dict({"text": [d["text"] for d in docs]}).to_parquet(
    str(out / "dataset.parquet"), compression="snappy"
)
report_file = out / "TRAINING.json"
report = json.loads(report_file.read_text()) if a.only_sae else {"model": train_model()}
report_file.write_text(json.dumps(report))  # so that --only-sae can go on from here
sae_report = train_sae(peer_model.load(hub, out / "model", a.vocab))
settings = {k: v for k, v in vars(a).items() if k not in ("vocab", "out", "only_sae", "threads")}
report_file.write_text(
    json.dumps(
        {
            "versions": versions,
            "settings": settings,
            "model": report["model"],
            "sae": sae_report,
            "model_kind": f"GPT-2 architecture, {a.layers} layers, {a.d_model} wide, float16",
            "dataset_documents": len(docs),
        },
        indent=1,
    )
    + "\n"
)
print(report_file.read_text())
