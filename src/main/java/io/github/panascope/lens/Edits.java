package io.github.panascope.lens;

import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.Tensor;

/**
 * Common hooks as plain functions. They say what to do ({@link #add}, {@link #scale}, {@link #replace}, {@link #zero},
 * {@link #mean}) and where in an activation to do it ({@link #atPosition}, {@link #atHead}); for instance
 * {@code Hooks.at("blocks.3.attn.hook_z", Edits.atHead(5, Edits.zero()))}. Tensors that they are given must live as
 * long as the hook is used. Each hook returns a copy and leaves the activation unchanged, so that it also works where
 * gradients are computed.
 */
public final class Edits {
    private Edits() {}

    /**
     * Creates a hook that adds a tensor to the activation.
     *
     * @param direction a tensor that broadcasts to the activation, such as a direction [d_model]; it is converted to
     *     the activation's dtype
     * @return the hook
     */
    public static Hook add(Tensor direction) {
        return (activation, point) -> activation.add(direction.to(activation.dtype()));
    }

    /**
     * Creates a hook that multiplies the activation by a number.
     *
     * @param factor the number
     * @return the hook
     */
    public static Hook scale(double factor) {
        return (activation, point) -> activation.mul(factor);
    }

    /**
     * Creates a hook that replaces the activation by a tensor.
     *
     * @param replacement a tensor that broadcasts to the activation; it is converted to the activation's dtype
     * @return the hook
     */
    public static Hook replace(Tensor replacement) {
        return (activation, point) -> activation.zerosLike().add(replacement.to(activation.dtype()));
    }

    /**
     * Creates a hook that sets the activation to zero (zero ablation).
     *
     * @return the hook
     */
    public static Hook zero() {
        return (activation, point) -> activation.zerosLike();
    }

    /**
     * Creates a hook that gives each row of the batch the mean of all rows (mean ablation).
     *
     * @return the hook
     */
    public static Hook mean() {
        return (activation, point) -> activation.zerosLike().add(activation.mean(0, true));
    }

    /**
     * Restricts an edit to one position; at attention scores and patterns, to one query position. The hook throws
     * {@link IndexOutOfBoundsException} if the activation has no such position.
     *
     * @param position the position, counted from the end if negative
     * @param edit     the edit, which receives the activation without the dimension of positions
     * @return the hook
     */
    public static Hook atPosition(int position, Hook edit) {
        return (activation, point) -> at(activation, point.dimension(HookPoint.Axis.POS), position, edit, point);
    }

    /**
     * Restricts an edit to one attention head. The hook throws {@link IllegalArgumentException} at a point whose
     * activation has no dimension of heads, and {@link IndexOutOfBoundsException} if there is no such head.
     *
     * @param head the head, counted from the end if negative
     * @param edit the edit, which receives the activation without the dimension of heads
     * @return the hook
     */
    public static Hook atHead(int head, Hook edit) {
        return (activation, point) -> {
            if (!point.hasHeads())
                throw new IllegalArgumentException(point + " has no heads: its activation is " + activation.describe());
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
