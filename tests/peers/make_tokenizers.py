"""Small tokenizers of all kinds, and what Hugging Face's tokenizers makes of texts with them:
tests/resources/golden/tokenizers/pipelines.json.

    python tests/peers/make_tokenizers.py [--seed N] [--random COUNT] [--texts COUNT] [--out FILE]

Made with tokenizers 0.22.2. Without options it writes the golden file. With --random it also makes tokenizers of random
steps, for an opt-in run: -Dpanascope.tokenizers=FILE.
"""

import argparse
import json
import pathlib
import random

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=7)
parser.add_argument("--random", type=int, default=0)
parser.add_argument("--texts", type=int, default=12)
OUT = pathlib.Path(__file__).resolve().parent.parent / "resources/golden/tokenizers/pipelines.json"
parser.add_argument("--out", default=str(OUT))
options = parser.parse_args()
r = random.Random(options.seed)

WORDS = (
    "the cat sat on a mat and looked at birds while John gave Mary an apple it's naïve café 12345 3.14 "
    "Привет мир 今日は 🙂🚀 def f(x): return We'LL DON'T ½ ²³ Ⅷ ﬁ Å ạ̈ ắ 각 한국 हिन्दी foo_bar ſ İstanbul ÀÉ"
).split(" ")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT4 = ENDINGS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = GPT4.replace("{1,3}", "")
TIKTOKEN = (
    ENDINGS + r"|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
CASES = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + ENDINGS + "?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + ENDINGS + "?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = [GPT2, GPT4, QWEN, TIKTOKEN, CASES, DEEPSEEK, r"\s+", r"\w+", r"[^\W_]+", r"\d", r"\p{N}{1,2}", r"a*", r""]
PATTERNS += [r"[a-c\d_-]+", r"\b", r"^.", r".$", r"(?i:the|ſ|k)", r"(?m:a.b)|x", r"\p{Han}+|\p{Hiragana}+"]
PATTERNS += [r"(a|b|\s)+", r"[\x{4e00}-\x{9fff}]", r"\h+", r"(?<=a)t|t(?=h)", r"(?:ab?){1,2}+", r"t{2}?", r"\p{^L}+"]
PATTERNS += [r"\P{L}", r"[\s\p{P}]", r"[^\S\n]+", r" {2,}", r"(?i)CAT|dog", r"x(?i)y|z", r"\p{Alpha}+", r"\n|\r\n?"]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
RARE = [0x323, 0x302, 0x301, 0x308, 0x327, 0x344, 0x345, 0x340, 0xFB1D, 0x1FCD, 0xAC01, 0x1100, 0x1161, 0x11A8]
RARE += [0x1E9B, 0xFB01, 0x2126, 0x212B, 0x958, 0xF900, 0x1D15E, 0x2F800, 0x9C7, 0x9BE, 0xDD2, 0xF71, 0xF72, 0x3099]
RARE += [0x304B, 0x11131, 0x11127, 0x1E0A, 0x1F82, 0x130, 0x131, 0x1FBF0, 0x113C5, 0x16D68, 0x7FD, 0x11DE0, 0x10D6E]
MARKS = "\u0301\u0323\u0302\u0308\u0327\u0345\u093c\u3099\u1161\u11a8\U0001d165"
FAMILIES = ["👨‍👩‍👧", "🏳️‍🌈", "é", "e\u0301", "'ſ", "'S", "'Ll", "'rE"]
FAMILIES += ["\ufffd", "<0x0A>", "<unk>", "</s>", "İ"]
ADDED = ["<s>", "</s>", "<|endoftext|>", "  ", "    ", "\n\n", "<mask>", "cat", "the", " mat", "é", "e\u0301", "Ａ"]
ADDED += ["ab", "A", "<unk>", "▁▁", "12", "İ", "🙂"]


def character():
    k = r.random()
    if k < 0.3:
        return chr(r.randrange(32, 127))
    if k < 0.4:
        return r.choice(" \n\t\r\u00a0\u2003\u3000\u0085\u200b\u2028\u1680\u202f")
    if k < 0.55:
        return chr(r.choice(RARE + [r.randrange(0x300, 0x370)]))
    if k < 0.7:
        return chr(r.randrange(0x80, 0x600))
    if k < 0.85:
        return chr(r.choice([r.randrange(0x600, 0xD800), r.randrange(0xE000, 0x10000)]))
    return chr(r.choice([r.randrange(0x10000, 0x12000), r.randrange(0x10000, 0x32000), r.randrange(0x1D000, 0x20000)]))


def text(added):
    made = ""
    for _ in range(r.randrange(0, 14)):
        k = r.random()
        if k < 0.4:
            made += r.choice(["", " ", " ", "  "]) + r.choice(WORDS)
        elif k < 0.6:
            made += character()
        elif k < 0.7 and added:
            made += r.choice(["", " ", "x", "\n "]) + r.choice(added) + r.choice(["", " ", "x", " \n"])
        elif k < 0.8:
            made += r.choice(" \n\t▁0aA'") * r.randrange(1, 7)
        elif k < 0.9:
            made += r.choice("aeoAE\u0915\u1100가") + "".join(r.choice(MARKS) for _ in range(r.randrange(1, 5)))
        else:
            made += r.choice(FAMILIES)
    return made


def random_normalizer(depth=0):
    made = [
        lambda: {"type": r.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"])},
        lambda: {"type": "Strip", "strip_left": r.random() < 0.5, "strip_right": r.random() < 0.5},
        lambda: {"type": "Prepend", "prepend": r.choice(["▁", " ", "ab"])},
        lambda: {"type": "Replace", "pattern": {"String": r.choice([" ", "a", "  "])}, "content": r.choice("▁x ")},
        lambda: {
            "type": "Replace",
            "pattern": {"Regex": r.choice([r"\s+", r" {2,}", r"\d", r"[aeiou]", r"(?=t)", r"\p{M}"])},
            "content": r.choice(["▁", "", "xy", " "]),
        },
        lambda: {"type": "Sequence", "normalizers": [random_normalizer(1) for _ in range(r.randrange(0, 4))]},
    ]
    return r.choice(made[: len(made) - depth])()


def split(pattern, behavior="isolated", invert=False):
    name = "".join(part.title() for part in behavior.split("_"))
    return {"type": "Split", "pattern": pattern, "behavior": name, "invert": invert}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def metaspace(scheme, pieces=True, sign="▁"):
    return {"type": "Metaspace", "replacement": sign, "prepend_scheme": scheme, "split": pieces}


def random_splitter(depth=0):
    made = [
        lambda: byte_level(r.random() < 0.5, r.random() < 0.6),
        lambda: split({"Regex": r.choice(PATTERNS)}, r.choice(BEHAVIORS), r.random() < 0.3),
        lambda: split({"Regex": r.choice(PATTERNS)}, r.choice(BEHAVIORS), r.random() < 0.3),
        lambda: split({"String": r.choice([" ", "a", "th", "  "])}, r.choice(BEHAVIORS), r.random() < 0.3),
        lambda: metaspace(r.choice(["always", "first", "never"]), r.random() < 0.6, r.choice("▁▁_")),
        lambda: {"type": "Digits", "individual_digits": r.random() < 0.5},
        lambda: {"type": "Punctuation", "behavior": split("", r.choice(BEHAVIORS))["behavior"]},
        lambda: {"type": r.choice(["Whitespace", "WhitespaceSplit"])},
        lambda: {"type": "Sequence", "pretokenizers": [random_splitter(1) for _ in range(r.randrange(1, 4))]},
    ]
    return r.choice(made[: len(made) - depth])()


def random_decoder(depth=0):
    made = [
        lambda: byte_level(),
        lambda: {"type": "Replace", "pattern": r.choice([{"String": "▁"}, {"Regex": r"\s+"}]), "content": " "},
        lambda: {"type": r.choice(["ByteFallback", "Fuse"])},
        lambda: {"type": "Strip", "content": r.choice(" ▁a"), "start": r.randrange(3), "stop": 0},
        lambda: metaspace(r.choice(["always", "first", "never"])),
        lambda: {"type": "Sequence", "decoders": [random_decoder(1) for _ in range(r.randrange(1, 4))]},
    ]
    return r.choice(made[: len(made) - depth])()


def sequence(key, *steps):
    return {"type": "Sequence", key: list(steps)}


def steps_of(name):
    """The steps of the families, and of each other step by itself."""
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    llama = sequence("decoders", back, {"type": "ByteFallback"}, {"type": "Fuse"}, {
        "type": "Strip", "content": " ", "start": 1, "stop": 0})  # fmt: skip
    gemma = sequence("decoders", back, {"type": "ByteFallback"}, {"type": "Fuse"})
    nfc = {"type": "NFC"}
    digits = {"type": "Digits", "individual_digits": True}
    letters = byte_level(regex=False)
    prepend = sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, spaces)
    known = {
        "gpt2": (None, byte_level(), byte_level()),
        "gpt2 with a space": (None, byte_level(prefix=True), byte_level()),
        "pythia": (nfc, byte_level(), byte_level()),
        "llama3": (None, sequence("pretokenizers", split({"Regex": GPT4}), letters), byte_level()),
        "qwen": (nfc, sequence("pretokenizers", split({"Regex": QWEN}), letters), byte_level()),
        "tiktoken": (None, sequence("pretokenizers", split({"Regex": TIKTOKEN}, "removed", True), letters), letters),
        "cases": (None, sequence("pretokenizers", split({"Regex": CASES}), letters), byte_level()),
        "deepseek": (None, sequence("pretokenizers", split({"Regex": DEEPSEEK}), letters), byte_level()),
        "starcoder": (None, sequence("pretokenizers", digits, byte_level()), byte_level()),
        "gemma": (spaces, split({"String": " "}, "merged_with_previous"), gemma),
        "llama2": (prepend, None, llama),
        "llama2 of today": (None, metaspace("first", False), llama),
    }  # fmt: skip
    return known.get(name)


def build(name, state_of_model, steps, flags):
    """Trains a model for the steps on a little text, and puts added tokens and a post-processor to it."""
    fallback = flags.get("byte_fallback", False)
    unknown = ["<unk>"] if fallback or flags.get("unk") else []
    base = Tokenizer(models.BPE(**({"unk_token": "<unk>"} if unknown else {})))
    state = json.loads(base.to_str())
    state["normalizer"], state["pre_tokenizer"], state["decoder"] = steps
    state["model"].update(state_of_model)
    made = Tokenizer.from_str(json.dumps(state))
    letters = pre_tokenizers.ByteLevel.alphabet() if "ByteLevel" in json.dumps(steps[1]) else []
    if flags.get("few"):
        letters = []
    bytes_ = [f"<0x{b:02X}>" for b in range(0, 256, 1 if flags.get("all", True) else 3)] if fallback else []
    trainer = trainers.BpeTrainer(
        vocab_size=len(letters) + len(bytes_) + 110,
        special_tokens=unknown + bytes_,
        initial_alphabet=letters,
        limit_alphabet=60 if flags.get("few") else 1000,
        show_progress=False,
    )
    made.train_from_iterator([" ".join(r.choice(WORDS) for _ in range(8)) for _ in range(200)], trainer)
    state = json.loads(made.to_str())
    state["added_tokens"] = []
    merges = state["model"]["merges"]
    if flags.get("shuffled"):
        r.shuffle(merges)
    if not any(" " in part for pair in merges for part in pair) and r.random() < 0.5:
        state["model"]["merges"] = [" ".join(pair) for pair in merges]
    made = Tokenizer.from_str(json.dumps(state))
    added = r.sample(ADDED, r.randrange(2, 7))
    for content in added:
        flag = lambda: r.random() < 0.3  # noqa: E731
        token = AddedToken(
            content, single_word=flag(), lstrip=flag(), rstrip=flag(), normalized=flag(), special=r.random() < 0.5
        )
        (made.add_special_tokens if token.special else made.add_tokens)([token])
    state = json.loads(made.to_str())
    some = r.sample(sorted(made.get_vocab().items()), 2)
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "B", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        + r.choice([[], [{"SpecialToken": {"id": "E", "type_id": 0}}]]),
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {k: {"id": k, "ids": [i], "tokens": [t]} for k, (t, i) in zip("BE", some)},
    }
    trim = {"type": "ByteLevel", "add_prefix_space": r.random() < 0.5, "trim_offsets": r.random() < 0.7}
    trim["use_regex"] = True
    state["post_processor"] = r.choice([None, trim, template, sequence("processors", trim, template)])
    return Tokenizer.from_str(json.dumps(state)), added


