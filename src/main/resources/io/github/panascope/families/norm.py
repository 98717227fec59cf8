# The normalisation $NORM, for the source that it is put into. Norms see the residual stream [batch, pos, d_model].

#if LAYER_NORM
def $NORM_seen(self) -> bool:
    return lens.hooked(self.name, "$NORM.hook_scale") or lens.hooked(self.name, "$NORM.hook_normalized")

def $NORM(self, x: Tensor) -> Tensor:
    if self.fast() and $LN_FOLDED and x.dtype == $BFLOAT16 and not self.$NORM_seen():
        return lens.norm(x, $EPS)
    x = x.float()
    if not (lens.hooked("exact") or lens.hooked(self.name, "$NORM.hook_scale")):
        x = torch.layer_norm(x, [x.size(2)], None, None, $EPS)
        return lens.hook_point(x$AFFINE, self.name, "$NORM.hook_normalized").to(self.$READER.dtype)
    x = x - x.mean([-1], keepdim=True)
    scale = lens.hook_point((x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt(), self.name, "$NORM.hook_scale")
    return lens.hook_point(x / scale$AFFINE, self.name, "$NORM.hook_normalized").to(self.$READER.dtype)
#else
def $NORM(self, x: Tensor) -> Tensor:
    # The weight follows the hook, as in TransformerLens, folded or not.
    x = x.float()
    scale = lens.hook_point((x.pow(2).mean([-1], keepdim=True) + $EPS).sqrt(), self.name, "$NORM.hook_scale")
    return (lens.hook_point(x / scale, self.name, "$NORM.hook_normalized") * self.$WEIGHT).to(self.$READER.dtype)
#endif
