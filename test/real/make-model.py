"""Makes a tiny Llama with random weights, so that a real vLLM can serve without a download.

The weights are drawn once from a fixed seed, in float32: there greedy decoding has no ties, so that a generation
continued on another node gives the very ids of an undisturbed one. The tokenizer is a byte-level BPE, so that tokens
end inside UTF-8 characters as they do in real ones; the chat template is ChatML.

usage: python make-model.py OUT
"""

import json
import pathlib
import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 384
CONTEXT = 8192
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CORPUS = """A node that is about to vanish tells the others, and they take over what it was saying. Nothing is lost,
neither a word nor the order of the words. The reader sees a short pause and then the rest of the sentence.
Der Fluß fließt, le café est fermé, 世界 你好, and the system goes on; then another node joins and the work is shared.
"""
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer():
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIAL],
        show_progress=False,
    )
    bpe.train_from_iterator(CORPUS.splitlines(), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = TEMPLATE
    assert len(tokenizer) == VOCABULARY, len(tokenizer)
    return tokenizer


def make_model(tokenizer):
    torch.manual_seed(20)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    for weight in model.parameters():
        if weight.dim() > 1:  # wide enough that the best and the second best token are far apart
            torch.nn.init.normal_(weight, std=0.08)
    return model.to(torch.float32)


out = pathlib.Path(sys.argv[1])
tokenizer = make_tokenizer()
make_model(tokenizer).save_pretrained(out)
tokenizer.save_pretrained(out)
# Only the end of a text: no sampling defaults, which vLLM would take over.
(out / "generation_config.json").write_text(json.dumps({"eos_token_id": tokenizer.eos_token_id}))
