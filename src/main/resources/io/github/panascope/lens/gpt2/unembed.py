def normalize(self, x: Tensor) -> Tensor:
    x = x.float()
    x = x - x.mean([-1], keepdim=True)
    scale = lens.hook_point((x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt(), "ln_final.hook_scale")
    return lens.hook_point(x / scale$LN_FINAL_AFFINE, "ln_final.hook_normalized").to(self.W_U.dtype)

def forward(self, resid: Tensor) -> Tensor:
    # residual stream [batch, pos, d_model] -> logits [batch, pos, d_vocab]
    x = self.normalize(resid)
    return torch.addmm(self.b_U, x.reshape([-1, x.size(2)]), self.W_U).view([x.size(0), x.size(1), -1])

def loss(self, resid: Tensor, tokens: Tensor) -> Tensor:
    # -> cross-entropy of each next token [batch, pos - 1], in float32. In chunks: all logits at once would be
    # d_vocab floats for every position.
    x = self.normalize(resid)
    rows = x[:, :-1].reshape([-1, x.size(2)])
    targets = tokens[:, 1:].reshape([-1, 1])
    parts: List[Tensor] = []
    for start in range(0, rows.size(0), $CHUNK):
        logits = torch.addmm(self.b_U, rows[start:start + $CHUNK], self.W_U).float()
        parts.append(torch.log_softmax(logits, -1).gather(-1, targets[start:start + $CHUNK]))
    return -torch.cat(parts).view([tokens.size(0), tokens.size(1) - 1])
