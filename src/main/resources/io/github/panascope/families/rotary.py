# The rotation of queries and keys by an angle that grows with the position.

def frequencies(self, device: Device) -> Tensor:
    # Returns the wavelength of each pair of components in radians, [rotated / 2]. The operators are TransformerLens's:
    # at late positions a rounding of the last bit is one of the angle.
    #if LLAMA3
    steps = torch.arange(0, $ROTATED, 2, device=device).float()
    inverse = 1.0 / torch.pow($BASE, steps / $ROTATED)
    length = 6.283185307179586 / inverse
    longest = $ORIGINAL_CONTEXT / $LOW_FREQ
    shortest = $ORIGINAL_CONTEXT / $HIGH_FREQ
    slow = torch.where(length > longest, inverse / $FACTOR, inverse)
    smooth = ($ORIGINAL_CONTEXT / length - $LOW_FREQ) / ($HIGH_FREQ - $LOW_FREQ)
    between = (1 - smooth) * slow / $FACTOR + smooth * slow
    return 1.0 / torch.where((length < shortest).logical_or(length > longest), slow, between)
    #else
    steps = torch.arange(0, $ROTATED // 2, device=device).float()
    return torch.pow($BASE, steps / ($ROTATED / 2.0))$LINEAR
    #endif

def angles(self, x: Tensor, first: int, mask: Optional[Tensor]) -> Tensor:
    # Returns the angles [1 or batch, pos, 1, rotated] of the positions of x [batch, pos, head, d_head], the first of
    # which is `first`. As in embed.py, the first position of a row that is not padding has number 0.
    if mask is None:
        places = torch.arange(first, first + x.size(1), device=x.device).unsqueeze(0)
    else:
        places = (mask.cumsum(1) - 1).clamp(min=0)[:, first:first + x.size(1)]
    half = places.float().unsqueeze(-1) / self.frequencies(x.device)
    return torch.cat([half, half], 2).unsqueeze(2)

def rotate(self, x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    turned = x[:, :, :, :$ROTATED]
    flipped = torch.cat([-turned[:, :, :, $ROTATED // 2:], turned[:, :, :, :$ROTATED // 2]], 3)
    turned = turned * cos + flipped * sin
    #if PARTLY_ROTATED
    return torch.cat([turned, x[:, :, :, $ROTATED:]], 3)
    #else
    return turned
    #endif
