#!/usr/bin/env python3
"""Tiny SAEs in the layouts of the registry's releases, and what SAELens's own loaders make of them.

    python make_sae_layouts.py tests/resources/golden/sae_layouts

The hub/ folder is a Hugging Face cache with the files of one SAE for each case. A case is a folder with name.txt
(RELEASE/SAE_ID), expected.json (the configuration after SAELens read it) and expected.safetensors: x, features, out
(forward), and the processed weights. The sizes that SAELens knows by heart are overridden by those of the files.
"""

import json, os, shutil, sys
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

torch.set_grad_enabled(False)
out = Path(sys.argv[1])
shutil.rmtree(out, ignore_errors=True)
hub = out / "hub"
hub.mkdir(parents=True)
os.environ.update(HF_HUB_CACHE=str(hub.resolve()), HF_HUB_OFFLINE="1")

import sae_lens.loading.pretrained_sae_loaders as loaders
from huggingface_hub.errors import EntryNotFoundError
from sae_lens import SAE
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

registry = get_pretrained_saes_directory()
REV = "0" * 40
D, N, HEADS = 8, 24, 2


def snapshot(repo):
    folder = hub / ("models--" + repo.replace("/", "--"))
    files = folder / "snapshots" / REV
    files.mkdir(parents=True, exist_ok=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(REV)
    return files


def local(repo_id, filename, force_download=False, subfolder=None, revision=None):
    path = snapshot(repo_id) / (subfolder or "") / filename
    if not path.exists():
        raise EntryNotFoundError.__new__(EntryNotFoundError)
    return str(path)


def shapes(repo_id, filename):
    with safe_open(local(repo_id, filename), framework="pt") as f:
        return {key: f.get_slice(key).get_shape() for key in f.keys()}


loaders.hf_hub_download, loaders.get_safetensors_tensor_shapes = local, shapes


def weights(d_sae=N, d_out=D):
    return dict(
        W_enc=torch.randn(D, d_sae) * 0.5,
        b_enc=torch.randn(d_sae) * 0.1,
        W_dec=torch.randn(d_sae, d_out) * 0.5,
        b_dec=torch.randn(d_out) * 0.3,
    )


def case(name, release, sae_id, write, hook_z=False, **overrides):
    """Writes the files of an SAE, loads them by SAELens, and stores what it computes."""
    lookup = registry[release]
    repo = snapshot(lookup.repo_id)
    path = lookup.saes_map[sae_id]
    write(repo, path)
    lookup.config_overrides = dict(lookup.config_overrides or {}) | overrides
    sae = SAE.from_pretrained(release, sae_id, device="cpu")
    x = torch.randn(2, 5, HEADS, D // HEADS) if hook_z else torch.randn(2, 5, D)
    folder = out / name
    folder.mkdir()
    tensors = dict(x=x, features=sae.encode(x), out=sae(x))
    tensors |= {key: value for key, value in sae.state_dict().items()}
    save_file({key: value.clone().contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")
    cfg = sae.cfg.to_dict()
    cfg["metadata"] = {k: v for k, v in cfg["metadata"].items() if v is not None}
    (folder / "expected.json").write_text(json.dumps(cfg, indent=1, default=str) + "\n")
    (folder / "name.txt").write_text(f"{release}/{sae_id}")


# ------------------------------------------------------------------------------------------------ Gemma Scope: npz


def npz(save=np.savez, dtype=np.float32, order="C", extra={}, matrix="w_"):
    def write(repo, path):
        w = weights() | dict(threshold=torch.rand(N) * 0.4)
        (repo / path).mkdir(parents=True)
        arrays = {key.replace("W_", matrix): np.asarray(value.numpy(), dtype, order=order) for key, value in w.items()}
        save(repo / path / "params.npz", **arrays, **extra)

    return write


def gemma_2():
    sizes = dict(d_in=D, d_sae=N)
    case("gemma_2", "gemma-scope-2b-pt-res-canonical", "layer_20/width_16k/canonical", npz(), **sizes)
    case(
        "gemma_2_att_deflated_float16",
        "gemma-scope-2b-pt-att-canonical",
        "layer_3/width_16k/canonical",
        npz(np.savez_compressed, np.float16),
        hook_z=True,
        **sizes,
    )
    case(
        "gemma_2_mlp_fortran_float64",
        "gemma-scope-9b-pt-mlp-canonical",
        "layer_41/width_131k/canonical",
        npz(dtype=np.float64, order="F", extra=dict(scaling_factor=np.ones(N, np.float32))),
        **sizes,
    )
    upper = npz(np.savez_compressed, matrix="W_")
    case("gemma_2_it", "gemma-scope-9b-it-res", "layer_9/width_16k/average_l0_88", upper, **sizes)
    case("gemma_2_embedding", "gemma-scope-2b-pt-res", "embedding/width_4k/average_l0_6", npz(), **sizes)
    case(
        "gemma_2_transcoder",
        "gemma-scope-2b-pt-transcoders",
        "layer_0/width_16k/average_l0_76",
        npz(),
        d_out=D,
        **sizes,
    )


# ------------------------------------------------------------------------------------------------ Gemma Scope 2


def gemma_3_files(config=None, skip=False, dtype=torch.float32):
    def write(repo, path):
        w = weights() | dict(threshold=torch.rand(N) * 0.4)
        w = {key.replace("W_", "w_"): value.to(dtype) for key, value in w.items()}
        if skip:
            w["affine_skip_connection"] = (torch.randn(D, D) * 0.3).to(dtype)
        (repo / path).mkdir(parents=True)
        save_file(w, repo / path / "params.safetensors")
        if config:
            (repo / path / "config.json").write_text(json.dumps(config))

    return write


def gemma_3():
    config = lambda model, point, **more: dict(
        architecture="jump_relu", model_name=model, hf_hook_point_in=point, width=N, l0=60, **more
    )
    case(
        "gemma_3",
        "gemma-scope-2-4b-pt-res",
        "layer_17_width_16k_l0_medium",
        gemma_3_files(config("gemma-v3-4b-pt", "model.layers.17.output")),
    )
    case(
        "gemma_3_att",
        "gemma-scope-2-270m-pt-att-all",
        "layer_0_width_16k_l0_big",
        gemma_3_files(config("gemma-v3-270m-pt", "model.layers.0.self_attn.o_proj.input"), dtype=torch.bfloat16),
    )
    case("gemma_3_mlp_unconfigured", "gemma-scope-2-1b-it-mlp", "layer_13_width_16k_l0_big", gemma_3_files())
    norm = "model.layers.7.{}_feedforward_layernorm.output"
    case(
        "gemma_3_skip_transcoder",
        "gemma-scope-2-1b-pt-transcoders",
        "transcoder/layer_7_width_65k_l0_small_affine",
        gemma_3_files(
            config(
                "gemma-v3-1b-pt", norm.format("pre"), hf_hook_point_out=norm.format("post"), affine_connection=True
            ),
            skip=True,
        ),
    )
    case(
        "gemma_3_transcoder_unconfigured",
        "gemma-scope-2-4b-it-transcoders-all",
        "layer_0_width_16k_l0_big",
        gemma_3_files(),
    )


# ------------------------------------------------------------------------------------------------ Llama Scope


def linear(w, encoder="encoder", decoder="decoder", dtype=torch.float32):
    return {
        f"{encoder}.weight": w["W_enc"].T.contiguous().to(dtype),
        f"{encoder}.bias": w["b_enc"].to(dtype),
        f"{decoder}.weight": w["W_dec"].T.contiguous().to(dtype),
        f"{decoder}.bias": w["b_dec"].to(dtype),
    }


def llama_scope(repo, path):
    (repo / path / "checkpoints").mkdir(parents=True)
    save_file(linear(weights(), dtype=torch.bfloat16), repo / path / "checkpoints" / "final.safetensors")
    point = f"blocks.{path.split('-L')[1].split('R')[0]}.hook_resid_post"
    (repo / path / "hyperparams.json").write_text(
        json.dumps(
            dict(
                d_model=D,
                d_sae=N,
                jump_relu_threshold=0.31,
                dataset_average_activation_norm={"in": 1.7, "out": 1.7},
                hook_point_in=point,
                hook_point_out=point,
                expansion_factor=3,
            )
        )
    )


def llama_scope_r1(repo, path):
    (repo / path).mkdir(parents=True)
    w = linear(weights()) | dict(log_jumprelu_threshold=torch.randn(N) * 0.5)
    save_file(w, repo / path / "sae_weights.safetensors")
    point = f"blocks.{path.split('/L')[1][:-1]}.hook_resid_post"
    (repo / path / "config.json").write_text(
        json.dumps(dict(d_model=D, expansion_factor=3, hook_point_in=point, hook_point_out=point, act_fn="jumprelu"))
    )


# ------------------------------------------------------------------------------------------------ pickled files


def qwen_scope(repo, path):
    w = weights(64)
    torch.save(w | dict(W_enc=w["W_enc"].T.contiguous(), W_dec=w["W_dec"].T.contiguous()), repo / path)


def pickled(*layers, dtype=torch.float32):
    return lambda repo, path: torch.save(linear(weights(), *layers, dtype=dtype), repo / path)


def dictionary(name, model, layer, state):
    def write(repo, path):
        (repo / path).mkdir(parents=True)
        torch.save(state, repo / path / "ae.pt")
        trainer = dict(dict_class=name, layer=layer, activation_dim=D, dict_size=N, k=6, lm_name=model)
        (repo / path / "config.json").write_text(json.dumps(dict(trainer=trainer, buffer=dict(ctx_len=128))))

    return write


def dictionaries():
    lin = linear(weights())
    lin["b_dec"] = lin.pop("decoder.bias")
    case(
        "dictionary_matryoshka",
        "saebench_gemma-2-2b_width-2pow12_date-0108",
        "blocks.12.hook_resid_post__trainer_0",
        dictionary(
            "MatryoshkaBatchTopKSAE",
            "google/gemma-2-2b",
            12,
            weights()
            | dict(
                k=torch.tensor(6),
                threshold=torch.tensor(0.3),
                group_sizes=torch.tensor([4, 8, 12]),
                active_groups=torch.tensor(3),
            ),
        ),
    )
    case(
        "dictionary_batch_topk",
        "llama-3.1-8b-instruct-andyrdt",
        "resid_post_layer_7_trainer_1",
        dictionary(
            "BatchTopKSAE",
            "meta-llama/Llama-3.1-8B-Instruct",
            7,
            lin | dict(k=torch.tensor(6), threshold=torch.tensor(0.25)),
        ),
    )
    case(
        "dictionary_topk",
        "sae_bench_gemma-2-2b_topk_width-2pow12_date-1109",
        "blocks.5.hook_resid_post__trainer_5_step_9765",
        dictionary(
            "AutoEncoderTopK", "google/gemma-2-2b", 5, lin | dict(k=torch.tensor(6), threshold=torch.tensor(-1.0))
        ),
    )


# ------------------------------------------------------------------------------------------------ circuit tracing


def hanna(model):
    def write(repo, path):
        w = weights()
        save_file(w | dict(W_enc=w["W_enc"].T.contiguous()), repo / path)
        wandb = dict(d_model=D, d_feature=N, batch_size=4096)
        (repo / "wandb-config.yaml").write_text("".join(f"{k}:\n  value: {v}\n" for k, v in wandb.items()))
        if model:
            (repo / "config.yaml").write_text(f'model_name: "{model}"\n')

    return write


def cross_layer(repo, path):
    w = weights()
    names = dict(W_enc=w["W_enc"].T.contiguous(), b_enc=w["b_enc"], b_dec=w["b_dec"])
    save_file({f"{k}_{path}": v.bfloat16() for k, v in names.items()}, repo / f"W_enc_{path}.safetensors")
    save_file({f"W_dec_{path}": torch.randn(N, 3, D).bfloat16()}, repo / f"W_dec_{path}.safetensors")
    (repo / "config.yaml").write_text(
        'model_name: "google/gemma-2-2b"\nfeature_input_hook: "hook_resid_mid"\nfeature_output_hook: "hook_mlp_out"\n'
    )


torch.manual_seed(7)
gemma_2()
gemma_3()
case("llama_scope", "llama_scope_lxr_8x", "l5r_8x", llama_scope)
case("llama_scope_r1_distill", "llama_scope_r1_distill", "l7r_800m_slimpajama", llama_scope_r1)
case("qwen_scope", "qwen-scope-3-1.7b-base-w32k-l50", "layer3", qwen_scope, d_in=D, d_sae=64)
case(
    "goodfire",
    "goodfire-llama-3.1-8b-instruct",
    "layer_19",
    pickled("encoder_linear", "decoder_linear"),
    d_in=D,
    d_sae=N,
)
case(
    "deepseek_r1",
    "deepseek-r1-distill-llama-8b-qresearch",
    "blocks.19.hook_resid_post",
    pickled("encoder", "decoder", dtype=torch.bfloat16),
    d_in=D,
    d_sae=N,
)
dictionaries()
case("mwhanna_transcoder", "mwhanna-qwen3-4b-transcoders", "layer_9", hanna("Qwen/Qwen3-4B"))
case("mwhanna_transcoder_unconfigured", "mwhanna-qwen3-14b-transcoders", "layer_0", hanna(None))
case("mntss_clt_layer_transcoder", "mntss-gemma-2-2b-2.5m-clt-as-per-layer", "layer_23", cross_layer)
