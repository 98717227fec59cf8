#!/usr/bin/env python3
"""Adds neuronpedia.json to a golden case: a batch of a few features as SAEDashboard's NeuronpediaRunner writes it.

The runner tokenizes each document by itself and shuffles, so that it is given the case's own rows here, in the file
in which it keeps its tokens; all else it does itself.
"""

import argparse, json, os, shutil, tempfile
from pathlib import Path

ap = argparse.ArgumentParser()
ap.add_argument("case", help="folder that make_case.py wrote")
ap.add_argument("--shared", help="case whose dataset.parquet and vocabulary it shares (default: standard_a beside it)")
ap.add_argument("--features", type=int, default=6, help="in a batch")
ap.add_argument("--batch", type=int, default=0, help="which one")
a = ap.parse_args()

case = Path(a.case).resolve()
shared = Path(a.shared).resolve() if a.shared else case.parent / "standard_a"
work = tempfile.TemporaryDirectory()  # the runner keeps its caches in the current folder
os.chdir(work.name)
for each in (shared, case):
    shutil.copytree(each / "hub/models--gpt2", "hub/models--gpt2", dirs_exist_ok=True)
os.environ.update(
    HF_HUB_CACHE=str(Path("hub").resolve()), HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", WANDB_MODE="disabled"
)
import torch, datasets
from transformer_lens import utils
from sae_dashboard.neuronpedia.neuronpedia_runner import NeuronpediaRunner
from sae_dashboard.neuronpedia.neuronpedia_runner_config import NeuronpediaRunnerConfig

args = json.loads((case / "expected.json").read_text())["args"]
rows, context = args["dash_rows"], args["context_size"]
Path("texts").mkdir()
shutil.copy(shared / "dataset.parquet", "texts")
runner = NeuronpediaRunner(
    NeuronpediaRunnerConfig(
        sae_set="golden",
        np_set_name="res-jb",
        sae_path=str(case / "sae"),
        from_local_sae=True,
        outputs_dir="out",
        huggingface_dataset_path="texts",
        n_prompts_total=rows,
        n_tokens_in_prompt=context,
        n_features_at_a_time=a.features,
        start_batch=a.batch,
        end_batch=a.batch,
    )
)
texts = datasets.Dataset.from_parquet("texts/dataset.parquet")
tokens = utils.tokenize_and_concatenate(
    texts, runner.model.tokenizer, streaming=True, max_length=context, add_bos_token=True
)["tokens"]
tokens = tokens if torch.is_tensor(tokens) else torch.stack([torch.as_tensor(row) for row in tokens])
torch.save(tokens[:rows].clone(), f"{runner.cfg.outputs_dir}/tokens_{rows}.pt")
runner.run()
batch = Path(runner.cfg.outputs_dir, f"batch-{a.batch}.json").read_text()
(case / "neuronpedia.json").write_text(batch + "\n")
print(case.name, len(batch), [f["feature_index"] for f in json.loads(batch)["features"]])
