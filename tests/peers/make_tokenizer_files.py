"""Small tokenizers as Python writes them, and the ids that Transformers makes with them:
tests/resources/golden/tokenizers.

    python tests/peers/make_tokenizer_files.py

Made with tokenizers 0.23.3 and transformers 5.24.0, which need no torch.
"""

import json
import pathlib
import shutil
import tempfile

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2TokenizerFast, PreTrainedTokenizerFast

END = "<|endoftext|>"
CORPUS = [
    "The cat sat on the mat, the dog's hat " * 20 + " over there, and then 12 other words; naïve cafés, 猫 and 🤖."
]
TEXTS = [
    "",
    "The cat sat on the mat.",
    " the  dog's\n\nhat ",
    f"a{END}b {END}",
    "naïve 猫🤖\u0301",
    "12 hats over there, and then the other mats",
]
OUT = pathlib.Path(__file__).resolve().parent.parent / "resources/golden/tokenizers"


def trained():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    return made


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    made = trained()
    made.save(str(OUT / "tokenizers.json"))
    with tempfile.TemporaryDirectory() as folder:
        made.model.save(folder)
        GPT2TokenizerFast(vocab=f"{folder}/vocab.json", merges=f"{folder}/merges.txt").save_pretrained(folder)
        shutil.copy(f"{folder}/tokenizer.json", OUT / "transformers.json")
        shutil.copy(f"{folder}/vocab.json", OUT / "vocab.json")
        shutil.copy(f"{folder}/merges.txt", OUT / "merges.txt")
    made.enable_truncation(4)
    made.enable_padding(length=32)
    made.save(str(OUT / "truncation.json"))
    ids = {}
    for name in ["tokenizers", "transformers", "truncation"]:
        reader = PreTrainedTokenizerFast(tokenizer_file=str(OUT / f"{name}.json"))
        ids[name] = [reader(text)["input_ids"] for text in TEXTS]
    (OUT / "expected.json").write_text(json.dumps({"texts": TEXTS, "ids": ids}))


main()
