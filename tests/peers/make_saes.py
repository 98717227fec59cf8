#!/usr/bin/env python3
"""Small seeded SAEs of every architecture, saved by SAELens itself, with what it computes on a few activations.

    python make_saes.py tests/resources/golden/saes
    python make_saes.py FOLDER --real       # only the published ones, in their real shapes: 6 GB

Each case is a folder as SAELens 6 saves it, and expected.safetensors: x, features, out (forward), decoded
(transcoders), error (forward with the error
term), and folded_features, folded_out after fold_W_dec_norm where the architecture allows it. The hub/ folder is a
Hugging Face cache with
one SAE of each of GPT-2's releases in the registry, in the release's layout and with its keys, and of
dictionary_learning's classes.
"""

import copy, json, re, shutil, sys
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_grad_enabled(False)
from sae_lens import (
    SAE,
    GatedSAE,
    GatedSAEConfig,
    JumpReLUSAE,
    JumpReLUSAEConfig,
    JumpReLUTranscoder,
    JumpReLUTranscoderConfig,
    SkipTranscoder,
    SkipTranscoderConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
    Transcoder,
    TranscoderConfig,
)
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.transcoder import JumpReLUSkipTranscoder, JumpReLUSkipTranscoderConfig

REAL = "--real" in sys.argv
out = Path(sys.argv[1])
shutil.rmtree(out, ignore_errors=True)
out.mkdir(parents=True)
D, N, HEADS, OUT = 12, 40, 3, 8


def fill(sae):
    for name, p in sae.named_parameters():
        p.copy_(torch.randn_like(p) * (0.3 if name != "threshold" else 0.2) + (0.3 if name == "threshold" else 0))
    sae.eval()
    return sae


def tensors(sae, x):
    r = dict(x=x, features=sae.encode(x), out=sae(x))
    if isinstance(sae, Transcoder):
        r["decoded"] = sae.decode(r["features"])  # differs from out by the skip connection
    else:
        sae.use_error_term = True
        r["error"] = sae(x)
        sae.use_error_term = False
    try:
        folded = copy.deepcopy(sae)
        folded.fold_W_dec_norm()
        r["folded_features"], r["folded_out"] = folded.encode(x), folded(x)
    except NotImplementedError:
        pass
    return {k: v.clone().contiguous() for k, v in r.items()}


