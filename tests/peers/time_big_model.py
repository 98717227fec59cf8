#!/usr/bin/env python3
"""What the peers take for the model and an SAE of make_big_model.py, as one JSON object: seconds and memory.

    python time_big_model.py FOLDER [--sae sae_bfloat16] [--rows 64] [--features 10] [--save FILE]

Runs a prompt to the hook point and to its end, encodes it, and makes dashboards (0 rows leave these out). FOLDER has
tokens.parquet beside the model, whose rows are those of the dashboards: --tokens makes it and ends. --save writes the
features and the last logits of the prompt. The model is put together by hand, since from_pretrained knows only what is
on the hub, and weight by weight, so that no more than one copy of the weights is in memory beside the mapped files.
"""

import argparse, json, os, re, time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--sae", default="sae_bfloat16")
parser.add_argument("--rows", type=int, default=64)
parser.add_argument("--features", type=int, default=10)
parser.add_argument("--save", type=Path)
parser.add_argument("--tokens", action="store_true")
arguments = parser.parse_args()
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

import torch

torch.set_grad_enabled(False)
HOOK = "blocks.12.hook_resid_post"
PROMPT = [50256, 2215, 1757, 290, 5335, 1816, 284, 262, 12437, 11, 1757, 2921, 262, 6131, 284]
if arguments.tokens:
    import pyarrow, pyarrow.parquet

    made = torch.randint(0, 50256, (arguments.rows, 128), generator=torch.Generator().manual_seed(4))
    made[:, 0] = 50256
    pyarrow.parquet.write_table(pyarrow.table(dict(tokens=made.tolist())), arguments.folder / "tokens.parquet")
    raise SystemExit


def memory():
    found = dict(re.findall(r"(VmHWM|RssAnon|RssFile):\s+(\d+)", Path("/proc/self/status").read_text()))
    return {name: round(int(kilobytes) * 1024 / 1e9, 2) for name, kilobytes in found.items()}


def load_model():
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gemma_weights
    from transformers import AutoModelForCausalLM

    file = json.loads((arguments.folder / "model" / "config.json").read_text())
    layers = file["num_hidden_layers"]
    config = HookedTransformerConfig(
        d_model=file["hidden_size"],
        n_layers=layers,
        n_heads=file["num_attention_heads"],
        n_key_value_heads=file["num_key_value_heads"],
        d_head=file["head_dim"],
        d_mlp=file["intermediate_size"],
        d_vocab=file["vocab_size"],
        n_ctx=1024,  # instead of 8192, whose masks take 1.7 GB
        act_fn=file["hidden_activation"],
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_dim=file["head_dim"],
        gated_mlp=True,
        final_rms=True,
        eps=file["rms_norm_eps"],
        window_size=1024,
        use_local_attn=True,
        attn_types=["local" if i % 2 == 0 else "global" for i in range(layers)],
        attn_scores_soft_cap=file["attn_logit_softcapping"],
        output_logits_soft_cap=file["final_logit_softcapping"],
        use_normalization_before_and_after=True,
        original_architecture="Gemma2ForCausalLM",
        model_name="gemma-2-2b",
        default_prepend_bos=False,
        init_weights=False,
        dtype=torch.bfloat16,
        device="cpu",
    )
    model = HookedTransformer(config, tokenizer=None, move_to_device=False)
    theirs = AutoModelForCausalLM.from_pretrained(arguments.folder / "model", dtype=torch.bfloat16)
    state = convert_gemma_weights(theirs, config)
    for name, parameter in model.named_parameters():
        parameter.copy_(state.pop(name))
    return model.eval()


seconds, peaks = {}, {}


def timed(name, work):
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    value = work()
    seconds[name] = round(time.perf_counter() - start, 2)
    peaks[name] = memory()
    print(name, seconds[name], peaks[name], flush=True)
    return value


from sae_lens import SAE

model = timed("load_model", load_model)
sae = timed("load_sae", lambda: SAE.load_from_disk(str(arguments.folder / arguments.sae), device="cpu"))
sae.eval()
prompt = torch.tensor([PROMPT])


def features():
    _, cache = model.run_with_cache(prompt, names_filter=HOOK, stop_at_layer=13)
    return sae.encode(cache[HOOK].to(sae.dtype))


found = timed("features of a prompt", features)
found = timed("features of a prompt, again", features)
logits = timed("logits of a prompt", lambda: model(prompt))
timed("logits of a prompt, again", lambda: model(prompt))
spliced = timed(
    "with the reconstruction",
    lambda: model.run_with_hooks(
        prompt, fwd_hooks=[(HOOK, lambda activation, hook: sae(activation.to(sae.dtype)).to(activation.dtype))]
    ),
)
if arguments.save:
    rows, columns = found[0].float().nonzero(as_tuple=True)
    arguments.save.write_text(
        json.dumps(
            dict(
                rows=rows.tolist(),
                features=columns.tolist(),
                values=found[0].float()[rows, columns].tolist(),
                logits=logits[0, -1].float().tolist(),
                spliced=spliced[0, -1].float().tolist(),
            )
        )
    )
del found, logits, spliced
if arguments.rows:
    import pyarrow.parquet
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner

    rows = pyarrow.parquet.read_table(arguments.folder / "tokens.parquet")["tokens"].to_pylist()[: arguments.rows]
    vis = SaeVisConfig(
        hook_point=HOOK,
        features=list(range(arguments.features)),
        minibatch_size_features=64,
        minibatch_size_tokens=256,
        device="cpu",
    )
    data = timed("dashboards", lambda: SaeVisRunner(vis).run(encoder=sae, model=model, tokens=torch.tensor(rows)))
    print(json.dumps(dict(largest=data.feature_stats.max)))
print(json.dumps(dict(seconds=seconds, peaks=peaks)))