def cases(made, added):
    all_ = []
    for content in [""] + [text(added) for _ in range(options.texts)]:
        plain = made.encode(content, add_special_tokens=False)
        all_.append(
            {
                "text": content,
                "ids": plain.ids,
                "tokens": plain.tokens,
                "starts": [start for start, _ in plain.offsets],
                "ends": [end for _, end in plain.offsets],
                "special": made.encode(content).ids,
                "decoded": made.decode(plain.ids, skip_special_tokens=False),
                "skipped": made.decode(plain.ids, skip_special_tokens=True),
            }
        )
    return all_


def plans():
    for name in ["gpt2", "gpt2 with a space", "pythia", "llama3", "qwen", "tiktoken", "cases", "deepseek", "starcoder"]:
        yield name, {"ignore_merges": name == "llama3"}, steps_of(name), {}
    yield "letters that are missing", {}, steps_of("qwen"), {"few": True}
    yield "bytes of letters", {"byte_fallback": True}, steps_of("gpt2"), {"few": True, "byte_fallback": True}
    for name in ["gemma", "llama2", "llama2 of today"]:
        for all_ in [True, False]:
            flags = {"byte_fallback": True, "all": all_, "few": True, "shuffled": not all_}
            yield name, {"byte_fallback": True, "fuse_unk": all_}, steps_of(name), flags
    for behavior in BEHAVIORS:
        steps = ({"type": "NFKD"}, split({"Regex": r"\s|\b"}, behavior, r.random() < 0.5), random_decoder())
        yield "split " + behavior, {}, steps, {"unk": r.random() < 0.5}
    for form in ["NFC", "NFD", "NFKC", "NFKD"]:
        yield form, {}, ({"type": form}, metaspace("always"), metaspace("always")), {"few": True}
    for i in range(options.random or 14):
        flags = {"unk": r.random() < 0.5, "few": r.random() < 0.5, "shuffled": r.random() < 0.2}
        flags |= {"byte_fallback": r.random() < 0.3, "all": r.random() < 0.7}
        model = {"fuse_unk": r.random() < 0.5, "ignore_merges": r.random() < 0.3}
        affix = r.random()
        if flags["byte_fallback"]:
            model["byte_fallback"] = True
        elif affix < 0.1:
            model["continuing_subword_prefix"] = "##"
        steps = (random_normalizer(), random_splitter(), random_decoder())
        yield f"random {i}", model, steps, flags


def main():
    made = []
    for name, model, steps, flags in plans():
        while True:
            try:
                tokenizer, added = build(name, model, steps, flags)
                done = cases(tokenizer, added)
                break
            except BaseException as error:  # the library panics on some tokens that take the white space of others
                if isinstance(error, KeyboardInterrupt):
                    raise
        made.append({"name": name, "tokenizer": json.loads(tokenizer.to_str()), "cases": done})
    content = "[" + ",\n".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in made) + "]\n"
    pathlib.Path(options.out).write_text(content)


main()
