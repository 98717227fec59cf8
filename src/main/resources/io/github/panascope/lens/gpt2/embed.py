def at(self, tokens: Tensor, first: int) -> Tensor:
    # tokens [batch, pos], the first of them at a position -> residual stream [batch, pos, d_model]
    tokens = lens.hook_point(tokens, "hook_tokens")
    embed = lens.hook_point(torch.embedding(self.W_E, tokens), "hook_embed")
    positions = self.W_pos[first:first + tokens.size(1)].unsqueeze(0).repeat([tokens.size(0), 1, 1])
    pos_embed = lens.hook_point(positions, "hook_pos_embed")
    return embed + pos_embed

def forward(self, tokens: Tensor) -> Tensor:
    return self.at(tokens, 0)
