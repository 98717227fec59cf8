#!/usr/bin/env python3
"""What transformers makes of conversations with the chat templates of real models.

    python tests/peers/make_chats.py FOLDER > tests/resources/chats.json

FOLDER holds the templates, one NAME.jinja for each of TOKENS. The templates stay there: of each, those tags are written
that have a string or a token in them, by which Panascope knows the form.
"""

import datetime, json, re, sys
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

TOKENS = {
    "gemma": ("<bos>", "<eos>"),
    "gemma3": ("<bos>", "<eos>"),
    "llama2": ("<s>", "</s>"),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama3_1": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama3_2": ("<|begin_of_text|>", "<|eot_id|>"),
    "mistral_v0_1": ("<s>", "</s>"),
    "mixtral_v0_1": ("<s>", "</s>"),
    "mistral_v0_2": ("<s>", "</s>"),
    "mistral_v0_3": ("<s>", "</s>"),
    "qwen1_5": (None, "<|im_end|>"),
    "qwen2_5": (None, "<|im_end|>"),
    "qwen3": (None, "<|im_end|>"),
    "chatml": (None, "<|im_end|>"),
    "deepseek_r1": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "zephyr_gemma": ("<bos>", "<eos>"),
}
S, U, A = ("system", " Answer in one word. "), ("user", " Where is the Eiffel Tower?\n"), ("assistant", " Paris. ")
THOUGHT = ("assistant", "<think>\nA tower.\n</think>\n\nParis.")
CONVERSATIONS = [[U], [S, U], [U, A], [U, A, U], [S, U, A, U, A], [U, THOUGHT, U], [U, THOUGHT], [A, U], [U, U]]


def rendered(template, messages, prompt, bos, eos):
    today = datetime.date.today().strftime("%d %b %Y")
    try:
        [text], _ = render_jinja_template(
            conversations=[[dict(role=role, content=content) for role, content in messages]],
            chat_template=template,
            add_generation_prompt=prompt,
            bos_token=bos,
            eos_token=eos,
        )
    except Exception:  # the template refuses the roles
        return None
    return text.replace(today, "{TODAY}")


found = []
for name, (bos, eos) in TOKENS.items():
    template = (Path(sys.argv[1]) / f"{name}.jinja").read_text()
    tags = [m for m in re.findall(r"\{\{.*?\}\}|\{%.*?%\}", template, re.S) if re.search(r"['\"]|_token", m)]
    chats = [
        dict(messages=messages, prompt=prompt, text=rendered(template, messages, prompt, bos, eos))
        for messages in CONVERSATIONS
        for prompt in (False, True)
    ]
    found.append(dict(name=name, bos=bos or eos, eos=eos, tags=tags, chats=chats))
print(json.dumps(found, ensure_ascii=False, separators=(",", ":")))
