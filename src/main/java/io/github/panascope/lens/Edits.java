package io.github.panascope.lens;

import io.github.panascope.torch.ActivationHook;
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
    public static ActivationHook add(Tensor direction) {
        return (activation, name) -> activation.add(direction.to(activation.dtype()));
    }

    /** Multiplies with a number. */
    public static ActivationHook scale(double factor) {
        return (activation, name) -> activation.mul(factor);
    }

    /** Puts a tensor that broadcasts to the activation in its place. */
    public static ActivationHook replace(Tensor replacement) {
        return (activation, name) -> activation.zerosLike().add(replacement.to(activation.dtype()));
    }

    /** Zero ablation. */
    public static ActivationHook zero() {
        return (activation, name) -> activation.zerosLike();
    }

    /** Mean ablation over the batch: each row gets the mean of all rows. */
    public static ActivationHook mean() {
        return (activation, name) -> activation.zerosLike().add(activation.mean(0, true));
    }

    /**
     * An edit at one position alone, counted from the end if negative; of queries, where there are two. The edit sees
     * the activation without that dimension.
     */
    public static ActivationHook atPosition(int position, ActivationHook edit) {
        return (activation, name) -> at(
                activation, activation.shape().rank() + ActivationCache.positionDimension(name), position, edit, name);
    }

    /** An edit at one head alone, where heads have a dimension. The edit sees the activation without that dimension. */
    public static ActivationHook atHead(int head, ActivationHook edit) {
        return (activation, name) -> {
            if (activation.shape().rank() != 4)
                throw new IllegalArgumentException(name + " has no heads: its activation is " + activation);
            return at(
                    activation,
                    name.endsWith("hook_pattern") || name.endsWith("hook_attn_scores") ? 1 : 2,
                    head,
                    edit,
                    name);
        };
    }

    private static Tensor at(Tensor activation, int dimension, int index, ActivationHook edit, String name)
            throws Exception {
        long size = activation.size(dimension);
        if (index >= size || index < -size)
            throw new IndexOutOfBoundsException(
                    "index " + index + " is outside the " + size + " of dimension " + dimension + " at " + name);
        Tensor changed = activation.copy();
        Tensor part = changed.select(dimension, index);
        Tensor result = edit.apply(part.copy(), name);
        if (result != null) part.copy_(result);
        return changed;
    }
}
