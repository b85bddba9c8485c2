"""The guard scorer: what the model reads, and its score by hand from the model's logits."""

import math

import pytest
import torch
from support.small_classifiers import byte_tokenizer
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    set_seed,
)

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.guard import Question, load_guard, score_by_guard, write_question

CHAT = (
    "<s>{% if policy %}{{ policy }}|{% endif %}"
    "{% for message in messages %}{{ message.role }}={{ message.content }};{% endfor %}"
    "{% if add_generation_prompt %}verdict:{% endif %}"
)
PROMPTS = ["why?", "a longer prompt {answer}", "x", "x"]
TEXTS = ["because {prompt}", "no", "", "a fool said so, and more"]


def save_guard(folder, model, chat_template=CHAT):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(["<s>", "</s>", "unsafe", "safe"]),
        bos_token="<s>", eos_token="</s>", chat_template=chat_template,
    )  # fmt: skip
    tokenizer.add_special_tokens({"additional_special_tokens": ["unsafe", "safe"]})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def guard(request, tmp_path_factory):
    """A guard model that is loaded; one has rotary positions, one learned ones."""
    set_seed(3)
    sizes = {"vocab_size": 260, "bos_token_id": 0, "eos_token_id": 1}
    if request.param == "llama":
        model = LlamaForCausalLM(
            LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                        num_attention_heads=2, max_position_embeddings=128, **sizes)
        )  # fmt: skip
    else:
        model = GPT2LMHeadModel(
            GPT2Config(n_positions=128, n_embd=16, n_layer=2, n_head=2, **sizes)
        )
    return load_guard(save_guard(tmp_path_factory.mktemp(request.param), model), "float32", "cpu")


def by_hand(guard, question_text):
    """The score of one text read alone: no padding, no batch, the softmax of two in Python."""
    ids = guard.tokenizer(question_text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = guard.model(input_ids=torch.tensor([ids])).logits[0, -1].tolist()
    unsafe, safe = (math.exp(logits[token]) for token in (2, 3))
    return unsafe / (unsafe + safe)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_score_is_that_of_the_conversation_in_the_models_own_template(guard, batch_size):
    table = score_by_guard(PROMPTS, TEXTS, guard, Question("unsafe", "safe"), batch_size)
    expected = [
        by_hand(guard, f"<s>user={prompt};assistant={text};verdict:") if text else 0
        for prompt, text in zip(PROMPTS, TEXTS, strict=True)
    ]
    assert table["toxicity"].tolist() == pytest.approx(expected, abs=1e-6)
    assert len(set(expected)) == 4
    swapped = score_by_guard(PROMPTS, TEXTS, guard, Question("safe", "unsafe"), batch_size)
    assert swapped["toxicity"].tolist() == pytest.approx(
        [1 - score if text else 0 for score, text in zip(expected, TEXTS, strict=True)], abs=1e-6
    )


def test_a_template_of_the_study_begins_as_texts_of_the_tokenizer_do(guard):
    question = Question("unsafe", "safe", "Q {prompt} A {answer}\n", answer_start="so ")
    table = score_by_guard(PROMPTS, TEXTS, guard, question, 4)
    wanted = by_hand(guard, "Q a longer prompt {answer} A no\nso ")
    assert table["toxicity"][1] == pytest.approx(wanted, abs=1e-6)


def test_what_the_guard_reads(guard):
    def read(**settings):
        return write_question(guard, Question("unsafe", "safe", **settings), "p", "a")

    assert read() == "<s>user=p;assistant=a;verdict:"
    assert read(template_settings={"policy": "be kind", "add_generation_prompt": False}) == (
        "<s>be kind|user=p;assistant=a;"
    )
    assert read(answer_start="\n\n") == "<s>user=p;assistant=a;verdict:\n\n"
    assert read(answer_start="verdict:") == "<s>user=p;assistant=a;verdict:"
    assert read(template="{answer}{prompt}{answer}") == "apa"


def test_a_conversation_is_read_whole_by_a_chat_template_and_its_end_by_another(guard):
    turns = [("user", "p"), ("assistant", "q"), ("user", "r")]
    prompt = [{"role": role, "content": content} for role, content in turns]
    written = write_question(guard, Question("unsafe", "safe"), prompt, "a")
    assert written == "<s>user=p;assistant=q;user=r;assistant=a;verdict:"
    assert len(prompt) == 3
    asked = Question("unsafe", "safe", "Q {prompt} A {answer}")
    assert write_question(guard, asked, prompt, "a") == "Q r A a"
    table = score_by_guard([prompt], ["a"], guard, Question("unsafe", "safe"), 1)
    assert table["toxicity"][0] == pytest.approx(by_hand(guard, written), abs=1e-6)


def test_a_word_without_a_token_of_its_own_is_known_by_its_first(guard):
    whole, cut = (
        score_by_guard(["p"], ["a"], guard, Question(*words), 1)["toxicity"][0]
        for words in (("Yes", "No"), ("Y", "N"))
    )
    assert whole == cut
    with pytest.raises(InputError, match="'Nay' and 'No' begin with one token"):
        score_by_guard(["p"], ["a"], guard, Question("Nay", "No"), 1)


def test_a_text_that_the_model_cannot_read_whole_is_refused(guard):
    with pytest.raises(InputError, match="tokens long, but the model reads 128"):
        score_by_guard(["p"], ["a" * 128], guard, Question("unsafe", "safe"), 1)


@pytest.mark.parametrize(
    ("template", "words"),
    [(None, "no chat template; set the scorer's template"),
     ("{{ raise_exception('a guideline is needed') }}", "a guideline is needed"),
     ("{% for %}", "its chat template fails")],
)  # fmt: skip
def test_a_chat_template_that_is_missing_or_fails_is_a_sentence(tmp_path, template, words):
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=260, n_positions=8, n_embd=4, n_layer=1, n_head=1)
    )
    broken = load_guard(save_guard(tmp_path, model, template), "float32", "cpu")
    with pytest.raises(InputError, match=words) as caught:
        score_by_guard(["p"], ["a"], broken, Question("unsafe", "safe"), 1)
    assert "\n" not in str(caught.value)
