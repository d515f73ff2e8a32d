"""The transformer of Vaswani et al. (2017), from layer to encoder-decoder model.

Follows the PyTorch pages `torch.nn.Transformer` and of its parts.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch.nn import functional as F
from dispatchtorch.nn import init
from dispatchtorch.nn._functional_attention import _additive
from dispatchtorch.nn.modules.activation import GELU, ReLU
from dispatchtorch.nn.modules.attention import MultiheadAttention
from dispatchtorch.nn.modules.container import ModuleList
from dispatchtorch.nn.modules.dropout import Dropout
from dispatchtorch.nn.modules.linear import Linear
from dispatchtorch.nn.modules.module import Module
from dispatchtorch.nn.modules.normalization import LayerNorm

if TYPE_CHECKING:
    from dispatchtorch import Tensor

    Activation = str | Callable[[Tensor], Tensor]

__all__ = [
    "Transformer",
    "TransformerEncoder",
    "TransformerDecoder",
    "TransformerEncoderLayer",
    "TransformerDecoderLayer",
]


def _causal_mask(size: int, device: Any = None, dtype: Any = None) -> Tensor:
    """(size, size): 0 up to the diagonal, -inf above it."""
    full = torch.full((size, size), float("-inf"), dtype=dtype, device=device)
    return torch.triu(full, diagonal=1)


def _is_causal(mask: Tensor | None, hint: bool | None, src: Tensor, time: int) -> bool:
    """Whether `mask` is the causal one: as the hint says, else found by comparison.

    `time` is the dim of `src` that holds the sequence.
    """
    if hint is not None or mask is None:
        return bool(hint)
    size = src.size(time)
    if mask.dtype == torch.bool or mask.shape != (size, size):
        return False
    causal = _causal_mask(size, device=mask.device, dtype=mask.dtype)
    return bool((mask == causal).all().item())


def _clones(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


def _activation_function(activation: Activation) -> Callable[[Tensor], Tensor]:
    if not isinstance(activation, str):
        return activation
    if activation in ("relu", "gelu"):
        return getattr(F, activation)
    raise RuntimeError(f"activation should be relu/gelu, not {activation}")


class Transformer(Module):
    """An encoder and a decoder that attends to it.

    Args:
        d_model: features of the inputs and outputs.
        nhead: attention heads.
        num_encoder_layers, num_decoder_layers: depths.
        dim_feedforward: features inside the feed-forward blocks.
        dropout: probability of dropping, everywhere.
        activation: of the feed-forward blocks; "relu", "gelu" or a function.
        custom_encoder, custom_decoder: modules in the place of the built ones.
        layer_norm_eps: `eps` of the layer norms.
        batch_first: (B, T, E) rather than (T, B, E).
        norm_first: normalise ahead of each block rather than after it.
        bias: whether linear layers and layer norms have biases.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        layer_args = (
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            device,
            dtype,
        )

        def norm() -> LayerNorm:
            return LayerNorm(
                d_model, eps=layer_norm_eps, bias=bias, device=device, dtype=dtype
            )

        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            self.encoder = TransformerEncoder(
                TransformerEncoderLayer(*layer_args), num_encoder_layers, norm()
            )
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            self.decoder = TransformerDecoder(
                TransformerDecoderLayer(*layer_args), num_decoder_layers, norm()
            )
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoded `tgt` (T, B, E), given `src` (S, B, E); batch first or unbatched.

        Masks are as in MultiheadAttention: (T, S) or (B · heads, T, S), padding masks
        (B, S) or (S). The `is_causal` flags promise that the mask is causal; None
        finds out. Raises RuntimeError for batches or features that don't fit.
        """
        batched = src.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        if batched and src.size(batch_dim) != tgt.size(batch_dim):
            raise RuntimeError("the batch number of src and tgt must be equal")
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise RuntimeError(
                "the feature number of src and tgt must be equal to d_model"
            )
        memory = self.encoder(
            src,
            mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=src_is_causal,
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: Any = None, dtype: Any = None
    ) -> Tensor:
        """The causal mask (sz, sz): 0 up to the diagonal, -inf above it."""
        return _causal_mask(sz, device=device, dtype=dtype)

    def _reset_parameters(self) -> None:
        for p in self.parameters():
            if p.dim() > 1:
                init.xavier_uniform_(p)


class TransformerEncoder(Module):
    """`num_layers` copies of `encoder_layer`, and `norm` at the end if given.

    `enable_nested_tensor` says, as in PyTorch, that inference with a padding mask may
    leave padded positions out, whose outputs then are zero; `mask_check` that the
    padding is first checked to be at the end.
    """

    __constants__ = ["norm"]

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check
        obstacle = _obstacle_to_nesting(encoder_layer)
        if enable_nested_tensor and obstacle:
            warnings.warn(
                "enable_nested_tensor is True, but self.use_nested_tensor is False "
                f"because {obstacle}",
                stacklevel=2,
            )
        self.use_nested_tensor = enable_nested_tensor and not obstacle

    def _real_positions(
        self, src: Tensor, mask: Tensor | None, padding: Tensor | None
    ) -> Tensor | None:
        """Which positions aren't padding, where padding is to be left out."""
        if (
            not self.use_nested_tensor
            or self.training
            or padding is None
            or mask is not None
            or src.dim() != 3
            or torch.is_autocast_enabled(src.device.type)
        ):
            return None
        if torch.is_grad_enabled() and (
            src.requires_grad
            or any(p.requires_grad for p in self.layers[0].parameters())
        ):
            return None
        real = padding.logical_not()
        if self.mask_check and (real[:, 1:] & ~real[:, :-1]).any().item():
            return None
        return real

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The encoded `src` (S, B, E), batch first or unbatched as the layers are.

        `mask` is (S, S) or (B · heads, S, S), `src_key_padding_mask` (B, S) or (S), as
        in MultiheadAttention; `is_causal` promises that `mask` is causal, None finds
        out.
        """
        padding = _additive(
            src_key_padding_mask, "src_key_padding_mask", mask, "mask", src.dtype
        )
        real = self._real_positions(src, mask, src_key_padding_mask)
        if real is not None:
            padding = _additive(
                real.logical_not(), "src_key_padding_mask", None, "", src.dtype
            )
        mask = _additive(mask, "mask", None, "", src.dtype)
        batch_first = getattr(
            getattr(self.layers[0], "self_attn", None), "batch_first", False
        )
        time = 1 if batch_first and src.dim() == 3 else 0
        is_causal = _is_causal(mask, is_causal, src, time)
        output = src
        for layer in self.layers:
            output = layer(
                output,
                src_mask=mask,
                is_causal=is_causal,
                src_key_padding_mask=padding,
            )
        if real is not None:
            output = output.masked_fill(real.logical_not().unsqueeze(-1), 0.0)
        return output if self.norm is None else self.norm(output)


def _obstacle_to_nesting(layer: Any) -> str:
    """What about `layer` keeps PyTorch from leaving padding out, or nothing."""
    if not isinstance(layer, TransformerEncoderLayer):
        return "encoder_layer was not TransformerEncoderLayer"
    attention = layer.self_attn
    rows = (
        ("norm_first was True", layer.norm_first),
        (
            "self_attn.batch_first was not True"
            "(use batch_first for better inference performance)",
            not attention.batch_first,
        ),
        (
            "self_attn._qkv_same_embed_dim was not True",
            not attention._qkv_same_embed_dim,
        ),
        ("self_attn was passed bias=False", attention.in_proj_bias is None),
        ("activation_relu_or_gelu was not True", not layer.activation_relu_or_gelu),
        (
            "norm1.eps was not equal to encoder_layer.norm2.eps",
            layer.norm1.eps != layer.norm2.eps,
        ),
        ("self_attn.num_heads is odd", attention.num_heads % 2 == 1),
    )
    return next((f"encoder_layer.{text}" for text, present in rows if present), "")


class TransformerDecoder(Module):
    """`num_layers` copies of `decoder_layer`, and `norm` at the end if given."""

    __constants__ = ["norm"]

    def __init__(
        self,
        decoder_layer: TransformerDecoderLayer,
        num_layers: int,
        norm: Module | None = None,
    ) -> None:
        super().__init__()
        self.layers = _clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoded `tgt` (T, B, E), attending to `memory` (S, B, E).

        Masks and flags as in `Transformer.forward`.
        """
        batch_first = getattr(
            getattr(self.layers[0], "self_attn", None), "batch_first", False
        )
        time = 1 if batch_first and tgt.dim() == 3 else 0
        tgt_is_causal = _is_causal(tgt_mask, tgt_is_causal, tgt, time)
        output = tgt
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=tgt_is_causal,
                memory_is_causal=memory_is_causal,
            )
        return output if self.norm is None else self.norm(output)


