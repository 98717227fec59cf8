#!/usr/bin/env python3
"""Tiny random models of every family as Hugging Face saves them, and what transformers and TransformerLens make of
them.

    python tests/peers/make_families.py tests/resources/golden/families [NAME ...]
    python tests/peers/make_families.py --features tests/resources/golden/families [NAME ...]

Writes NAME/model (config.json, weights, tokenizer) and beside it
expected.safetensors: tokens and long_tokens; hf/logits and hf/long_logits of transformers; and for each VARIANT of
    processing VARIANT/long_logits (the last two positions), VARIANT/loss_per_token and all weights as
    VARIANT/weight/NAME, and for no_processing and processed also VARIANT/logits and every hook point of tokens as
    VARIANT/NAME; padded/tokens, padded/mask and padded/logits (the last position); generated (greedy, with past keys).
expected.json: the texts with tokens, offsets and decoded texts; the hook points in the order of a run; tensors that are
    equal to another one and therefore only named ("same"); the versions.
The second command reads NAME/model again and writes features.safetensors and features.json of FEATURES: decompositions,
composition scores and gradients for each VARIANT, labels, and how far bfloat16 is from float32 in either library.
TransformerLens loads such models by name only, so its configuration is derived from transformers' here; each model is
read back from its folder, and the script stops where the two libraries differ.
"""

import hashlib, json, logging, math, os, random, shutil, sys, zlib
from importlib.metadata import version
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.pretrained import weight_conversions

torch.set_grad_enabled(False)
torch.set_num_threads(1)
hf.utils.logging.disable_progress_bar()
logging.disable(logging.WARNING)  # that RMSNorm's weights are not centred
BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False)
WORDS = "the cat sat on a mat and had 12 birds while John gave Mary an apple naïve café 3.14 мир def f(x):".split()
TEXTS = ["Mary had 12 birds on the mat while John sat.", " naïve  café, Привет 今日 🙂\n\tdef f(x):", "a", ""]
SHORT, LONG = "John sat on a mat", "the birds and a cat sat on an apple while John had the mat and Mary gave a bird"
VARIANTS = {
    "no_processing": {},
    "processed": dict(fold_ln=True, center_writing_weights=True, center_unembed=True, fold_value_biases=True),
    "folded": dict(fold_ln=True),
    "centred": dict(center_writing_weights=True),
}
STEPS = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")


# Tokenizers


def corpus():
    r = random.Random(5)
    return [" ".join(r.choice(WORDS) for _ in range(r.randint(3, 12))) for _ in range(400)]


def byte_level(kind):
    """GPT-NeoX's, Llama 3's and Qwen's kinds."""
    t = Tokenizer(models.BPE(ignore_merges=kind == "llama3"))
    if kind != "llama3":
        t.normalizer = normalizers.NFC()
    if kind == "pythia":
        t.pre_tokenizer = BYTE_LEVEL
    else:
        digits = r"\p{N}{1,3}" if kind == "llama3" else r"\p{N}"
        pattern = (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
            + digits
            + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
        t.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    t.decoder, t.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=290, initial_alphabet=BYTE_LEVEL.alphabet(), show_progress=False)
    )
    special = {
        "pythia": ["<|endoftext|>", "<|padding|>"],
        "llama3": ["<|begin_of_text|>", "<|end_of_text|>"],
        "qwen": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    }[kind]
    t.add_special_tokens([AddedToken(s, special=True) for s in special])
    if kind == "pythia":
        t.add_tokens([AddedToken(" " * n, normalized=True) for n in (4, 3, 2)])
    bos = None if kind == "qwen" else special[0]
    eos = special[1] if kind == "llama3" else special[0]
    return t, dict(bos_token=bos, eos_token=eos, pad_token=None if kind == "llama3" else eos)


