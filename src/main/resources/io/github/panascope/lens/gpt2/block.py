# One block. $NAME is "blocks.<layer>."; $LN1_AFFINE and $LN2_AFFINE are empty once LayerNorm is folded into the weights.
# Every size is read after the hook before it: a hook may change the number of positions.

def ln1(self, x: Tensor) -> Tensor:
    x = x.float()
    x = x - x.mean([-1], keepdim=True)
    scale = lens.hook_point((x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt(), "$NAMEln1.hook_scale")
    return lens.hook_point(x / scale$LN1_AFFINE, "$NAMEln1.hook_normalized").to(self.W_QKV.dtype)

def ln2(self, x: Tensor) -> Tensor:
    x = x.float()
    x = x - x.mean([-1], keepdim=True)
    scale = lens.hook_point((x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt(), "$NAMEln2.hook_scale")
    return lens.hook_point(x / scale$LN2_AFFINE, "$NAMEln2.hook_normalized").to(self.W_in.dtype)

def attention(self, x: Tensor) -> Tensor:
    # x [batch, pos, d_model]; one product for q, k and v, each [batch, pos, head, d_head]
    qkv = torch.addmm(self.b_QKV, x.reshape([-1, x.size(2)]), self.W_QKV).view([x.size(0), x.size(1), 3, $N_HEADS, $D_HEAD])
    q = lens.hook_point(qkv[:, :, 0], "$NAMEattn.hook_q").transpose(1, 2)
    k = lens.hook_point(qkv[:, :, 1], "$NAMEattn.hook_k").transpose(1, 2)
    v = lens.hook_point(qkv[:, :, 2], "$NAMEattn.hook_v").transpose(1, 2)
    scores = torch.matmul(q, k.transpose(2, 3)) / $ATTN_SCALE
    future = torch.ones([scores.size(2), scores.size(3)], device=scores.device).triu(1) > 0
    scores = lens.hook_point(scores.masked_fill(future, float("-inf")), "$NAMEattn.hook_attn_scores")
    # A row that a hook masked whole would be NaN.
    pattern = torch.nan_to_num_(torch.softmax(scores, -1), 0.0)
    pattern = lens.hook_point(pattern, "$NAMEattn.hook_pattern").to(v.dtype)
    z = lens.hook_point(torch.matmul(pattern, v).transpose(1, 2), "$NAMEattn.hook_z")
    out = torch.addmm(self.b_O, z.reshape([z.size(0) * z.size(1), -1]), self.W_O)
    return lens.hook_point(out.view([z.size(0), z.size(1), -1]), "$NAMEhook_attn_out")

def mlp(self, x: Tensor) -> Tensor:
    pre = torch.addmm(self.b_in, x.reshape([-1, x.size(2)]), self.W_in).view([x.size(0), x.size(1), -1])
    post = lens.hook_point(torch.gelu(lens.hook_point(pre, "$NAMEmlp.hook_pre"), approximate="tanh"), "$NAMEmlp.hook_post")
    out = torch.addmm(self.b_out, post.reshape([-1, post.size(2)]), self.W_out)
    return lens.hook_point(out.view([post.size(0), post.size(1), -1]), "$NAMEhook_mlp_out")

def forward(self, resid: Tensor) -> Tensor:
    # residual stream [batch, pos, d_model], before and after
    resid_pre = lens.hook_point(resid, "$NAMEhook_resid_pre")
    resid_mid = lens.hook_point(resid_pre + self.attention(self.ln1(resid_pre)), "$NAMEhook_resid_mid")
    return lens.hook_point(resid_mid + self.mlp(self.ln2(resid_mid)), "$NAMEhook_resid_post")
