# One block. self.name is "blocks.<layer>.": all blocks of one kind share this code, compiled once. Script.java chooses
# among the lines between #if, #else and #endif, which depend on the model, and replaces what begins with $.
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

def head_input(self, resid: Tensor, name: str) -> Tensor:
    # Returns the input of one projection of each head, [batch, pos, head, d_model], a copy for each head.
    return lens.hook_point(resid.contiguous(), self.name, name) if lens.hooked(self.name, name) else resid

def project(self, resid: Tensor, part: int) -> Tensor:
    # Computes q (0), k (1) or v (2) [batch, pos, head, d_head], of an input that may differ between heads.
    # The norm calls no hook here: its hook points are those of the input that all heads share.
    x = resid.float()
    #if FUSED
    x = x - x.mean([-1], keepdim=True)
    x = (x / (x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt()$LN1_AFFINE).to(self.W_QKV.dtype)
    weights = self.W_QKV.view([x.size(3), 3, $N_HEADS, $D_HEAD])[:, part]
    return torch.einsum("bphm,mhd->bphd", [x, weights]) + self.b_QKV.view([3, $N_HEADS, $D_HEAD])[part]
    #else
    x = (x / (x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt() * self.$LN1_WEIGHT).to(self.W_Q.dtype)
    if part == 0:
        weights = self.W_Q
        bias = self.b_Q
    elif part == 1:
        weights = self.W_K
        bias = self.b_K
    else:
        weights = self.W_V
        bias = self.b_V
    weights = weights.view([x.size(3), -1, $D_HEAD])
    bias = bias.view([-1, $D_HEAD])
    if weights.size(1) != x.size(2):  # each query head has an input of its own for keys and values
        bias = torch.repeat_interleave(bias, x.size(2) // weights.size(1), 0)
        weights = torch.repeat_interleave(weights, x.size(2) // weights.size(1), 1)
    return torch.einsum("bphm,mhd->bphd", [x, weights]) + bias
    #endif

def qkv(self, resid: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    # residual stream [batch, pos, d_model] -> q [batch, pos, head, d_head], and k and v of as many heads or fewer
    split = (
        lens.hooked(self.name, "hook_attn_in")
        or lens.hooked(self.name, "hook_q_input")
        or lens.hooked(self.name, "hook_k_input")
        or lens.hooked(self.name, "hook_v_input")
    )
    if split:
        heads = self.head_input(resid.unsqueeze(2).expand([-1, -1, $N_HEADS, -1]), "hook_attn_in")
        shared = heads
        #if GROUPED
        if not lens.hooked(self.name, "hook_attn_in"):
            shared = resid.unsqueeze(2).expand([-1, -1, $N_KEY_VALUE_HEADS, -1])
        #endif
        return (self.project(self.head_input(heads, "hook_q_input"), 0),
                self.project(self.head_input(shared, "hook_k_input"), 1),
                self.project(self.head_input(shared, "hook_v_input"), 2))
    x = self.ln1(resid)
    rows = x.reshape([-1, x.size(2)])
    #if FUSED
    qkv = torch.addmm(self.b_QKV, rows, self.W_QKV)  # one product computes q, k and v
    qkv = qkv.view([x.size(0), x.size(1), 3, $N_HEADS, $D_HEAD])
    return qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
    #else
    q = torch.addmm(self.b_Q, rows, self.W_Q).view([x.size(0), x.size(1), $N_HEADS, $D_HEAD])
    k = torch.addmm(self.b_K, rows, self.W_K).view([x.size(0), x.size(1), $N_KEY_VALUE_HEADS, $D_HEAD])
    v = torch.addmm(self.b_V, rows, self.W_V).view([x.size(0), x.size(1), $N_KEY_VALUE_HEADS, $D_HEAD])
    return q, k, v
    #endif

#if GROUPED
def by_key_head(self, x: Tensor, k: Tensor) -> Tensor:
    # Joins the query heads that share a head of keys: [batch, head, pos, ...] -> [batch, key head, group * pos, ...].
    return x.reshape([x.size(0), k.size(1), -1, x.size(3)])
#endif

def hidden(self, scores: Tensor) -> Tensor:
    # Returns where a query must not see a key, bool [pos, key pos]: keys of later positions, and those before a window.
    ones = torch.ones([scores.size(2), scores.size(3)], device=scores.device)
    future = ones.triu(1 + scores.size(3) - scores.size(2)) > 0
    #if WINDOW
    return future.logical_or(ones.tril(scores.size(3) - scores.size(2) - $WINDOW) > 0)
    #else
    return future
    #endif

def pattern(self, q: Tensor, k: Tensor, mask: Optional[Tensor]) -> Tensor:
    # Computes the attention pattern [batch, head, pos, pos]: how much each position attends to each other position.
    #if GROUPED
    scores = torch.matmul(self.by_key_head(q, k), k.transpose(2, 3)) / $ATTN_SCALE
    scores = scores.view([q.size(0), q.size(1), q.size(2), k.size(2)])
    #else
    scores = torch.matmul(q, k.transpose(2, 3)) / $ATTN_SCALE
    #endif
    #if SOFT_CAP
    scores = torch.tanh(scores / $SCORE_CAP) * $SCORE_CAP
    #endif
    hidden = self.hidden(scores)
    if mask is not None:
        hidden = hidden.logical_or(mask.eq(0).unsqueeze(1).unsqueeze(1))
    scores = lens.hook_point(scores.masked_fill(hidden, float("-inf")), self.name, "attn.hook_attn_scores")
    # Softmax makes NaN of a row that is masked completely; it becomes 0.
    pattern = torch.softmax(scores, -1)
    pattern = torch.nan_to_num(pattern, 0.0) if torch.is_grad_enabled() else torch.nan_to_num_(pattern, 0.0)
    return lens.hook_point(pattern, self.name, "attn.hook_pattern")

def scores_seen(self) -> bool:
    return lens.hooked(self.name, "attn.hook_attn_scores") or lens.hooked(self.name, "attn.hook_pattern")

def weighted(self, pattern: Tensor, v: Tensor) -> Tensor:
    # Computes the mean of the values that each query sees, [batch, head, pos, d_head].
    #if GROUPED
    z = torch.matmul(self.by_key_head(pattern, v), v)
    return z.view([pattern.size(0), pattern.size(1), pattern.size(2), z.size(3)])
    #else
    return torch.matmul(pattern, v)
    #endif

def fused_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    # Computes what the pattern and the values give, without a pattern in memory.
    #if GROUPED
    k = torch.repeat_interleave(k, q.size(1) // k.size(1), 1)
    v = torch.repeat_interleave(v, q.size(1) // v.size(1), 1)
    #endif
    #if WINDOW
    if k.size(2) > $WINDOW:
        seen = self.hidden(torch.empty([1, 1, q.size(2), k.size(2)], device=q.device)).logical_not()
        return torch.scaled_dot_product_attention(q, k, v, seen, 0.0, False, scale=1.0 / $ATTN_SCALE)
    #endif
    if self.fast():
        return lens.causal_attention(q, k, v, 1.0 / $ATTN_SCALE)
    return torch.scaled_dot_product_attention(q, k, v, None, 0.0, True, scale=1.0 / $ATTN_SCALE)

def attention(
    self, resid: Tensor, past: Optional[Tuple[Tensor, Tensor]], mask: Optional[Tensor]
) -> Tuple[Tensor, Tensor, Tensor]:
    # residual stream [batch, pos, d_model] -> what each head reads [batch, pos, head, d_head]; with the keys and values
    # [batch, head, pos, d_head] of these and all earlier positions; `past` holds those of the earlier ones, if there
    # are any, the keys after their rotation. `mask` [batch, pos] is 0 at positions that no position attends to.
    q, k, v = self.qkv(resid)
    q = lens.hook_point(q, self.name, "attn.hook_q")
    k = lens.hook_point(k, self.name, "attn.hook_k")
    v = lens.hook_point(v, self.name, "attn.hook_v").transpose(1, 2)
    #if QUERY_KEY_NORM
    q = self.q_norm(q)
    k = self.k_norm(k)
    #endif
    #if ROTARY
    first = 0
    if past is not None:
        first = past[0].size(2)
    angles = self.angles(q, first, mask)
    sin = torch.sin(angles).to(q.dtype)
    cos = torch.cos(angles).to(q.dtype)
    q = lens.hook_point(self.rotate(q, sin, cos), self.name, "attn.hook_rot_q")
    k = lens.hook_point(self.rotate(k, sin, cos), self.name, "attn.hook_rot_k")
    #endif
    q = q.transpose(1, 2)
    k = k.transpose(1, 2)
    if past is not None:
        k = torch.cat([past[0], k], 2)
        v = torch.cat([past[1], v], 2)
    #if SOFT_CAP
    z = self.weighted(self.pattern(q, k, mask).to(v.dtype), v)
    #else
    if past is None and mask is None and not (self.exact() or self.scores_seen()) and k.size(2) == q.size(2):
        z = self.fused_attention(q, k, v)
    else:
        z = self.weighted(self.pattern(q, k, mask).to(v.dtype), v)
    #endif
    return lens.hook_point(z.transpose(1, 2), self.name, "attn.hook_z"), k, v

def attn_out(self, z: Tensor) -> Tensor:
    # Computes what the heads add to the residual stream.
    # The part of each head [batch, pos, head, d_model] takes many times the memory, so it is computed only for a hook.
    if lens.hooked(self.name, "attn.hook_result"):
        result = torch.einsum("bphd,hdm->bphm", [z, self.W_O.view([$N_HEADS, $D_HEAD, -1])])
        out = lens.hook_point(result, self.name, "attn.hook_result").sum(2) + self.b_O
    else:
        out = torch.addmm(self.b_O, z.reshape([z.size(0) * z.size(1), -1]), self.W_O).view([z.size(0), z.size(1), -1])
    #if NORM_AFTER
    out = self.ln1_post(out)
    #endif
    return lens.hook_point(out, self.name, "hook_attn_out")

def mlp_input(self, resid: Tensor) -> Tensor:
    # Returns the MLP's copy of the residual stream, normalised.
    if lens.hooked(self.name, "hook_mlp_in"):
        return self.ln2(lens.hook_point(resid.clone(), self.name, "hook_mlp_in"))
    return self.ln2(resid)

#if not PARALLEL
def middle(self, resid_pre: Tensor, z: Tensor) -> Tuple[Tensor, Tensor]:
    # Computes the residual stream after attention, and its norm, which the MLP reads.
    #if PLAIN_OUTPUTS
    # Sum and LayerNorm take one pass where no hook reads either.
    if self.fast() and not (lens.hooked(self.name, "attn.hook_result") or lens.hooked(self.name, "hook_attn_out")):
        out = torch.mm(z.reshape([z.size(0) * z.size(1), -1]), self.W_O).view([z.size(0), z.size(1), -1])
        #if LAYER_NORM
        hooked = lens.hooked(self.name, "hook_resid_mid") or lens.hooked(self.name, "hook_mlp_in")
        if $LN_FOLDED and not (hooked or self.ln2_seen()):
            return lens.add_norm(resid_pre, out, self.b_O, $EPS)
        #endif
        resid_mid = lens.add_update(resid_pre, out, self.b_O)
    else:
        resid_mid = resid_pre + self.attn_out(z)
    #else
    resid_mid = resid_pre + self.attn_out(z)
    #endif
    resid_mid = lens.hook_point(resid_mid, self.name, "hook_resid_mid")
    return resid_mid, self.mlp_input(resid_mid)
#endif

def mlp(self, x: Tensor) -> Tensor:
    # Computes the activations of the MLP's neurons.
    rows = x.reshape([-1, x.size(2)])
    #if GATED
    pre = torch.mm(rows, self.W_gate).view([x.size(0), x.size(1), -1])
    pre = lens.hook_point(pre, self.name, "mlp.hook_pre")
    linear = torch.mm(rows, self.W_in).view([x.size(0), x.size(1), -1])
    linear = lens.hook_point(linear, self.name, "mlp.hook_pre_linear")
    if torch.is_grad_enabled() or lens.hooked(self.name, "mlp.hook_pre"):
        post = $ACTIVATION(pre$APPROXIMATE) * linear
    else:
        post = $ACTIVATION_(pre$APPROXIMATE).mul_(linear)  # in place, as no hook reads the values before
    #else
    #if GELU_TANH
    if self.fast() and not lens.hooked(self.name, "mlp.hook_pre"):
        post = lens.bias_gelu_(torch.mm(rows, self.W_in), self.b_in)
        return lens.hook_point(post.view([x.size(0), x.size(1), -1]), self.name, "mlp.hook_post")
    #endif
    pre = torch.addmm(self.b_in, rows, self.W_in).view([x.size(0), x.size(1), -1])
    if torch.is_grad_enabled() or lens.hooked(self.name, "mlp.hook_pre"):
        post = $ACTIVATION(lens.hook_point(pre, self.name, "mlp.hook_pre")$APPROXIMATE)
    else:
        post = $ACTIVATION_(pre$APPROXIMATE)  # in place, as no hook reads the values before
    #endif
    return lens.hook_point(post, self.name, "mlp.hook_post")

def after(self, resid: Tensor, post: Tensor) -> Tensor:
    # Adds the output of the neurons to the residual stream.
    rows = post.reshape([-1, post.size(2)])
    #if NORM_AFTER
    out = torch.addmm(self.b_out, rows, self.W_out).view([post.size(0), post.size(1), -1])
    return resid + lens.hook_point(self.ln2_post(out), self.name, "hook_mlp_out")
    #else
    if self.fast() and not lens.hooked(self.name, "hook_mlp_out"):
        return lens.add_update(resid, torch.mm(rows, self.W_out).view([post.size(0), post.size(1), -1]), self.b_out)
    out = torch.addmm(self.b_out, rows, self.W_out)
    return resid + lens.hook_point(out.view([post.size(0), post.size(1), -1]), self.name, "hook_mlp_out")
    #endif

def run(
    self, resid: Tensor, past: Optional[Tuple[Tensor, Tensor]], mask: Optional[Tensor]
) -> Tuple[Tensor, Tensor, Tensor]:
    resid_pre = lens.hook_point(resid, self.name, "hook_resid_pre")
    z, k, v = self.attention(resid_pre, past, mask)
    #if PARALLEL
    resid_mid = resid_pre + self.attn_out(z)  # no hook point: the MLP does not read it
    normalized = self.mlp_input(resid_pre)
    #else
    resid_mid, normalized = self.middle(resid_pre, z)
    #endif
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
