def fast(self) -> bool:
    # Returns whether there are kernels for the operators between the products, under the conditions of block.py.
    if self.W_U.dtype != $BFLOAT16 or self.W_U.device.type != "cpu":
        return False
    return not (torch.is_grad_enabled() or lens.hooked("exact"))

def normalize(self, x: Tensor) -> Tensor:
    return self.ln_final(x)

def forward(self, resid: Tensor, first: int = 0, end: int = 9223372036854775807) -> Tensor:
    # residual stream [batch, pos, d_model] -> logits [batch, pos, d_vocab], of the positions from first (inclusive) to
    # end (exclusive)
    x = self.normalize(resid)[:, first:end]
    rows = x.reshape([-1, x.size(2)])
    logits = torch.addmm(self.b_U, rows, self.W_U)
    #if CENTRED
    logits = logits - torch.mv(rows.float(), self.W_U_mean).unsqueeze(1).to(logits.dtype)
    #endif
    #if LOGIT_CAP
    logits = torch.tanh(logits / $LOGIT_CAP) * $LOGIT_CAP
    #endif
    return logits.view([x.size(0), x.size(1), -1])

def loss(self, resid: Tensor, tokens: Tensor, products: Tensor, logits: Tensor) -> Tensor:
    # Computes the cross-entropy of each next token [batch, pos - 1], in float32. In chunks: all logits would be
    # d_vocab floats for every position. The chunks share the memory of `products` [chunk, d_vocab] in the model's dtype
    # and `logits` in float32, which may be the same tensor: the system would have to clear memory that is allocated for
    # each chunk. What centring takes off all logits of a position changes no loss.
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
            #if LOGIT_CAP
            logit.div_($LOGIT_CAP).tanh_().mul_($LOGIT_CAP)
            #endif
            parts.append(torch.log_softmax(logit, -1, out=logit).gather(-1, targets[start:start + chunk]))
    return -torch.cat(parts).view([tokens.size(0), tokens.size(1) - 1])
