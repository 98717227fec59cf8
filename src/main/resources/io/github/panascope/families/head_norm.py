# The RMSNorm $NORM of queries or keys, whose rows, positions and heads are one dimension at its hook points.

def $NORM(self, x: Tensor) -> Tensor:
    rows = x.reshape([-1, x.size(3)]).float()
    scale = lens.hook_point((rows.pow(2).mean([-1], keepdim=True) + $EPS).sqrt(), self.name, "attn.$NORM.hook_scale")
    rows = lens.hook_point(rows / scale, self.name, "attn.$NORM.hook_normalized") * self.$NORM_w
    return rows.to(x.dtype).view(x.size())
