def fast(self) -> bool:
    # Returns whether there are kernels for the operators between the products, under the conditions of block.py.
    if self.W_U.dtype != $BFLOAT16 or self.W_U.device.type != "cpu":
        return False
    return not (torch.is_grad_enabled() or lens.hooked("exact"))

def ln_final_seen(self) -> bool:
    return lens.hooked("ln_final.hook_scale") or lens.hooked("ln_final.hook_normalized")

def normalize(self, x: Tensor) -> Tensor:
    if self.fast() and $LN_FOLDED and x.dtype == $BFLOAT16 and not self.ln_final_seen():
        return lens.norm(x, $EPS)
    x = x.float()
    if not (lens.hooked("exact") or lens.hooked("ln_final.hook_scale")):
        x = torch.layer_norm(x, [x.size(2)], None, None, $EPS)
        return lens.hook_point(x$LN_FINAL_AFFINE, "ln_final.hook_normalized").to(self.W_U.dtype)
    x = x - x.mean([-1], keepdim=True)
    scale = lens.hook_point((x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt(), "ln_final.hook_scale")
    return lens.hook_point(x / scale$LN_FINAL_AFFINE, "ln_final.hook_normalized").to(self.W_U.dtype)

def forward(self, resid: Tensor, first: int = 0, end: int = 9223372036854775807) -> Tensor:
    # residual stream [batch, pos, d_model] -> logits [batch, pos, d_vocab], of the positions from first (inclusive) to
    # end (exclusive)
    x = self.normalize(resid)[:, first:end]
    return torch.addmm(self.b_U, x.reshape([-1, x.size(2)]), self.W_U).view([x.size(0), x.size(1), -1])

def loss(self, resid: Tensor, tokens: Tensor, products: Tensor, logits: Tensor) -> Tensor:
    # Computes the cross-entropy of each next token [batch, pos - 1], in float32. In chunks: all logits would be
    # d_vocab floats for every position. The chunks share the memory of `products` [chunk, d_vocab] in the model's dtype
    # and `logits` in float32, which may be the same tensor: the system would have to clear memory that is allocated for
    # each chunk.
    x = self.normalize(resid)
    rows = x[:, :-1].reshape([-1, x.size(2)])
    targets = tokens[:, 1:].reshape([-1, 1])
    chunk = products.size(0)
    parts: List[Tensor] = []
    for start in range(0, rows.size(0), chunk):
        part = rows[start:start + chunk]
        product = products[:part.size(0)]
        if logits.dtype == $BFLOAT16:  # LossWorkspace then has no float32 logits: the kernel computes from bfloat16
            torch.mm(part, self.W_U, out=product)
            parts.append(lens.log_prob(product, self.b_U, targets[start:start + chunk]))
        else:
            torch.addmm(self.b_U, part, self.W_U, out=product)
            logit = logits[:part.size(0)]
            if product.dtype != logit.dtype:
                logit.copy_(product)
            parts.append(torch.log_softmax(logit, -1, out=logit).gather(-1, targets[start:start + chunk]))
    return -torch.cat(parts).view([tokens.size(0), tokens.size(1) - 1])
