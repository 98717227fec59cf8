def at(self, tokens: Tensor, first: int, mask: Optional[Tensor]) -> Tensor:
    # tokens [batch, pos], the first of them at a position -> residual stream [batch, pos, d_model].
    # `mask` [batch, first + pos] is 0 at padding: the first position of a row that is not padding has number 0.
    tokens = lens.hook_point(tokens, "hook_tokens")
    embed = torch.embedding(self.W_E, tokens)$EMBED_SCALE
    embed = lens.hook_point(embed, "hook_embed")
    #if ROTARY
    return embed
    #else
    end = first + tokens.size(1)
    if mask is None:
        positions = self.W_pos[first:end].unsqueeze(0).repeat([tokens.size(0), 1, 1])
    else:
        places = (mask.cumsum(1) - 1).clamp(min=0)[:, first:end]
        positions = torch.embedding(self.W_pos, places).masked_fill(mask[:, first:end].eq(0).unsqueeze(-1), 0.0)
    pos_embed = lens.hook_point(positions, "hook_pos_embed")
    return embed + pos_embed
    #endif

def forward(self, tokens: Tensor, mask: Optional[Tensor] = None) -> Tensor:
    return self.at(tokens, 0, mask)