def byte_fallback(kind):
    """Gemma's and Llama 2's kinds: pieces with ▁ for the space, and bytes for characters without a piece."""
    gemma = kind == "gemma"
    special = ["<pad>", "<eos>", "<bos>", "<unk>"] if gemma else ["<unk>", "<s>", "</s>"]
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    learner.train_from_iterator(
        ["".join(c for c in line if ord(c) < 256) for line in corpus()],
        trainers.BpeTrainer(vocab_size=70, show_progress=False),
    )
    learned = json.loads(learner.to_str())["model"]
    pieces = special + [f"<0x{b:02X}>" for b in range(256)] + sorted(learned["vocab"], key=learned["vocab"].get)
    t = Tokenizer(
        models.BPE(
            {p: i for i, p in enumerate(pieces)},
            [tuple(m) for m in learned["merges"]],
            byte_fallback=True,
            unk_token="<unk>",
            fuse_unk=True,
        )
    )
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if gemma:
        t.normalizer = normalizers.Replace(" ", "▁")
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        parts.append(decoders.Strip(" ", 1, 0))
    t.decoder = decoders.Sequence(parts)
    t.add_special_tokens([AddedToken(s, special=True) for s in special])
    names = dict(bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    return t, names if gemma else dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def save_tokenizer(kind, folder):
    t, names = byte_fallback(kind) if kind in ("gemma", "llama2") else byte_level(kind)
    if kind in ("gemma", "llama2", "llama3"):
        bos = names["bos_token"]
        t.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, t.token_to_id(bos))]
        )
    hf.PreTrainedTokenizerFast(
        tokenizer_object=t, clean_up_tokenization_spaces=False, **{k: v for k, v in names.items() if v}
    ).save_pretrained(folder)
    return hf.AutoTokenizer.from_pretrained(folder)


# Cases: family, its tokenizer, sizes, options of transformers' configuration, and what to do to the files


def case(family, tokenizer, d_model=20, heads=4, kv=2, d_head=6, d_mlp=24, layers=2, files=None, **options):
    return dict(
        family=family,
        tokenizer=tokenizer,
        files=files or {},
        options=dict(
            hidden_size=d_model,
            num_attention_heads=heads,
            num_key_value_heads=kv,
            head_dim=d_head,
            intermediate_size=d_mlp,
            num_hidden_layers=layers,
            max_position_embeddings=64,
            **options,
        ),
    )


def neox(heads, d_head, **kw):
    return case("pythia", "pythia", d_model=heads * d_head, heads=heads, kv=heads, d_head=d_head, **kw)


LLAMA3_ROPE = dict(
    rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=48
)
LINEAR = dict(rope_type="linear", factor=8.0)
OLDER = ("dtype", "layer_types")  # keys that older versions did not write

