"""Small tokenizers of the two kinds that large models have: byte-level BPE and SentencePiece's."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = ["damn the dog", "the damn dog", "damned be the dogs", "“the” dog’s café"] * 5


def byte_level() -> PreTrainedTokenizerFast:
    """As GPT-2, Llama 3, Qwen, OPT, GPT-NeoX and Phi have: 'Ġ' begins a word."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<|endoftext|>",
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
    )
    wrapped.add_tokens(["Ġ|"])
    return wrapped


def sentence_pieces(prefix: bool) -> PreTrainedTokenizerFast:
    """As Llama 2, Mistral and Phi-3 have (prefix: a space is put before a text), and Gemma."""
    alphabet = sorted({sign for text in TEXT for sign in text if sign.isascii()} - {" "})
    words = ["▁damn", "▁the", "▁dog", "damn", "▁▁", "Ġ"]
    merges = [("▁", "d"), ("▁d", "a"), ("▁da", "m"), ("▁dam", "n"), ("▁", "▁")]
    steps = ["▁d", "▁da", "▁dam"]
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *alphabet, *steps]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys([*pieces, *words]))}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    steps = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
    )
