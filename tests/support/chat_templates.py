"""A chat template for the word-level tokenizer: a word a role, and one that ends turns."""

from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing

SYSTEM, USER, ASSISTANT, TURN_END = "w30", "w31", "w32", "w33"
ROLES = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}
TURNS = (
    f"{{% for message in messages %}} {{{{ {ROLES}[message.role] }}}}"
    f" {{{{ message.content }}}} {TURN_END}"
    "{% endfor %}\n"
    f"{{% if add_generation_prompt %}} {ASSISTANT}{{% endif %}}"
)
TEMPLATE = "{{ bos_token }}" + TURNS


def give_template(template=TEMPLATE, processor="<end> $A"):
    """A change of a tokenizer: its chat template, and what it adds to texts."""

    def change(tokenizer):
        tokenizer.add_tokens([AddedToken(TURN_END, special=True)], special_tokens=True)
        tokenizer.chat_template = template
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=processor, special_tokens=[("<end>", 2)]
        )

    return change