def case(name, sae, hook_z=False):
    fill(sae)
    x = torch.randn(2, 5, HEADS, D // HEADS) if hook_z else torch.randn(2, 5, D)
    if hook_z:
        sae.turn_on_forward_pass_hook_z_reshaping()
    sae.save_model(out / name)
    save_file(tensors(sae, x * 1.5 + 0.2), out / name / "expected.safetensors")


seed = 0


def common(**kw):
    global seed
    seed += 1
    torch.manual_seed(seed)
    meta = dict(
        model_name="gpt2-small",
        hook_name="blocks.1.hook_resid_pre",
        context_size=32,
        prepend_bos=True,
        neuronpedia_id="gpt2-small/1-res-jb",
        extra={"kept": [1, 2]},
    )
    meta.update(kw.pop("meta", {}))
    return dict(d_in=D, d_sae=N, metadata=SAEMetadata(**meta)) | kw


def saved_cases():
    for norm in ("none", "layer_norm", "constant_norm_rescale", "expected_average_only_in"):
        case(f"standard_{norm}", StandardSAE(StandardSAEConfig(**common(normalize_activations=norm))))
    case("standard_keep_b_dec", StandardSAE(StandardSAEConfig(**common(apply_b_dec_to_input=False))))
    case(
        "standard_hook_z",
        StandardSAE(
            StandardSAEConfig(**common(reshape_activations="hook_z", meta=dict(hook_name="blocks.1.attn.hook_z")))
        ),
        hook_z=True,
    )
    case("gated", GatedSAE(GatedSAEConfig(**common())))
    case("gated_layer_norm", GatedSAE(GatedSAEConfig(**common(normalize_activations="layer_norm"))))
    case("jumprelu", JumpReLUSAE(JumpReLUSAEConfig(**common(apply_b_dec_to_input=False))))
    case(
        "jumprelu_hook_z",
        JumpReLUSAE(
            JumpReLUSAEConfig(**common(reshape_activations="hook_z", meta=dict(hook_name="blocks.1.attn.hook_z")))
        ),
        hook_z=True,
    )
    case("topk", TopKSAE(TopKSAEConfig(**common(k=7))))
    case("topk_rescaled", TopKSAE(TopKSAEConfig(**common(k=7, rescale_acts_by_decoder_norm=True))))
    case("topk_layer_norm", TopKSAE(TopKSAEConfig(**common(k=7, normalize_activations="layer_norm"))))
    coder = lambda **kw: common(
        apply_b_dec_to_input=False,
        d_out=OUT,
        meta=dict(hook_name="blocks.1.ln2.hook_normalized", hook_name_out="blocks.1.hook_mlp_out"),
        **kw,
    )
    case("transcoder", Transcoder(TranscoderConfig(**coder())))
    case("transcoder_layer_norm", Transcoder(TranscoderConfig(**coder(normalize_activations="layer_norm"))))
    case("skip_transcoder", SkipTranscoder(SkipTranscoderConfig(**coder())))
    case("jumprelu_transcoder", JumpReLUTranscoder(JumpReLUTranscoderConfig(**coder())))
    case("jumprelu_skip_transcoder", JumpReLUSkipTranscoder(JumpReLUSkipTranscoderConfig(**coder())))

    # --- what training saves: batchtopk and matryoshka become jumprelu with one learned threshold, decoder norms folded
    from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    from sae_lens.saes.matryoshka_batchtopk_sae import (
        MatryoshkaBatchTopKTrainingSAE,
        MatryoshkaBatchTopKTrainingSAEConfig,
    )

    for name, cls, cfg in (
        ("batchtopk_as_saved", BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig),
        ("matryoshka_as_saved", MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig),
    ):
        extra = dict(matryoshka_widths=[10, N]) if "matryoshka" in name else {}
        sae = fill(cls(cfg(**common(k=5, **extra))))
        sae.topk_threshold.fill_(0.4)
        sae.save_inference_model(out / name)
        saved = SAE.load_from_disk(out / name)
        save_file(tensors(saved, torch.randn(2, 5, D)), out / name / "expected.safetensors")


if not REAL:
    saved_cases()

# --- releases of the registry in a hub cache
import os

hub = out / "hub"
REV = "0" * 40


def repo(name):
    r = hub / ("models--" + name.replace("/", "--"))
    s = r / "snapshots" / REV
    s.mkdir(parents=True)
    (r / "refs").mkdir()
    (r / "refs" / "main").write_text(REV)
    return s


os.environ.update(HF_HUB_CACHE=str(hub.resolve()), HF_HUB_OFFLINE="1")
import huggingface_hub.constants as hc

hc.HF_HUB_CACHE, hc.HF_HUB_OFFLINE = str(hub.resolve()), True
import sae_lens.loading.pretrained_sae_loaders as loaders
import yaml, importlib.resources

registry = yaml.load(
    (importlib.resources.files("sae_lens") / "pretrained_saes.yaml").read_text(), Loader=yaml.CSafeLoader
)
path = lambda release, sae_id: next(str(s["path"]) for s in registry[release]["saes"] if s["id"] == sae_id)


def published(case, release, sae_id, x):
    sae = SAE.from_pretrained(release, sae_id, device="cpu")
    (out / case).mkdir()
    save_file(tensors(sae, x), out / case / "expected.safetensors")


def weights(d_in, d_sae):
    # About 60 of 24,576 features are active, as in trained SAEs: sums of thousands of terms that cancel would compare
    # rounding alone.
    if REAL:
        W_dec = torch.randn(d_sae, d_in) / d_in**0.5
        return dict(
            W_enc=W_dec.T.contiguous(), b_enc=torch.full((d_sae,), -2.8), W_dec=W_dec, b_dec=torch.randn(d_in) * 0.1
        )
    return dict(
        W_enc=torch.randn(d_in, d_sae) * 0.3,
        b_enc=torch.randn(d_sae) * 0.1,
        W_dec=torch.randn(d_sae, d_in) * 0.3,
        b_dec=torch.randn(d_in) * 0.1,
    )


def release(name, sae_id, d_sae, x):
    """The files of one SAE of a release, with the keys that its repository's files have."""
    d = x.shape[-1] * (x.shape[-2] if x.dim() == 4 else 1)
    p, loader, w = path(name, sae_id), registry[name].get("conversion_func"), weights(d, d_sae)
    snapshot = repo(registry[name]["repo_id"])
    if loader == "connor_rob_hook_z":
        (snapshot / p).parent.mkdir(parents=True, exist_ok=True)
        torch.save(w, snapshot / p)
        (snapshot / (p.split(".pt")[0] + "_cfg.json")).write_text(
            json.dumps(
                dict(
                    act_size=d,
                    dict_size=d_sae,
                    act_name=f"blocks.{sae_id.split('.')[1]}.attn.hook_z",
                    seed=49,
                    lr=0.001,
                )
            )
        )
    else:
        assert loader is None, loader
        hook = re.match(r"blocks\.\d+\.hook_(resid_pre|resid_mid|resid_post|mlp_out|attn_out)", sae_id).group()
        cfg = dict(
            model_name="gpt2-small",
            d_in=d,
            d_sae=d_sae,
            device="mps",
            dtype="torch.float32",
            context_size=64,
            hook_layer=int(hook.split(".")[1]),
            hook_head_index=None,
            lr=1e-3,
            prepend_bos=True,
            hook_name=hook,
            apply_b_dec_to_input=True,
            finetuning_scaling_factor=False,
        )
        if "-v5-" in name:  # OpenAI's: topk by the name of its activation
            cfg |= dict(
                architecture="standard",
                activation_fn_str="topk",
                activation_fn_kwargs=dict(k=min(32, d_sae // 6)),
                normalize_activations="layer_norm",
            )
        if name.endswith("-tm"):
            cfg |= dict(normalize_activations="expected_average_only_in", apply_b_dec_to_input=False)
            w |= dict(scaling_factor=torch.ones(d_sae))
        if name.startswith("gpt2-small-res-jb"):  # the oldest keys
            cfg |= dict(
                hook_point=cfg.pop("hook_name"),
                hook_point_layer=cfg.pop("hook_layer"),
                hook_point_head_index=cfg.pop("hook_head_index"),
            )
        folder = snapshot / p
        folder.mkdir(parents=True)
        save_file(w, folder / "sae_weights.safetensors")
        save_file({"sparsity": torch.log10(torch.rand(d_sae))}, folder / "sparsity.safetensors")
        (folder / "cfg.json").write_text(json.dumps(cfg))
    published(f"published_{name}", name, sae_id, x)


def real_width(name, sae_id):
    if "splitting" in name:
        return int(sae_id.rsplit("_", 1)[1])
    return {"32k": 32768, "128k": 131072, "ajt": 60 * 768}.get(name.rsplit("-", 1)[1], 24576)


torch.manual_seed(100)
for name, entry in registry.items():
    if entry["model"] != "gpt2-small":
        continue
    ids = [sae["id"] for sae in entry["saes"]]
    sae_id = ids[min(1, len(ids) - 1)]
    shape = (2, 5, 12, 64) if REAL else (2, 5, HEADS, D // HEADS)
    x = torch.randn(*shape) if "hook-z" in name else torch.randn(2, 5, shape[2] * shape[3])
    release(name, sae_id, real_width(name, sae_id) if REAL else N, x)
    (out / f"published_{name}" / "id.txt").write_text(f"{name}/{sae_id}")
if REAL:
    sys.exit()

# --- dictionary_learning's classes: no GPT-2 release has this layout, a registry of one's own can
import unittest.mock
from sae_lens.loading.pretrained_saes_directory import PretrainedSAELookup

lin = lambda: {
    "encoder.weight": torch.randn(N, D) * 0.3,
    "encoder.bias": torch.randn(N) * 0.1,
    "decoder.weight": torch.randn(D, N) * 0.3,
}
classes = {
    "AutoEncoder": lin() | {"bias": torch.randn(D) * 0.1},
    "GatedAutoEncoder": {k: v for k, v in lin().items() if k != "encoder.bias"}
    | {
        "decoder_bias": torch.randn(D) * 0.1,
        "r_mag": torch.randn(N) * 0.1,
        "gate_bias": torch.randn(N) * 0.1,
        "mag_bias": torch.randn(N) * 0.1,
    },
    "AutoEncoderTopK": lin() | {"b_dec": torch.randn(D) * 0.1, "k": torch.tensor(6), "threshold": torch.tensor(0.1)},
    "BatchTopKSAE": lin() | {"b_dec": torch.randn(D) * 0.1, "k": torch.tensor(6), "threshold": torch.tensor(0.4)},
    "JumpReluAutoEncoder": weights(D, N) | {"threshold": torch.rand(N) * 0.3},
}
s = repo("someone/dictionaries")
for name, state in classes.items():
    (s / name).mkdir()
    torch.save(state, s / name / "ae.pt")
    (s / name / "config.json").write_text(
        json.dumps(
            dict(
                trainer=dict(
                    dict_class=name, layer=1, activation_dim=D, dict_size=N, k=6, lm_name="openai-community/gpt2"
                ),
                buffer=dict(ctx_len=32),
            )
        )
    )
(out / "registry.yaml").write_text(
    yaml.safe_dump(
        {
            "dictionaries": dict(
                repo_id="someone/dictionaries",
                model="gpt2-small",
                conversion_func="dictionary_learning_1",
                saes=[dict(id=n, path=n, l0=6) for n in classes],
            )
        }
    )
)
lookup = PretrainedSAELookup(
    "dictionaries",
    "someone/dictionaries",
    "gpt2-small",
    "dictionary_learning_1",
    {n: n for n in classes},
    {},
    {},
    {n: None for n in classes},
    {},
    None,
)
from sae_lens.loading import pretrained_saes_directory as directory

directory.get_pretrained_saes_directory()["dictionaries"] = lookup
for name in classes:
    published(f"published_{name}", "dictionaries", name, torch.randn(2, 5, D))
for lock in list(hub.rglob(".locks")):
    shutil.rmtree(lock)
