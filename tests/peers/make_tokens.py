#!/usr/bin/env python3
"""TransformerLens's ways between texts, tokens and directions, on the model of the golden case standard_a.

    python tests/peers/make_tokens.py

Writes tests/resources/golden/tokens/expected.json and expected.safetensors.
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
from transformer_lens import HookedTransformer

model = HookedTransformer.from_pretrained("gpt2-small", device="cpu")
texts = ["Hello world", "", " naïve 🤖 café", "one two three four five six", "x<|endoftext|>y", "a " * 200]
E = {"versions": {p: version(p) for p in ("torch", "transformers", "transformer-lens")}, "texts": texts}
for prepend in (True, False):
    E[f"to_tokens/{prepend}"] = [model.to_tokens(t, prepend_bos=prepend).tolist() for t in texts if t or prepend]
    E[f"to_tokens_list/{prepend}"] = model.to_tokens(texts[:5], prepend_bos=prepend).tolist()
    E[f"to_str_tokens/{prepend}"] = [model.to_str_tokens(t, prepend_bos=prepend) for t in texts if t or prepend]
E["to_string"] = model.to_string(model.to_tokens(texts[2])[0])
E["to_string_list"] = model.to_string(model.to_tokens(texts[:5]))
E["to_single_token"] = {t: model.to_single_token(t) for t in (" Mary", "the", "\n")}
E["to_single_str_token"] = {str(i): model.to_single_str_token(i) for i in (0, 5335, 50256)}
ids = model.to_tokens("the cat and the dog and the bird")
E["position_tokens"] = ids.tolist()
E["get_token_position"] = {
    f"{t}/{m}": model.get_token_position(t, ids, mode=m) for t in (" the", " and", " dog") for m in ("first", "last")
}
from sae_lens.tokenization_and_batching import concat_and_batch_sequences

documents = [
    "one two three four five six seven",
    "<|endoftext|>eight nine",
    "",
    "ten",
    " eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen",
    "a",
    "b",
    "c d e f g h i j k l m n",
]
E["documents"] = documents
for prepend in (True, False):
    for size in (2, 4, 9):
        ids = (
            torch.tensor(model.tokenizer(d, add_special_tokens=False)["input_ids"], dtype=torch.long) for d in documents
        )
        E[f"concat_and_batch/{prepend}/{size}"] = [
            row.tolist()
            for row in concat_and_batch_sequences(
                ids, size, begin_batch_token_id=50256 if prepend else None, sequence_separator_token_id=50256
            )
        ]
T = {
    "directions_one": model.tokens_to_residual_directions(" Mary"),
    "directions": model.tokens_to_residual_directions(torch.tensor([[1, 2, 3], [4, 5, 6]])),
}
out = GOLDEN / "tokens"
out.mkdir(exist_ok=True)
(out / "expected.json").write_text(json.dumps(E))
save_file({k: v.clone().contiguous() for k, v in T.items()}, out / "expected.safetensors")
