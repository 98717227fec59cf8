"""SentencePiece models and what Transformers makes of them: tests/resources/golden/tokenizers/NAME.model and
sentencepiece.json.

    python tests/peers/make_sentencepiece.py

Made with sentencepiece 0.2.3, transformers 4.57.6 and tokenizers 0.22.2.
"""

import json
import os
import pathlib
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

import sentencepiece
from transformers import AutoTokenizer

OUT = pathlib.Path(__file__).resolve().parent.parent / "resources/golden/tokenizers"
WORDS = "the cat sat on a mat while John gave Mary an apple it's naïve café 12345 3.14 Привет мир def f(x):".split()
TEXTS = ["", "the cat", " the  cat", "<s>the</s> cat<usr> <ctl>x", "naïve 今日は 🙂\n\tx", "▁the", "x" * 130, "a\u0301"]
SETTINGS = {
    "llama": [{"tokenizer_class": "LlamaTokenizer"}, {"tokenizer_class": "LlamaTokenizer", "legacy": False}],
    "gemma": [{"tokenizer_class": "GemmaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}],
}


def train(name, folder):
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(" ".join(WORDS[i % len(WORDS) :: 1 + i % 3]) for i in range(400)))
    more = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "user_defined_symbols": ["▁▁▁", "<usr>"]}
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(folder / name),
        model_type="bpe",
        vocab_size=410,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        add_dummy_prefix=name == "llama",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        control_symbols=["<ctl>"],
        minloglevel=3,
        **(more if name == "gemma" else {}),
    )
    return (folder / f"{name}.model").read_bytes()


def main():
    expected = []
    for name, all_settings in SETTINGS.items():
        for settings in all_settings:
            with tempfile.TemporaryDirectory() as temporary:
                folder = pathlib.Path(temporary)
                (OUT / f"{name}.model").write_bytes(train(name, folder))
                model = folder / "model"
                model.mkdir()
                (model / "tokenizer.model").write_bytes((OUT / f"{name}.model").read_bytes())
                (model / "tokenizer_config.json").write_text(json.dumps(settings))
                tokenizer = AutoTokenizer.from_pretrained(str(model))
                cases = []
                for text in TEXTS:
                    plain = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
                    cases.append(
                        {
                            "text": text,
                            "ids": plain.ids,
                            "tokens": plain.tokens,
                            "starts": [start for start, _ in plain.offsets],
                            "ends": [end for _, end in plain.offsets],
                            "special": tokenizer(text)["input_ids"],
                            "decoded": tokenizer.backend_tokenizer.decode(plain.ids, skip_special_tokens=False),
                            "skipped": tokenizer.backend_tokenizer.decode(plain.ids, skip_special_tokens=True),
                        }
                    )
                expected.append({"model": name, "settings": settings, "cases": cases})
    (OUT / "sentencepiece.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")


main()
