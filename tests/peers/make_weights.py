#!/usr/bin/env python3
"""One small GPT-2 in every file format that its weights are published in, and hostile files. Weights are seeded;
written with the peers' own code.

python make_weights.py tests/resources/golden/weights
"""

import json, pickle, shutil, sys, zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

out = Path(sys.argv[1])
shutil.rmtree(out, ignore_errors=True)
out.mkdir(parents=True)
torch.set_grad_enabled(False)
torch.manual_seed(7)
# The tokenizer's 50,257 tokens would weigh megabytes; only names, shapes and values matter here.
config = GPT2Config(
    attn_implementation="eager",
    n_layer=2,
    n_embd=8,
    n_head=2,
    n_positions=16,
    vocab_size=60,
    bos_token_id=0,
    eos_token_id=0,
)
model = GPT2LMHeadModel(config).eval()
for p in model.parameters():
    p.copy_(torch.randn_like(p) * 0.3)
state = {k: v for k, v in model.transformer.state_dict().items()}


def folder(name):
    (out / name).mkdir()
    (out / name / "config.json").write_text(config.to_json_string())
    return out / name


save_file({k: v.clone() for k, v in state.items()}, folder("safetensors") / "model.safetensors")
torch.save(state, folder("zip") / "pytorch_model.bin")
torch.save(state, folder("legacy") / "pytorch_model.bin", _use_new_zipfile_serialization=False)
f = folder("sharded")
names = list(state)
parts = {"model-00001-of-00002.safetensors": names[:11], "model-00002-of-00002.safetensors": names[11:]}
for file, keys in parts.items():
    save_file({k: state[k].clone() for k in keys}, f / file)
(f / "model.safetensors.index.json").write_text(
    json.dumps({"metadata": {"total_size": 1}, "weight_map": {k: file for file, keys in parts.items() for k in keys}})
)
f = folder("sharded_bin")
parts = {"pytorch_model-00001-of-00002.bin": names[:9], "pytorch_model-00002-of-00002.bin": names[9:]}
for file, keys in parts.items():
    torch.save({k: state[k].clone() for k in keys}, f / file)
(f / "pytorch_model.bin.index.json").write_text(
    json.dumps({"metadata": {}, "weight_map": {k: file for file, keys in parts.items() for k in keys}})
)
tokens = torch.randint(0, 60, (1, 7))
# transformers makes its mask with vmap, which cannot be traced; eager attention has its own causal mask, in the
# buffer attn.bias.
import transformers.models.gpt2.modeling_gpt2 as modeling

modeling.create_causal_mask = lambda **kwargs: None


class Names(torch.nn.Module):
    """The model with a tensor as its result; a dictionary cannot be traced."""

    def __init__(self, gpt2):
        super().__init__()
        self.transformer = gpt2.transformer
        self.lm_head = gpt2.lm_head

    def forward(self, ids):
        return self.lm_head(self.transformer(ids, use_cache=False, return_dict=False)[0])


torch.jit.save(torch.jit.trace(Names(model), tokens, check_trace=False), folder("torchscript") / "model.pt")
# Views that share memory, do not begin at its start and are not contiguous
base = torch.arange(24, dtype=torch.float32)
torch.save(
    {
        "whole": base.view(4, 6),
        "part": base[6:18].view(3, 4),
        "transposed": base.view(4, 6).t(),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "half": torch.tensor([1.5, -2.0]).half(),
        "bf16": torch.tensor([1.5, -2.0]).bfloat16(),
        "ints": torch.arange(3),
        "param": torch.nn.Parameter(torch.ones(2)),
    },
    out / "views.pt",
)


# --- what must be refused, each by a sentence
class Evil:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


import os

bad = out / "bad"
bad.mkdir()
torch.save({"w": Evil(os.system, "touch /tmp/panascope_was_here")}, bad / "os_system.pt")
torch.save({"w": Evil(eval, "1")}, bad / "eval.pt", _use_new_zipfile_serialization=False)
torch.save({"w": Evil(getattr, "x", "y")}, bad / "getattr.pt")
(bad / "plain_pickle.pt").write_bytes(pickle.dumps({"w": [1.0, 2.0]}))
whole = (out / "zip" / "pytorch_model.bin").read_bytes()
(bad / "truncated.pt").write_bytes(whole[: len(whole) // 2])
legacy = (out / "legacy" / "pytorch_model.bin").read_bytes()
(bad / "truncated_legacy.pt").write_bytes(legacy[: len(legacy) - 100])
with zipfile.ZipFile(bad / "compressed.pt", "w", zipfile.ZIP_DEFLATED) as z, zipfile.ZipFile(out / "views.pt") as old:
    for item in old.infolist():
        z.writestr(item.filename, old.read(item))
with zipfile.ZipFile(bad / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("x/data.pkl", b"\x80\x02}.", zipfile.ZIP_STORED)
    z.writestr("x/code/huge.py", b"\0" * (80 << 20))
print({p.name: p.stat().st_size for p in bad.iterdir()})
logits = model(tokens).logits
save_file(
    {
        "tokens": tokens,
        "logits": logits.clone(),
        **{f"views/{k}": v.detach().clone().contiguous() for k, v in torch.load(out / "views.pt").items()},
    },
    out / "expected.safetensors",
)