class _Layer(Module):
    """What encoder and decoder layers share: blocks with a residual and a norm."""

    __constants__ = ["norm_first"]

    # The names of the attention blocks, in order.
    _attentions: tuple[str, ...]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = {"device": device, "dtype": dtype}
        blocks = range(1, len(self._attentions) + 2)
        for name in self._attentions:
            attention = MultiheadAttention(
                d_model,
                nhead,
                dropout=dropout,
                batch_first=batch_first,
                bias=bias,
                **options,
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **options)
        self.norm_first = norm_first
        for i in blocks:
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **options)
            setattr(self, f"norm{i}", norm)
        for i in blocks:
            setattr(self, f"dropout{i}", Dropout(dropout))
        self._set_activation(_activation_function(activation))

    def _set_activation(self, activation: Callable[[Tensor], Tensor]) -> None:
        self.activation = activation

    def _block(
        self, x: Tensor, norm: Module, compute: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """x plus what `compute` makes of it, normalised ahead or afterwards."""
        if self.norm_first:
            return x + compute(norm(x))
        return norm(x + compute(x))

    def _sa_block(
        self,
        x: Tensor,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool = False,
    ) -> Tensor:
        x = self.self_attn(
            x,
            x,
            x,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            need_weights=False,
        )[0]
        return self.dropout1(x)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward block; see Transformer for the arguments."""

    _attentions = ("self_attn",)

    def _set_activation(self, activation: Callable[[Tensor], Tensor]) -> None:
        self.activation_relu_or_gelu = 0
        for code, fn, module in ((1, F.relu, ReLU), (2, F.gelu, GELU)):
            if activation is fn or isinstance(activation, module):
                self.activation_relu_or_gelu = code
        self.activation = activation

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "activation"):
            self.activation = F.relu

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The encoded `src`; see TransformerEncoder for shapes and masks."""
        src_key_padding_mask = _additive(
            src_key_padding_mask,
            "src_key_padding_mask",
            src_mask,
            "src_mask",
            src.dtype,
        )
        src_mask = _additive(src_mask, "src_mask", None, "", src.dtype)
        x = self._block(
            src,
            self.norm1,
            lambda y: self._sa_block(y, src_mask, src_key_padding_mask, is_causal),
        )
        return self._block(x, self.norm2, self._ff_block)

    def _ff_block(self, x: Tensor) -> Tensor:
        return self.dropout2(self._feed_forward(x))


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output and a feed-forward block.

    See Transformer for the arguments.
    """

    _attentions = ("self_attn", "multihead_attn")

    def __setstate__(self, state: dict[str, Any]) -> None:
        # PyTorch looks at the instance's dict alone, so that a copied layer whose
        # activation is a module (which is kept elsewhere) computes a relu. Weights
        # trained there depend on it.
        state.setdefault("activation", F.relu)
        super().__setstate__(state)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoded `tgt`; see TransformerDecoder for shapes and masks."""
        x = self._block(
            tgt,
            self.norm1,
            lambda y: self._sa_block(y, tgt_mask, tgt_key_padding_mask, tgt_is_causal),
        )
        x = self._block(
            x,
            self.norm2,
            lambda y: self._mha_block(
                y, memory, memory_mask, memory_key_padding_mask, memory_is_causal
            ),
        )
        return self._block(x, self.norm3, self._ff_block)

    def _mha_block(
        self,
        x: Tensor,
        mem: Tensor,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool = False,
    ) -> Tensor:
        x = self.multihead_attn(
            x,
            mem,
            mem,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            need_weights=False,
        )[0]
        return self.dropout2(x)

    def _ff_block(self, x: Tensor) -> Tensor:
        return self.dropout3(self._feed_forward(x))
