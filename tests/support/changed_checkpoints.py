"""Changes to a checkpoint's folder: to its JSON files, and to its tokenizer."""

import json

from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tokenizer(folder, change):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    change(tokenizer)
    tokenizer.save_pretrained(folder)


def template(text):
    def change(tokenizer):
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=text, special_tokens=[("<end>", 2)]
        )

    return change
