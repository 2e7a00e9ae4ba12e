"""The two-way transformer, in which prompt tokens and image features attend to each other."""

from __future__ import annotations

from torch import Tensor, nn

from napari_sam2.network.attention.scaled_dot_product import Attention
from napari_sam2.network.layers import MLP


class TwoWayBlock(nn.Module):
    """Self-attention of tokens, tokens to image, MLP, image to tokens."""

    def __init__(self, width: int, heads: int, mlp: int, first: bool) -> None:
        super().__init__()
        half = width // 2
        self.first = first
        self.self_attn = Attention(width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, heads, inner=half)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp, width, layers=2)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, heads, inner=half)

    def forward(
        self, tokens: Tensor, image: Tensor, token_position: Tensor, image_position: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return updated tokens (N, P, C) and image features (N, L, C)."""
        if self.first:
            # Tokens are their own position encoding here: no residual, nothing to add.
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_position
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        image_keys = image + image_position
        q = tokens + token_position
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(q, image_keys, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        q = tokens + token_position
        image = self.norm4(image + self.cross_attn_image_to_token(image_keys, q, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Blocks and a last attention of the tokens to the image."""

    def __init__(self, width: int, layers: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(width, heads, mlp, first=index == 0) for index in range(layers)
        )
        self.final_attn_token_to_image = Attention(width, heads, inner=width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, image: Tensor, position: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (N, P, C) and image (N, L, C).

        Parameters
        ----------
        image, position : Tensor, shapes (N, C, h, w) and (1, C, h, w)
        tokens : Tensor, shape (N, P, C)
        """
        features = image.flatten(2).transpose(1, 2)
        image_position = position.flatten(2).transpose(1, 2)
        token_position = tokens
        for layer in self.layers:
            tokens, features = layer(tokens, features, token_position, image_position)
        q = tokens + token_position
        attended = self.final_attn_token_to_image(q, features + image_position, features)
        return self.norm_final_attn(tokens + attended), features
