package io.github.panascope.lens;

import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.Tensor;

/**
 * Hooks that are wanted often, as plain functions: what to do ({@link #add}, {@link #scale}, {@link #replace},
 * {@link #zero}, {@link #mean}) and where in an activation to do it ({@link #atPosition}, {@link #atHead}); for
 * instance {@code Hooks.at("blocks.3.attn.hook_z", Edits.atHead(5, Edits.zero()))}. Tensors that they are given must
 * live as long as the hook is used. They work with gradients too, and leave what flows there as it was: results are
 * copies.
 */
public final class Edits {
    private Edits() {}

    /** Adds a tensor that broadcasts to the activation, such as a direction [d_model]. */
    public static Hook add(Tensor direction) {
        return (activation, point) -> activation.add(direction.to(activation.dtype()));
    }

    /** Multiplies with a number. */
    public static Hook scale(double factor) {
        return (activation, point) -> activation.mul(factor);
    }

    /** Puts a tensor that broadcasts to the activation in its place. */
    public static Hook replace(Tensor replacement) {
        return (activation, point) -> activation.zerosLike().add(replacement.to(activation.dtype()));
    }

    /** Zero ablation. */
    public static Hook zero() {
        return (activation, point) -> activation.zerosLike();
    }

    /** Mean ablation over the batch: each row gets the mean of all rows. */
    public static Hook mean() {
        return (activation, point) -> activation.zerosLike().add(activation.mean(0, true));
    }

    /**
     * An edit at one position alone, counted from the end if negative; of queries, where there are two. The edit sees
     * the activation without that dimension.
     */
    public static Hook atPosition(int position, Hook edit) {
        return (activation, point) -> at(activation, point.dimension(HookPoint.Axis.POS), position, edit, point);
    }

    /** An edit at one head alone, where heads have a dimension. The edit sees the activation without that dimension. */
    public static Hook atHead(int head, Hook edit) {
        return (activation, point) -> {
            if (!point.hasHeads())
                throw new IllegalArgumentException(point + " has no heads: its activation is " + activation);
            return at(activation, point.dimension(HookPoint.Axis.HEAD), head, edit, point);
        };
    }

    private static Tensor at(Tensor activation, int dimension, int index, Hook edit, HookPoint point) throws Exception {
        long size = activation.size(dimension);
        if (index >= size || index < -size)
            throw new IndexOutOfBoundsException("index " + index + " is outside the " + size + " of dimension "
                    + index(activation, dimension) + " at " + point);
        Tensor changed = activation.copy();
        Tensor part = changed.select(dimension, index);
        Tensor result = edit.apply(part.copy(), point);
        if (result != null) part.copy_(result);
        return changed;
    }

    private static int index(Tensor activation, int dimension) {
        return activation.shape().rank() + dimension;
    }
}
