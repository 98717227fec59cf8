#!/usr/bin/env python3
"""Adds prompt.json to a golden case: SAEDashboard's prompt-centric data of one prompt, <|endoftext|> first, for the
features that the case has dashboards of.

Its own get_prompt_data calls a method that SAELens no longer has; what that would hand on is made here, and given to
its parse_prompt_data.
"""

import argparse, json, os
from pathlib import Path

ap = argparse.ArgumentParser()
ap.add_argument("case", help="folder that make_case.py wrote")
ap.add_argument("--shared", help="case whose dataset.parquet and vocabulary it shares (default: standard_a beside it)")
ap.add_argument("--prompt", default="When John and Mary went to the shops, John gave the bag to")
a = ap.parse_args()

case = Path(a.case).resolve()
shared = Path(a.shared).resolve() if a.shared else case.parent / "standard_a"
import shutil, tempfile

work = tempfile.TemporaryDirectory()
for each in (shared, case):
    shutil.copytree(each / "hub/models--gpt2", Path(work.name, "hub/models--gpt2"), dirs_exist_ok=True)
os.environ.update(HF_HUB_CACHE=str(Path(work.name, "hub")), HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
import torch, datasets
from sae_lens import SAE
from transformer_lens import HookedTransformer, utils
from sae_dashboard.data_parsing_fns import parse_prompt_data
from sae_dashboard.sae_vis_data import SaeVisConfig
from sae_dashboard.sae_vis_runner import SaeVisRunner

args = json.loads((case / "expected.json").read_text())
rows, context, features = args["args"]["dash_rows"], args["args"]["context_size"], args["dashboard"]["features"]
torch.set_grad_enabled(False)
model = HookedTransformer.from_pretrained("gpt2-small")
sae = SAE.load_from_disk(str(case / "sae"), device="cpu")
texts = datasets.Dataset.from_parquet(str(shared / "dataset.parquet"))
tokens = utils.tokenize_and_concatenate(texts, model.tokenizer, streaming=True, max_length=context, add_bos_token=True)[
    "tokens"
]
tokens = tokens if torch.is_tensor(tokens) else torch.stack([torch.as_tensor(row) for row in tokens])
hook = sae.cfg.metadata.hook_name
vis = SaeVisRunner(
    SaeVisConfig(hook_point=hook, features=features, minibatch_size_features=64, minibatch_size_tokens=32, device="cpu")
).run(encoder=sae, model=model, tokens=tokens[:rows])
assert torch.allclose(
    sae.W_dec.norm(dim=-1), torch.ones(sae.W_dec.shape[0]), atol=1e-5
)  # the run leaves the SAE folded
prompt = model.to_tokens(a.prompt, prepend_bos=True)
last = f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
cache = model.run_with_cache(prompt, names_filter=lambda name: name in (hook, last))[1]
scores = parse_prompt_data(
    tokens=prompt,
    str_toks=model.to_str_tokens(prompt),
    sae_vis_data=vis,
    feat_acts=sae.encode(cache[hook])[0][:, features],
    feature_resid_dir=sae.W_dec[features],
    resid_post=cache[last][0],
    W_U=model.W_U,
    feature_idx=features,
)
sequences = {
    str(f): {
        k: getattr(vis.feature_data_dict[f].prompt_data, k) for k in ("feat_acts", "loss_contribution", "token_logits")
    }
    for f in features
}
(case / "prompt.json").write_text(
    json.dumps({"prompt": a.prompt, "tokens": prompt[0].tolist(), "scores": scores, "sequences": sequences}) + "\n"
)
print(case.name, len(scores), "scores")
