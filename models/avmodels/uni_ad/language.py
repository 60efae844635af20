"""Language models of the transformers library: by name and made anew, or from the user's files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    LlamaConfig,
    OPTConfig,
    PretrainedConfig,
)

from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.uni_ad.lora import LoRASize, adapt

Decode = Callable[[list[int]], str]

SIZES: dict[str, PretrainedConfig] = {
    "llama-2-7b": LlamaConfig(rms_norm_eps=1e-5, max_position_embeddings=4096),
    "llama-3-8b": LlamaConfig(
        vocab_size=128256,
        intermediate_size=14336,
        num_key_value_heads=8,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_theta=500000.0,
        bos_token_id=128000,
        eos_token_id=128001,
    ),
    "gpt2": GPT2Config(),
    "opt-125m": OPTConfig(),
    "smollm2-135m": LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_theta=100000.0,
    ),
    "tiny-llama": LlamaConfig(
        vocab_size=256,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=0.05,
    ),
    "tiny-gpt2": GPT2Config(
        vocab_size=256,
        n_embd=128,
        n_layer=2,
        n_head=4,
        n_positions=256,
        bos_token_id=1,
        eos_token_id=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    ),
}


@dataclass(frozen=True)
class Words:
    """How text becomes ids, without a BOS, and ids text."""

    encode: Callable[[str], list[int]]
    decode: Decode
    size: int


def source(path: Path) -> tuple[str, dict[str, Any]]:
    """How the transformers library is told of a folder, or of a GGUF file."""
    if path.suffix == ".gguf":
        return str(path.parent), {"gguf_file": path.name, "local_files_only": True}
    return str(path), {"local_files_only": True}


def missing(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} holds no language model of the transformers library ({' '.join(str(error).split())[:200]}); "
        "model.language.weights names its folder or a .gguf file"
    )


def configuration(size: str, weights: str) -> PretrainedConfig:
    """The numbers of a language model: those of its files, where it has some. Raises WeightsError."""
    if not weights:
        return SIZES[size]
    place, more = source(Path(weights))
    try:
        return AutoConfig.from_pretrained(place, **more)
    except (OSError, ValueError) as error:
        raise missing(Path(weights), error) from error


def network(config: PretrainedConfig) -> nn.Module:
    """A language model with random weights, its tables of words in and out apart."""
    return untied(AutoModelForCausalLM.from_config(config))


def pretrained(path: Path, dtype: str = "float32") -> nn.Module:
    """The language model of a folder or a GGUF file. Raises WeightsError where there is none."""
    place, more = source(path)
    try:
        return untied(AutoModelForCausalLM.from_pretrained(place, dtype=dtype, **more))
    except (OSError, ValueError) as error:
        raise missing(path, error) from error


def untied(model: Any) -> nn.Module:
    """The model with an output table of its own: the words of pictures learn in the input table only."""
    model.config.tie_word_embeddings = False
    head = model.get_output_embeddings()
    if head.weight is model.get_input_embeddings().weight:
        head.weight = nn.Parameter(head.weight.detach().clone())
    return model


def base_state(path: Path, lora: LoRASize | None) -> State:
    """A language model's own weights as they are named beside low-rank maps."""
    model = pretrained(path)
    if lora is not None:
        adapt(model, lora)
    return {f"gpt.{name}": value for name, value in model.state_dict().items() if ".lora_" not in name}


def words(path: Path) -> Words:
    """The words of a language model: of its folder, of a GGUF file, or of a tokenizer.json.

    Text that looks like a special token, be it a name, is read letter by letter. Raises WeightsError where there
    are none.
    """
    if path.name == "tokenizer.json" and path.is_file():
        own = Tokenizer.from_file(str(path))
        own.encode_special_tokens = True
        return Words(
            lambda text: own.encode(text, add_special_tokens=False).ids, own.decode, own.get_vocab_size()
        )
    place, more = source(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **more)
    except (OSError, ValueError) as error:
        raise missing(path, error) from error
    if tokenizer.eos_token_id is None:
        raise WeightsError(f"{path}: the language model has no token that ends a text")
    return Words(
        lambda text: tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True),
        lambda ids: tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        len(tokenizer),
    )
