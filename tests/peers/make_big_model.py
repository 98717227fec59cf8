#!/usr/bin/env python3
"""A random model of Gemma 2 2B's shape in bfloat16, and random JumpReLU SAEs of 262,144 features at its layer 12.

    python make_big_model.py FOLDER                     # 5.2 GB, and 4.8 and 2.4 GB for the SAEs
    python make_big_model.py FOLDER --features 16384    # narrower SAEs

FOLDER/model has config.json and three shards of safetensors, without a tokenizer; FOLDER/sae_float32 and
FOLDER/sae_bfloat16 are folders as SAELens saves them. W_dec is the transpose of W_enc with rows of norm 1, b_enc takes
away the mean activation of a few rows of random tokens, and one threshold leaves about L0 of the features active there.
Weights are written as they are made: 6 GB of memory.
"""

import argparse, json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

torch.set_grad_enabled(False)
LAYERS, WIDTH, MLP, HEADS, KEY_HEADS, D_HEAD, VOCABULARY = 26, 2304, 9216, 8, 4, 256, 256000
LAYER = 12
NOISE = (1 << 22) - 3  # coprime to WIDTH, so that no two rows of a weight are equal


def make_model(folder):
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(NOISE, generator=generator)

    def random(*shape, scale=0.02):
        """Numbers from one piece of noise, from another place on each time: much faster than new ones."""
        count = int(np.prod(shape))
        start = int(torch.randint(0, NOISE, (1,), generator=generator))
        values = noise.repeat((start + count) // NOISE + 1)[start : start + count]
        return (values * scale).to(torch.bfloat16).reshape(shape)

    config = dict(
        architectures=["Gemma2ForCausalLM"],
        model_type="gemma2",
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        head_dim=D_HEAD,
        max_position_embeddings=8192,
        rms_norm_eps=1e-6,
        rope_theta=10000.0,
        query_pre_attn_scalar=256,
        sliding_window=4096,
        attn_logit_softcapping=50.0,
        final_logit_softcapping=30.0,
        hidden_activation="gelu_pytorch_tanh",
        hidden_act="gelu_pytorch_tanh",
        torch_dtype="bfloat16",
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {
        "self_attn.q_proj": (HEADS * D_HEAD, WIDTH),
        "self_attn.k_proj": (KEY_HEADS * D_HEAD, WIDTH),
        "self_attn.v_proj": (KEY_HEADS * D_HEAD, WIDTH),
        "self_attn.o_proj": (WIDTH, HEADS * D_HEAD),
        "mlp.gate_proj": (MLP, WIDTH),
        "mlp.up_proj": (MLP, WIDTH),
        "mlp.down_proj": (WIDTH, MLP),
    }
    norms = ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]

    def blocks(start, end):
        tensors = {}
        for layer in range(start, end):
            at = f"model.layers.{layer}."
            for name in norms:
                tensors[f"{at}{name}.weight"] = random(WIDTH, scale=0.1)
            for name, shape in shapes.items():
                tensors[f"{at}{name}.weight"] = random(*shape)
        return tensors

    shards = [
        lambda: {"model.embed_tokens.weight": random(VOCABULARY, WIDTH)},
        lambda: blocks(0, LAYERS // 2),
        lambda: {**blocks(LAYERS // 2, LAYERS), "model.norm.weight": random(WIDTH, scale=0.1)},
    ]
    places, total = {}, 0
    for i, shard in enumerate(shards):
        tensors = shard()
        name = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        save_file(tensors, folder / name, metadata={"format": "pt"})
        places.update((key, name) for key in tensors)
        total += sum(tensor.numel() * 2 for tensor in tensors.values())
    index = dict(metadata=dict(total_size=total), weight_map=places)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def activations(folder, rows=4, context=128):
    """The residual stream after LAYER, of rows of random tokens, without their first positions."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, num_hidden_layers=LAYER + 1)
    found = []
    model.model.layers[LAYER].register_forward_hook(
        lambda module, inputs, output: found.append(output[0] if isinstance(output, tuple) else output)
    )
    tokens = torch.randint(0, 50257, (rows, context), generator=torch.Generator().manual_seed(2))
    tokens[:, 0] = 2
    model.model(tokens)
    return found[0].reshape(rows, context, WIDTH)[:, 1:].reshape(-1, WIDTH).float()


def write(path, dtype, tensors):
    """Writes tensors one after the other: a dict of a shape and a function that gives pieces in order."""
    size = torch.tensor([], dtype=dtype).element_size()
    header, end = {}, 0
    for name, (shape, _) in tensors.items():
        start, end = end, end + int(np.prod(shape)) * size
        header[name] = dict(dtype="F32" if size == 4 else "BF16", shape=list(shape), data_offsets=[start, end])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, pieces in tensors.values():
            for piece in pieces():
                piece.to(dtype).contiguous().view(torch.uint8).numpy().tofile(file)


def make_saes(folder, features, l0):
    x = activations(folder / "model")
    mean = x.mean(0)
    w_enc = torch.empty(WIDTH, features).normal_(generator=torch.Generator().manual_seed(3)).div_(WIDTH**0.5)
    b_enc = -(mean @ w_enc)
    places = [slice(at, at + 4096) for at in range(0, features, 4096)]
    # The largest of each piece are enough to find the threshold over all of them.
    count = len(x) * l0
    largest = [((x - mean) @ w_enc[:, at]).flatten().topk(count).values for at in places]
    threshold = torch.cat(largest).topk(count).values[-1].item()
    config = dict(
        architecture="jumprelu",
        d_in=WIDTH,
        d_sae=features,
        dtype="float32",
        device="cpu",
        apply_b_dec_to_input=False,
        normalize_activations="none",
        reshape_activations="none",
        metadata=dict(
            sae_lens_version="6.54.12",
            model_name="gemma-2-2b",
            hook_name=f"blocks.{LAYER}.hook_resid_post",
            context_size=128,
            prepend_bos=True,
        ),
    )
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        to = folder / f"sae_{name}"
        to.mkdir(parents=True, exist_ok=True)
        (to / "cfg.json").write_text(json.dumps(dict(config, dtype=name)))
        tensors = dict(
            W_dec=(
                (features, WIDTH),
                lambda: (torch.nn.functional.normalize(w_enc[:, at].T.contiguous(), dim=1) for at in places),
            ),
            W_enc=((WIDTH, features), lambda: (w_enc[at : at + 64] for at in range(0, WIDTH, 64))),
            b_dec=((WIDTH,), lambda: [mean]),
            b_enc=((features,), lambda: [b_enc]),
            threshold=((features,), lambda: [torch.full((features,), threshold)]),
        )
        write(to / "sae_weights.safetensors", dtype, tensors)
    print(f"threshold {threshold:.4f} of activations with a norm of {(x - mean).norm(dim=1).mean():.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", type=int, default=262144)
    parser.add_argument("--l0", type=int, default=70)
    arguments = parser.parse_args()
    if not (arguments.folder / "model" / "config.json").exists():
        make_model(arguments.folder / "model")
    make_saes(arguments.folder, arguments.features, arguments.l0)