CASES = {
    "pythia": neox(2, 8, rotary_pct=0.25),
    "pythia-half": neox(3, 8, rotary_pct=0.5, rotary_emb_base=500, files={"dtype": torch.float16}),
    "pythia-sequential": neox(2, 10, rotary_pct=1.0, use_parallel_residual=False, hidden_act="gelu_new"),
    "gemma": case(
        "gemma",
        "gemma",
        kv=1,
        hidden_activation="gelu_pytorch_tanh",
        rms_norm_eps=1e-3,
        files={"dtype": torch.bfloat16},
    ),
    "gemma-ungrouped": case("gemma", "gemma", d_model=18, heads=2, kv=2, d_head=8, rope_theta=300.0),
    "gemma2": case(
        "gemma2",
        "gemma",
        rms_norm_eps=1e-3,
        query_pre_attn_scalar=9,
        sliding_window=5,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
        layers=3,
        files={"drop": OLDER},
    ),
    "gemma2-uncapped": case(
        "gemma2",
        "gemma",
        d_model=16,
        d_head=10,
        kv=4,
        query_pre_attn_scalar=10,
        sliding_window=4096,
        attn_logit_softcapping=None,
        final_logit_softcapping=None,
        files={"shards": "12KB"},
    ),
    "gemma3": case(
        "gemma3",
        "gemma",
        d_model=16,
        kv=1,
        d_head=4,
        d_mlp=20,
        layers=4,
        rms_norm_eps=1e-3,
        query_pre_attn_scalar=4,
        rope_theta=3000.0,
        sliding_window=5,
        sliding_window_pattern=3,
        rope_local_base_freq=100.0,
        files={"drop": OLDER},
    ),
    "gemma3-multimodal": case(
        "gemma3",
        "gemma",
        d_model=16,
        layers=3,
        query_pre_attn_scalar=11,
        rope_theta=8000.0,
        sliding_window=6,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_scaling=LINEAR,
        files={"wrapper": "language_model.model."},
    ),
    "gemma3-multimodal-newer": case(
        "gemma3",
        "gemma",
        d_model=16,
        heads=3,
        kv=3,
        query_pre_attn_scalar=6,
        sliding_window=5,
        layer_types=["full_attention", "sliding_attention"],
        rope_scaling=LINEAR,
        files={"wrapper": "model.language_model.", "dtype": torch.bfloat16},
    ),
    "llama2": case("llama", "llama2", d_model=16, kv=4, d_head=4, rms_norm_eps=1e-5, files={"drop": ("head_dim",)}),
    "llama2-biases": case("llama", "llama2", kv=2, attention_bias=True, tie_word_embeddings=True),
    "llama-linear": case("llama", "llama2", kv=1, rope_scaling=dict(type="linear", factor=4.0), layers=1),
    "llama3": case(
        "llama",
        "llama3",
        d_head=10,
        rope_theta=5000.0,
        rope_scaling=LLAMA3_ROPE,
        tie_word_embeddings=True,
        files={"shards": "12KB"},
    ),
    "llama3-untied": case("llama", "llama3", d_model=16, heads=4, kv=1, d_head=4, rope_theta=500000.0, layers=3),
    "mistral": case("mistral", "llama2", sliding_window=5),
    "mistral-global": case("mistral", "llama2", d_model=16, heads=2, kv=2, d_head=10, sliding_window=None),
    "qwen2": case("qwen2", "qwen", d_model=24, rope_theta=1e6, tie_word_embeddings=True),
    "qwen2-untied": case(
        "qwen2", "qwen", d_model=16, heads=2, kv=1, d_head=8, layers=3, files={"dtype": torch.bfloat16}
    ),
    "qwen3": case("qwen3", "qwen", d_head=8, rope_theta=1e6, tie_word_embeddings=True),
    "qwen3-ungrouped": case("qwen3", "qwen", d_model=16, heads=3, kv=3, d_head=8, attention_bias=True),
}
CLASSES = {
    "pythia": (hf.GPTNeoXConfig, hf.GPTNeoXForCausalLM, weight_conversions.convert_neox_weights),
    "gemma": (hf.GemmaConfig, hf.GemmaForCausalLM, weight_conversions.convert_gemma_weights),
    "gemma2": (hf.Gemma2Config, hf.Gemma2ForCausalLM, weight_conversions.convert_gemma_weights),
    "gemma3": (hf.Gemma3TextConfig, hf.Gemma3ForCausalLM, weight_conversions.convert_gemma_weights),
    "llama": (hf.LlamaConfig, hf.LlamaForCausalLM, weight_conversions.convert_llama_weights),
    "mistral": (hf.MistralConfig, hf.MistralForCausalLM, weight_conversions.convert_mistral_weights),
    "qwen2": (hf.Qwen2Config, hf.Qwen2ForCausalLM, weight_conversions.convert_qwen2_weights),
    "qwen3": (hf.Qwen3Config, hf.Qwen3ForCausalLM, weight_conversions.convert_qwen3_weights),
}


# Models of transformers


