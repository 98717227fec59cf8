#!/usr/bin/env python3
"""Writes the list of models that the jar carries, from the installed TransformerLens and the SAE registry.

    python make_models.py > src/main/resources/io/github/panascope/families/models.json

Each model: name (TransformerLens's official name, which is the id on the hub unless "hub" is null), aliases, family
(the model_type of its config.json; "gemma3" also for the text models) or not_supported (what it has that is not),
default_prepend_bos if it is false, and n_ctx where TransformerLens does not take it from the config.json. Names and
aliases are unique without regard to case, as TransformerLens looks them up.
Models of the registry that TransformerLens lacks are added ("added"), with the defaults that TransformerLens has for
their family.
"""

import json, os
from importlib.metadata import version
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

from transformer_lens import loading_from_pretrained as loading

REGISTRY = Path(__file__).resolve().parents[2] / "src/main/resources/io/github/panascope/hub/pretrained_saes.json"
FAMILIES = {
    "GPT2LMHeadModel": "gpt2",
    "GPTNeoXForCausalLM": "gpt_neox",
    "GemmaForCausalLM": "gemma",
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3",
    "Gemma3ForConditionalGeneration": "gemma3",
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
NOT_SUPPORTED = {
    "ApertusForCausalLM": "an activation function with parameters",
    "BertForMaskedLM": "an encoder",
    "BloomForCausalLM": "ALiBi positions",
    "GPT2LMHeadCustomModel": "multi-query attention of its own layout",
    "GPTJForCausalLM": "rotation of adjacent pairs",
    "GPTNeoForCausalLM": "local attention of its own kind",
    "GptOssForCausalLM": "a mixture of experts and attention sinks",
    "HookedTransformer": "a format of TransformerLens's own",
    "HubertModel": "an encoder of audio",
    "MixtralForCausalLM": "a mixture of experts",
    "OPTForCausalLM": "a layout of its own",
    "Phi3ForCausalLM": "a layout of its own",
    "PhiForCausalLM": "a layout of its own",
    "QWenLMHeadModel": "Qwen 1's own layout of the weights",
    "Qwen3MoeForCausalLM": "a mixture of experts",
    "Qwen3_5ForCausalLM": "linear attention",
    "Qwen3_5MoeForCausalLM": "linear attention and a mixture of experts",
    "T5ForConditionalGeneration": "an encoder",
}
# TransformerLens reads the architecture from the model's config.json, except those of Llama and Gemma, where it takes
# gemma-2b for a Gemma 2. The first prefix of a name counts.
ARCHITECTURES = {
    "01-ai/Yi-": "LlamaForCausalLM",
    "ArthurConmy/": "HookedTransformer",
    "Baidicoot/": "HookedTransformer",
    "EleutherAI/gpt-j": "GPTJForCausalLM",
    "EleutherAI/gpt-neo-": "GPTNeoForCausalLM",
    "EleutherAI/gpt-neox": "GPTNeoXForCausalLM",
    "EleutherAI/pythia": "GPTNeoXForCausalLM",
    "NeelNanda/": "HookedTransformer",
    "Qwen/QwQ-32B-Preview": "Qwen2ForCausalLM",
    "Qwen/Qwen-": "QWenLMHeadModel",
    "Qwen/Qwen1.5-": "Qwen2ForCausalLM",
    "Qwen/Qwen2-": "Qwen2ForCausalLM",
    "Qwen/Qwen2.5-": "Qwen2ForCausalLM",
    "Qwen/Qwen3-30B-A3B": "Qwen3MoeForCausalLM",
    "Qwen/Qwen3-": "Qwen3ForCausalLM",
    "Qwen/Qwen3.5-35B-A3B": "Qwen3_5MoeForCausalLM",
    "Qwen/Qwen3.5-": "Qwen3_5ForCausalLM",
    "ai-forever/mGPT": "GPT2LMHeadModel",
    "bigcode/santacoder": "GPT2LMHeadCustomModel",
    "bigscience/bloom": "BloomForCausalLM",
    "deepseek-ai/DeepSeek-R1-Distill-Llama-": "LlamaForCausalLM",
    "distilgpt2": "GPT2LMHeadModel",
    "facebook/hubert": "HubertModel",
    "facebook/opt": "OPTForCausalLM",
    "facebook/wav2vec2": "HubertModel",
    "google-bert/": "BertForMaskedLM",
    "google-t5/": "T5ForConditionalGeneration",
    "google/gemma-2b": "GemmaForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "microsoft/Phi-3": "Phi3ForCausalLM",
    "microsoft/phi-4": "Phi3ForCausalLM",
    "microsoft/phi-": "PhiForCausalLM",
    "mistralai/Mistral-": "MistralForCausalLM",
    "mistralai/Mixtral-": "MixtralForCausalLM",
    "openai/gpt-oss": "GptOssForCausalLM",
    "roneneldan/TinyStories": "GPTNeoForCausalLM",
    "stabilityai/stablelm-base-alpha": "GPTNeoXForCausalLM",
    "stabilityai/stablelm-tuned-alpha": "GPTNeoXForCausalLM",
    "stanford-crfm/": "GPT2LMHeadModel",
    "swiss-ai/Apertus": "ApertusForCausalLM",
}
FROM_CONFIG = 1_000_003  # what TransformerLens gives back as n_ctx where it reads it


class Config:
    """A config.json of which only the architecture and the longest context are told apart."""

    def __init__(self, architecture):
        self.architectures = [architecture]
        self.rope_scaling = None
        self.max_position_embeddings = self.n_ctx = self.n_positions = self.max_length = FROM_CONFIG

    def __getattr__(self, key):
        return 8


def model(name, known):
    architecture = next((a for prefix, a in ARCHITECTURES.items() if name.startswith(prefix)), None)
    settings = {}
    if architecture != "HookedTransformer" and known:
        loading.AutoConfig.from_pretrained = lambda *_, **__: Config(architecture)
        settings = loading.convert_hf_model_config(name)
        architecture = architecture or settings["original_architecture"]
    elif architecture and architecture.startswith("Qwen"):
        settings = {"default_prepend_bos": False, "n_ctx": 2048}
    aliases = {alias.lower() for alias in loading.MODEL_ALIASES.get(name, [])} - {name.lower()}
    entry = {"name": name, "aliases": aliases}
    if name in loading.NON_HF_HOSTED_MODEL_NAMES:
        entry["hub"] = None
    if architecture in FAMILIES:
        entry["family"] = FAMILIES[architecture]
        if not settings.get("default_prepend_bos", True):
            entry["default_prepend_bos"] = False
        if settings.get("n_ctx", FROM_CONFIG) != FROM_CONFIG:
            entry["n_ctx"] = settings["n_ctx"]
    else:
        entry["not_supported"] = NOT_SUPPORTED[architecture]
    return entry


releases = json.loads(REGISTRY.read_text())["releases"].values()
official = list(loading.OFFICIAL_MODEL_NAMES)
known = loading.make_model_alias_map()
added = sorted({release["model"] for release in releases if release["model"].lower() not in known})
models = {name: model(name, True) for name in official} | {name: model(name, False) for name in added}
# TransformerLens lists other aliases of these twice.
for size, letter, name in [
    ("small", "b", "battlestar-gpt2-small-x49"),
    ("small", "d", "darkmatter-gpt2-small-x343"),
    ("small", "e", "expanse-gpt2-small-x777"),
    ("medium", "c", "celebrimbor-gpt2-medium-x81"),
]:
    models[f"stanford-crfm/{name}"]["aliases"].add(f"gpt2-stanford-{size}-{letter}")
# What SAELens makes of the names in SAEs that dictionary_learning trained.
models["meta-llama/Llama-3.1-8B-Instruct"]["aliases"].add("llama-3.1-8b-instruct")
names = [alias.lower() for name, entry in models.items() for alias in (name, *entry["aliases"])]
assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
assert set(known) <= set(names)
lines = []
for name in sorted(models, key=str.lower):
    entry = models[name]
    entry["aliases"] = sorted(entry["aliases"])
    if not entry["aliases"]:
        del entry["aliases"]
    lines.append(json.dumps(entry))
about = {"transformer_lens": version("transformer-lens"), "sae_lens": version("sae-lens"), "added": added}
print('{"about": ' + json.dumps(about) + ',\n"models": [\n' + ",\n".join(lines) + "\n]}")
