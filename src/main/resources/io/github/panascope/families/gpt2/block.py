# One block. self.name is "blocks.<layer>.": all blocks share this code, compiled once. $LN1_AFFINE and $LN2_AFFINE are
# empty once LayerNorm is folded into the weights.
# Every size is read after the hook before it: a hook may change the number of positions.
# Where no hook reads the values in between, one fused operator computes the result; an exact run computes it step by
# step.

def exact(self) -> bool:
    # Returns whether no fused operator may be used: they have no gradients, and round otherwise.
    return torch.is_grad_enabled() or lens.hooked("exact")

def fast(self) -> bool:
    # Returns whether there are kernels for attention and the other operators between the products
    # (native/src/kernel.cpp): they add the bias that those products omit.
    return self.W_in.dtype == $BFLOAT16 and self.W_in.device.type == "cpu" and not self.exact()

def ln1_seen(self) -> bool:
    return lens.hooked(self.name, "ln1.hook_scale") or lens.hooked(self.name, "ln1.hook_normalized")

def ln1(self, x: Tensor) -> Tensor:
    if self.fast() and $LN_FOLDED and x.dtype == $BFLOAT16 and not self.ln1_seen():
        return lens.norm(x, $EPS)
    x = x.float()
    if not (lens.hooked("exact") or lens.hooked(self.name, "ln1.hook_scale")):
        x = torch.layer_norm(x, [x.size(2)], None, None, $EPS)
        return lens.hook_point(x$LN1_AFFINE, self.name, "ln1.hook_normalized").to(self.W_QKV.dtype)
    x = x - x.mean([-1], keepdim=True)
    scale = lens.hook_point((x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt(), self.name, "ln1.hook_scale")
    return lens.hook_point(x / scale$LN1_AFFINE, self.name, "ln1.hook_normalized").to(self.W_QKV.dtype)

def ln2_seen(self) -> bool:
    return lens.hooked(self.name, "ln2.hook_scale") or lens.hooked(self.name, "ln2.hook_normalized")

def ln2(self, x: Tensor) -> Tensor:
    if self.fast() and $LN_FOLDED and x.dtype == $BFLOAT16 and not self.ln2_seen():
        return lens.norm(x, $EPS)
    x = x.float()
    if not (lens.hooked("exact") or lens.hooked(self.name, "ln2.hook_scale")):
        x = torch.layer_norm(x, [x.size(2)], None, None, $EPS)
        return lens.hook_point(x$LN2_AFFINE, self.name, "ln2.hook_normalized").to(self.W_in.dtype)
    x = x - x.mean([-1], keepdim=True)
    scale = lens.hook_point((x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt(), self.name, "ln2.hook_scale")
    return lens.hook_point(x / scale$LN2_AFFINE, self.name, "ln2.hook_normalized").to(self.W_in.dtype)

def head_input(self, resid: Tensor, name: str) -> Tensor:
    # Returns the input of one projection of each head, [batch, pos, head, d_model], a copy for each head.
    return lens.hook_point(resid.contiguous(), self.name, name) if lens.hooked(self.name, name) else resid

def project(self, resid: Tensor, part: int) -> Tensor:
    # Computes q (0), k (1) or v (2) [batch, pos, head, d_head], of an input that may differ between heads.
    # LayerNorm calls no hook here:
    # the hook points of LayerNorm are those of the input that all heads share.
    x = resid.float()
    x = x - x.mean([-1], keepdim=True)
    x = (x / (x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt()$LN1_AFFINE).to(self.W_QKV.dtype)
    weights = self.W_QKV.view([x.size(3), 3, $N_HEADS, $D_HEAD])[:, part]
    return torch.einsum("bphm,mhd->bphd", [x, weights]) + self.b_QKV.view([3, $N_HEADS, $D_HEAD])[part]

def qkv(self, resid: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    # residual stream [batch, pos, d_model] -> q, k and v, each [batch, pos, head, d_head]
    split = (
        lens.hooked(self.name, "hook_attn_in")
        or lens.hooked(self.name, "hook_q_input")
        or lens.hooked(self.name, "hook_k_input")
        or lens.hooked(self.name, "hook_v_input")
    )
    if split:
        heads = self.head_input(resid.unsqueeze(2).expand([-1, -1, $N_HEADS, -1]), "hook_attn_in")
        return (self.project(self.head_input(heads, "hook_q_input"), 0),
                self.project(self.head_input(heads, "hook_k_input"), 1),
                self.project(self.head_input(heads, "hook_v_input"), 2))
    x = self.ln1(resid)  # one product computes q, k and v
    qkv = torch.addmm(self.b_QKV, x.reshape([-1, x.size(2)]), self.W_QKV)
    qkv = qkv.view([x.size(0), x.size(1), 3, $N_HEADS, $D_HEAD])
    return qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]

def pattern(self, q: Tensor, k: Tensor, mask: Optional[Tensor]) -> Tensor:
    # Computes the attention pattern [batch, head, pos, pos]: how much each position attends to each other position.
    scores = torch.matmul(q, k.transpose(2, 3)) / $ATTN_SCALE
    ones = torch.ones([scores.size(2), scores.size(3)], device=scores.device)
    future = ones.triu(1 + scores.size(3) - scores.size(2)) > 0
    if mask is not None:
        future = future.logical_or(mask.eq(0).unsqueeze(1).unsqueeze(1))
    scores = lens.hook_point(scores.masked_fill(future, float("-inf")), self.name, "attn.hook_attn_scores")
    # Softmax makes NaN of a row that is masked completely; it becomes 0.
    pattern = torch.softmax(scores, -1)
    pattern = torch.nan_to_num(pattern, 0.0) if torch.is_grad_enabled() else torch.nan_to_num_(pattern, 0.0)
    return lens.hook_point(pattern, self.name, "attn.hook_pattern")

def scores_seen(self) -> bool:
    return lens.hooked(self.name, "attn.hook_attn_scores") or lens.hooked(self.name, "attn.hook_pattern")

def attention(
    self, resid: Tensor, past: Optional[Tuple[Tensor, Tensor]], mask: Optional[Tensor]
) -> Tuple[Tensor, Tensor, Tensor]:
    # residual stream [batch, pos, d_model] -> what each head reads [batch, pos, head, d_head]; with the keys and values
    # [batch, head, pos, d_head] of these and all earlier positions; `past` holds those of the earlier ones, if there
    # are any. `mask` [batch, pos] is 0 at positions that no position attends to.
    q, k, v = self.qkv(resid)
    q = lens.hook_point(q, self.name, "attn.hook_q").transpose(1, 2)
    k = lens.hook_point(k, self.name, "attn.hook_k").transpose(1, 2)
    v = lens.hook_point(v, self.name, "attn.hook_v").transpose(1, 2)
    if past is not None:
        k = torch.cat([past[0], k], 2)
        v = torch.cat([past[1], v], 2)
    if past is None and mask is None and not (self.exact() or self.scores_seen()) and k.size(2) == q.size(2):
        if self.fast():
            z = lens.causal_attention(q, k, v, 1.0 / $ATTN_SCALE).transpose(1, 2)
        else:
            z = torch.scaled_dot_product_attention(q, k, v, None, 0.0, True, scale=1.0 / $ATTN_SCALE).transpose(1, 2)
    else:
        z = torch.matmul(self.pattern(q, k, mask).to(v.dtype), v).transpose(1, 2)
    return lens.hook_point(z, self.name, "attn.hook_z"), k, v

def attn_out(self, z: Tensor) -> Tensor:
    # Computes what the heads add to the residual stream.
    # The part of each head [batch, pos, head, d_model] takes many times the memory, so it is computed only for a hook.
    if lens.hooked(self.name, "attn.hook_result"):
        result = torch.einsum("bphd,hdm->bphm", [z, self.W_O.view([$N_HEADS, $D_HEAD, -1])])
        out = lens.hook_point(result, self.name, "attn.hook_result").sum(2) + self.b_O
    else:
        out = torch.addmm(self.b_O, z.reshape([z.size(0) * z.size(1), -1]), self.W_O).view([z.size(0), z.size(1), -1])
    return lens.hook_point(out, self.name, "hook_attn_out")

def middle(self, resid_pre: Tensor, z: Tensor) -> Tuple[Tensor, Tensor]:
    # Computes the residual stream after attention, and its LayerNorm, which the MLP reads; sum and norm take one pass
    # where no hook reads either.
    if not self.fast() or lens.hooked(self.name, "attn.hook_result") or lens.hooked(self.name, "hook_attn_out"):
        resid_mid = resid_pre + self.attn_out(z)
    else:
        out = torch.mm(z.reshape([z.size(0) * z.size(1), -1]), self.W_O).view([z.size(0), z.size(1), -1])
        hooked = lens.hooked(self.name, "hook_resid_mid") or lens.hooked(self.name, "hook_mlp_in")
        if $LN_FOLDED and not (hooked or self.ln2_seen()):
            return lens.add_norm(resid_pre, out, self.b_O, $EPS)
        resid_mid = lens.add_update(resid_pre, out, self.b_O)
    resid_mid = lens.hook_point(resid_mid, self.name, "hook_resid_mid")
    mlp_in = resid_mid
    if lens.hooked(self.name, "hook_mlp_in"):  # the MLP's copy of the residual stream
        mlp_in = lens.hook_point(resid_mid.clone(), self.name, "hook_mlp_in")
    return resid_mid, self.ln2(mlp_in)

def mlp(self, x: Tensor) -> Tensor:
    # Computes the activations of the MLP's neurons.
    rows = x.reshape([-1, x.size(2)])
    if self.fast() and not lens.hooked(self.name, "mlp.hook_pre"):
        post = lens.bias_gelu_(torch.mm(rows, self.W_in), self.b_in)
        return lens.hook_point(post.view([x.size(0), x.size(1), -1]), self.name, "mlp.hook_post")
    pre = torch.addmm(self.b_in, rows, self.W_in).view([x.size(0), x.size(1), -1])
    if torch.is_grad_enabled() or lens.hooked(self.name, "mlp.hook_pre"):
        post = torch.gelu(lens.hook_point(pre, self.name, "mlp.hook_pre"), approximate="tanh")
    else:
        post = torch.gelu_(pre, approximate="tanh")  # in place, as no hook reads the values before
    return lens.hook_point(post, self.name, "mlp.hook_post")

def after(self, resid_mid: Tensor, post: Tensor) -> Tensor:
    # Adds the output of the neurons to the residual stream.
    rows = post.reshape([-1, post.size(2)])
    if self.fast() and not lens.hooked(self.name, "hook_mlp_out"):
        return lens.add_update(resid_mid, torch.mm(rows, self.W_out).view([post.size(0), post.size(1), -1]), self.b_out)
    out = torch.addmm(self.b_out, rows, self.W_out)
    return resid_mid + lens.hook_point(out.view([post.size(0), post.size(1), -1]), self.name, "hook_mlp_out")

def run(
    self, resid: Tensor, past: Optional[Tuple[Tensor, Tensor]], mask: Optional[Tensor]
) -> Tuple[Tensor, Tensor, Tensor]:
    resid_pre = lens.hook_point(resid, self.name, "hook_resid_pre")
    z, k, v = self.attention(resid_pre, past, mask)
    resid_mid, normalized = self.middle(resid_pre, z)
    post = self.mlp(lens.hook_point(normalized, self.name, "mlp.hook_in"))
    return lens.hook_point(self.after(resid_mid, post), self.name, "hook_resid_post"), k, v

def forward(self, resid: Tensor, mask: Optional[Tensor] = None) -> Tensor:
    # Maps the residual stream before the block to that after it, both [batch, pos, d_model].
    return self.run(resid, None, mask)[0]

def begin(self, resid: Tensor, mask: Optional[Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
    # Runs the block and returns the residual stream after it, with the keys and values for extend().
    return self.run(resid, None, mask)

def extend(self, resid: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
    # Runs the block on positions that follow those of the given keys and values.
    return self.run(resid, (k, v), mask)