def random_model(spec, tok):
    config_class, model_class, _ = CLASSES[spec["family"]]
    options = dict(spec["options"])
    if spec["family"] in ("pythia", "qwen2"):
        assert options.pop("head_dim") * options["num_attention_heads"] == options["hidden_size"]
    if spec["family"] == "pythia":
        options.pop("num_key_value_heads")
    # Real matrices have more rows than their tokenizer has tokens.
    options.update(vocab_size=len(tok) + 3, bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id)
    config = config_class(**options)
    if "wrapper" in spec["files"]:
        vision = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
        config = hf.Gemma3Config(
            text_config=config.to_dict(), vision_config=dict(vision, image_size=8, patch_size=4), mm_tokens_per_image=1
        )
        model_class = hf.Gemma3ForConditionalGeneration
    model = model_class(config)
    for name, p in model.named_parameters():
        p.copy_(torch.randn_like(p) * 0.3)
        if "norm" in name and name.endswith("weight") and "gemma" not in spec["family"]:
            p.add_(1.0)
    return model


def save_model(model, spec, folder):
    files = spec["files"]
    model = model.to(files.get("dtype", torch.float32))
    model.save_pretrained(folder, max_shard_size=files.get("shards", "5GB"))
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key in files.get("drop", ()):
        config.pop(key, None)
    path.write_text(json.dumps(config, indent=2) + "\n")
    if "wrapper" in files:
        path = folder / "model.safetensors"
        # A prefix of the hub's older files, and the one that transformers itself has since.
        prefixes = ("language_model.model.", "model.language_model.")
        tensors = {}
        for name, tensor in load_file(path).items():
            for prefix in prefixes:
                if name.startswith(prefix):
                    name = files["wrapper"] + name[len(prefix) :]
            tensors[name] = tensor
        assert sum(name.startswith(files["wrapper"]) for name in tensors) > 10
        save_file(tensors, path, {"format": "pt"})


def reload(spec, folder):
    if "wrapper" in spec["files"]:
        model_class = hf.Gemma3ForConditionalGeneration
    else:
        model_class = hf.AutoModelForCausalLM
    return model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


# TransformerLens


def rope(c):
    scaling = getattr(c, "rope_scaling", None) or {}
    return scaling.get("rope_type", scaling.get("type", "default")), scaling


def lens_config(family, c, architecture):
    heads = c.num_attention_heads
    d_head = getattr(c, "head_dim", None) or c.hidden_size // heads
    cfg = dict(
        d_model=c.hidden_size,
        n_layers=c.num_hidden_layers,
        n_heads=heads,
        d_head=d_head,
        d_mlp=c.intermediate_size,
        n_ctx=c.max_position_embeddings,
        d_vocab=c.vocab_size,
        positional_embedding_type="rotary",
        original_architecture=architecture,
        model_name=family,
        default_prepend_bos=not family.startswith("qwen"),
        device="cpu",
        init_weights=False,
    )
    if family == "pythia":
        return cfg | dict(
            normalization_type="LN",
            eps=c.layer_norm_eps,
            act_fn=c.hidden_act,
            rotary_dim=round(c.rotary_pct * d_head),
            rotary_base=c.rotary_emb_base,
            parallel_attn_mlp=c.use_parallel_residual,
        )
    kv = c.num_key_value_heads
    cfg |= dict(
        normalization_type="RMS",
        final_rms=True,
        gated_mlp=True,
        eps=c.rms_norm_eps,
        act_fn="gelu_pytorch_tanh" if "gemma" in family else c.hidden_act,
        rotary_base=c.rope_theta,
        n_key_value_heads=None if family in ("llama", "qwen3") and kv == heads else kv,
        use_qk_norm=family in ("gemma3", "qwen3"),
    )
    if family in ("gemma2", "gemma3"):
        cfg |= dict(
            attn_scale=math.sqrt(c.query_pre_attn_scalar),
            use_normalization_before_and_after=True,
            attn_scores_soft_cap=c.attn_logit_softcapping or -1.0,
            output_logits_soft_cap=c.final_logit_softcapping or -1.0,
            attn_types=["local" if kind == "sliding_attention" else "global" for kind in c.layer_types],
            window_size=c.sliding_window,
            use_local_attn=True,
        )
    if family == "gemma3":
        cfg |= dict(rotary_base_local=c.rope_local_base_freq)
    if family == "mistral" and c.sliding_window:
        cfg |= dict(attn_types=["local"] * c.num_hidden_layers, window_size=c.sliding_window, use_local_attn=True)
    kind, scaling = rope(c)
    if kind == "llama3":
        cfg |= dict(
            use_NTK_by_parts_rope=True,
            NTK_by_parts_factor=scaling["factor"],
            NTK_by_parts_low_freq_factor=scaling["low_freq_factor"],
            NTK_by_parts_high_freq_factor=scaling["high_freq_factor"],
            NTK_original_ctx_len=scaling["original_max_position_embeddings"],
        )
    return cfg


