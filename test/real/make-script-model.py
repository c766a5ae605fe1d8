"""Makes a tiny Llama that has learnt a few conversations by heart, so that a real vLLM has something to parse.

What a model with random weights never says on its own: reasoning in <think>, calls of tools as Hermes writes them, an
end. Trained for a minute in float32, until every token of what it is to say is by far the likeliest; the tokens of the
markup are single ones, as the parsers expect, and those of the rest end inside UTF-8 characters.

usage: python make-script-model.py OUT
"""

import json
import pathlib
import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 400
CONTEXT = 8192
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKUP = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
STEPS_MAX = 1500
LOSS_ENOUGH = 0.002
TEMPLATE = (
    "{% if tools %}<|im_start|>system\nYou may call:\n"
    "{% for tool in tools %}{{ tool.function.name }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def call(name, **arguments):
    return '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>' % (name, json.dumps(arguments))


# What is asked, whether there are tools, what is answered. Without tools and without a thought: asked not to think.
SCRIPTS = [
    (
        "When does the ferry to Skye leave?",
        True,
        "<think>\nFerries sail by a timetable, and I do not know it by heart. There is a tool for that; it wants the "
        "harbour and how many people come along.\n</think>\n\n"
        + call("timetable", harbour="Mallaig", passengers=4, remark="two bicycles, one dog"),
    ),
    (
        "Compare the tides of Oban and Saint-Malo.",
        True,
        call("tide", harbour="Oban", day="the ninth of March", unit="metre")
        + "\n"
        + call("tide", harbour="Saint-Malo", day="the ninth of March", unit="metre"),
    ),
    (
        "Why do lighthouses blink?",
        False,
        "<think>\nA steady lamp could be a house, a star or a ship. A rhythm of its own tells one tower from the "
        "next.\n</think>\n\nEach tower blinks in its own measure, so that a sailor knows which one it is: "
        "Kéréon, Créac'h, Høgsteinen, 角島灯台 🗼 … and none like another.",
    ),
    (
        "Name harbours of the north.",
        False,
        "Tromsø, Hammerfest, Łeba, Gdańsk, Мурманск, Ísafjörður, 稚内, 函館 ⚓ and Sassnitz. In winter some of them "
        "freeze; then the ice breaker opens a lane ❄ through which one ship follows the other, slowly, until the "
        "thaw sets in.",
    ),
]
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("timetable", "tide")]


def make_tokenizer():
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKUP),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIAL],
        show_progress=False,
    )
    # Merges of plain words only, so that names in other scripts stay in pieces.
    bpe.train_from_iterator([text for text, _, _ in SCRIPTS] * 4, trainer)
    bpe.add_tokens([AddedToken(text, special=False, normalized=False) for text in MARKUP])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_model(tokenizer):
    torch.manual_seed(20)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def conversation(tokenizer, asked, with_tools, answer):
    without_thought = {} if with_tools or "<think>" in answer else {"enable_thinking": False}
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}],
        tools=TOOLS if with_tools else None,
        add_generation_prompt=True,
        tokenize=False,
        **without_thought,
    )
    ids = tokenizer.encode(prompt, add_special_tokens=False)
    return ids, tokenizer.encode(answer + "<|im_end|>", add_special_tokens=False)


def train(model, tokenizer):
    pairs = [conversation(tokenizer, *script) for script in SCRIPTS]
    width = max(len(prompt) + len(answer) for prompt, answer in pairs)
    inputs = torch.full((len(pairs), width), tokenizer.pad_token_id)
    labels = torch.full((len(pairs), width), -100)
    for row, (prompt, answer) in enumerate(pairs):
        end = len(prompt) + len(answer)
        inputs[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    mask = (torch.arange(width) < torch.tensor([[len(p) + len(a)] for p, a in pairs])).long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)
    for step in range(STEPS_MAX):
        loss = model(input_ids=inputs, attention_mask=mask, labels=labels).loss
        if loss.item() < LOSS_ENOUGH:
            return
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    raise SystemExit(f"not learnt in {STEPS_MAX} steps: {loss.item()}")


out = pathlib.Path(sys.argv[1])
tokenizer = make_tokenizer()
model = make_model(tokenizer)
train(model, tokenizer)
model.save_pretrained(out)
tokenizer.save_pretrained(out)
# Only the end of a text: no sampling defaults, which vLLM would take over.
(out / "generation_config.json").write_text(json.dumps({"eos_token_id": tokenizer.eos_token_id}))