def converted(spec, model, cfg):
    state = CLASSES[spec["family"]][2](model, cfg)
    if getattr(model.config, "attention_bias", False) and spec["family"] in ("llama", "qwen3"):
        # TransformerLens has the parameters and leaves them zero.
        _ = "" if cfg.n_key_value_heads is None else "_"
        for l, layer in enumerate(model.model.layers):
            a = layer.self_attn
            for name, bias in (("b_Q", a.q_proj.bias), (f"{_}b_K", a.k_proj.bias), (f"{_}b_V", a.v_proj.bias)):
                state[f"blocks.{l}.attn.{name}"] = bias.reshape(-1, cfg.d_head)
            state[f"blocks.{l}.attn.b_O"] = a.o_proj.bias
    return {k: v.clone() for k, v in state.items()}


def scale_rotary(lens, factor):
    """Linear scaling, which TransformerLens lacks: its tables with frequencies divided, except in local layers."""
    for block in lens.blocks:
        a, cfg = block.attn, lens.cfg
        if a.attn_type == "local":
            continue
        freq = cfg.rotary_base ** (torch.arange(cfg.rotary_dim // 2) / (cfg.rotary_dim / 2)) * factor
        angles = torch.arange(cfg.n_ctx)[:, None] / torch.cat([freq, freq])[None, :]
        a.rotary_sin, a.rotary_cos = torch.sin(angles), torch.cos(angles)


def lens_model(spec, model, tok, steps, dtype=torch.float32):
    text = model.config.get_text_config()
    cfg = lens_config(spec["family"], text, type(model).__name__) | dict(dtype=dtype)
    if steps.get("fold_ln"):
        cfg["normalization_type"] += "Pre"
    cfg = HookedTransformerConfig.from_dict(cfg)
    lens = HookedTransformer(cfg, tokenizer=tok, move_to_device=False)
    kind, scaling = rope(text)
    steps = {step: steps.get(step, False) for step in STEPS}
    if cfg.output_logits_soft_cap > 0:  # from_pretrained skips it there
        steps["center_unembed"] = False
    lens.load_and_process_state_dict(converted(spec, model, cfg), **steps)
    if kind == "linear":
        scale_rotary(lens, scaling["factor"])
    return lens.eval()


# What to write


def tokens_of(text, tok, lens):
    e = tok(text, return_offsets_mapping=True)
    ids = e["input_ids"]

    def to_tokens(prepend_bos):
        # An empty text without tokens gives TransformerLens a tensor of floats.
        return [int(i) for i in lens.to_tokens(text, prepend_bos=prepend_bos)[0]]

    return dict(
        text=text,
        ids=ids,
        offsets=e["offset_mapping"],
        tokens=tok.convert_ids_to_tokens(ids),
        plain_ids=tok(text, add_special_tokens=False)["input_ids"],
        decoded=tok.decode(ids),
        decoded_without_special=tok.decode(ids, skip_special_tokens=True),
        with_bos=to_tokens(True),
        without_bos=to_tokens(False),
        default=to_tokens(None),
    )


def left_padded(tok, lens):
    rows = [lens.to_tokens(text, prepend_bos=True)[0] for text in (SHORT, "a cat")]
    width = max(map(len, rows))
    tokens = torch.stack(
        [torch.cat([row.new_full((width - len(row),), lens.tokenizer.pad_token_id), row]) for row in rows]
    )
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return tokens, mask


def close(a, b, what):
    difference = ((a - b).abs().max() / b.abs().max()).item()
    assert difference < 1e-5, f"{what}: {difference}"
    return difference


def make(name, spec, out):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "model").mkdir(parents=True)
    torch.manual_seed(zlib.crc32(name.encode()))
    tok = save_tokenizer(spec["tokenizer"], folder / "model")
    save_model(random_model(spec, tok), spec, folder / "model")
    model = reload(spec, folder / "model")
    tensors, info, worst = {}, {}, 0.0
    norm = "LN" if spec["family"] == "pythia" else "RMS"
    for variant, steps in VARIANTS.items():
        if variant == "centred" and norm == "RMS":
            continue
        lens = lens_model(spec, model, tok, steps)
        if variant == "no_processing":
            tokens, long_tokens = lens.to_tokens(SHORT), lens.to_tokens(LONG)
            tensors |= {"tokens": tokens, "long_tokens": long_tokens}
            tensors |= {"hf/logits": model(tokens).logits, "hf/long_logits": model(long_tokens).logits[:, -2:]}
            info["texts"] = [tokens_of(text, tok, lens) for text in TEXTS]
            padded, mask = left_padded(tok, lens)
            last = lens(padded, attention_mask=mask)[:, -1]
            tensors |= {"padded/tokens": padded, "padded/mask": mask, "padded/logits": last}
            close(last, model(padded, attention_mask=mask).logits[:, -1], f"{name}: padded")
            tensors["generated"] = lens.generate(
                tokens, max_new_tokens=6, do_sample=False, stop_at_eos=False, verbose=False
            )
        parts = ["long_logits"]
        if variant in ("no_processing", "processed"):
            tensors[f"{variant}/logits"], cache = lens.run_with_cache(tokens)
            tensors |= {f"{variant}/{point}": value for point, value in cache.items()}
            info[f"{variant}/hooks"] = list(cache.keys())
            parts.append("logits")
        tensors[f"{variant}/long_logits"] = lens(long_tokens)[:, -2:]
        tensors[f"{variant}/loss_per_token"] = lens(tokens, return_type="loss", loss_per_token=True)
        weights = {k: v for k, v in lens.state_dict().items() if k.split(".")[-1][0] in "_WbBw"}
        tensors |= {f"{variant}/weight/{k}": v for k, v in weights.items()}
        info[f"{variant}/weights"] = list(weights)
        # Centring the unembedding adds a constant to the logits of a position.
        for part in parts:
            ours, theirs = tensors[f"{variant}/{part}"], tensors[f"hf/{part}"]
            shift = (ours - theirs).mean(-1, keepdim=True) if variant == "processed" else 0
            worst = max(worst, close(ours - shift, theirs, f"{name}: {variant}/{part}"))
    stored, same = {}, {}
    for key, tensor in tensors.items():
        tensor = tensor.contiguous()
        digest = hashlib.sha256(f"{tensor.shape}{tensor.dtype}".encode() + tensor.numpy().tobytes()).digest()
        first = stored.setdefault(digest, (key, tensor))[0]
        if first != key:
            same[key] = first
    packages = ("transformers", "tokenizers", "torch", "transformer-lens")
    info |= dict(same=same, versions={package: version(package) for package in packages})
    # A tensor with memory of its own: safetensors refuses shared memory.
    save_file({key: tensor.clone() for key, tensor in stored.values()}, folder / "expected.safetensors")
    (folder / "expected.json").write_text(json.dumps(info, ensure_ascii=False, separators=(",", ":")) + "\n")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name}: {size // 1024} kB, {len(tokens[0])} tokens, at most {worst:.1g} of the largest logit apart")


# What the rest of TransformerLens makes of them

FEATURES = ["pythia", "pythia-sequential", "gemma2", "gemma3", "llama2-biases", "llama3", "mistral", "qwen2", "qwen3"]


def decompositions(lens, tokens, labels):
    """Those that TransformerLens computes; it has no heads behind a norm, and no resid_mid of parallel blocks."""
    _, cache = lens.run_with_cache(tokens)
    parallel, after = lens.cfg.parallel_attn_mlp, lens.cfg.use_normalization_before_and_after
    found = {}
    found["decompose"] = cache.decompose_resid(apply_ln=True, return_labels=True)
    found["decompose_1"] = cache.decompose_resid(1, apply_ln=True, return_labels=True)
    states, names = cache.accumulated_resid(incl_mid=not parallel, return_labels=True)
    found["accumulated"] = cache.apply_ln_to_stack(states), names
    found["lens"] = cache.apply_ln_to_stack(states, recompute_ln=True), names
    if not after:
        found["heads"] = cache.stack_head_results(incl_remainder=True, apply_ln=True, return_labels=True)
        found["full"] = cache.get_full_resid_decomposition(expand_neurons=False, apply_ln=True, return_labels=True)
    labels |= {name: list(map(str, value[1])) for name, value in found.items()}
    found = {name: value[0][..., -2:, :] for name, value in found.items()}
    answers = torch.tensor([[5, 6]])
    parts = cache.decompose_resid(pos_slice=(-2, None))
    wrong = torch.tensor([[7, 8]])
    found["attributions"] = cache.logit_attrs(parts, answers, pos_slice=(-2, None), incorrect_tokens=wrong)
    found |= {f"composition_{mode}": lens.all_composition_scores(mode) for mode in "QKV"}
    return found


def gradients(lens, tokens):
    """Of the mean loss, at the hook points outside of blocks and in the first."""
    found = {}

    def keep(gradient, hook):
        # ln1 runs three times, for queries, keys and values.
        found[hook.name] = found.get(hook.name, 0) + gradient.detach()

    names = [n for n in lens.hook_dict if not n.startswith("blocks.") or n.startswith("blocks.0.")]
    with torch.enable_grad(), lens.hooks(bwd_hooks=[(name, keep) for name in names]):
        lens(tokens, return_type="loss").backward()
    return {f"gradient/{name}": value for name, value in found.items()}


def features(name, spec, out):
    folder = out / name
    tok = hf.AutoTokenizer.from_pretrained(folder / "model")
    model = reload(spec, folder / "model")
    tensors = load_file(folder / "expected.safetensors")
    tokens, long_tokens = tensors["tokens"], tensors["long_tokens"]
    stored, info = {}, {}
    for variant in ("no_processing", "processed"):
        lens = lens_model(spec, model, tok, VARIANTS[variant])
        found = decompositions(lens, tokens, info.setdefault("labels", {}))
        if variant == "processed":
            found |= gradients(lens, tokens)
            exact = lens(long_tokens)
        stored |= {f"{variant}/{key}": value.detach().contiguous().clone() for key, value in found.items()}

    def error(logits, of):
        return ((logits.float() - of).abs().max() / of.abs().max()).item()

    theirs = model(long_tokens).logits
    half = model.to(torch.bfloat16)
    lens = lens_model(spec, half, tok, VARIANTS["processed"], dtype=torch.bfloat16)
    info["bfloat16"] = dict(
        transformer_lens=error(lens(long_tokens), exact), transformers=error(half(long_tokens).logits, theirs)
    )
    save_file(stored, folder / "features.safetensors")
    (folder / "features.json").write_text(json.dumps(info, separators=(",", ":")) + "\n")
    print(name, info["bfloat16"])


if sys.argv[1] == "--features":
    for name in sys.argv[3:] or FEATURES:
        features(name, CASES[name], Path(sys.argv[2]))
else:
    for name in sys.argv[2:] or CASES:
        make(name, CASES[name], Path(sys.argv[1]))
