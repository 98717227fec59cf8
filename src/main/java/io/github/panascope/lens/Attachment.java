package io.github.panascope.lens;

import io.github.panascope.torch.Tensor;
import java.util.List;
import java.util.function.Supplier;

/**
 * A component with hook points of its own that replaces an activation during a run: an SAE or a transcoder. It is
 * called after the hooks at the point that it writes. The cache holds, under the name of that point, the activation
 * that reached the attachment.
 *
 * @param readsAt   the hook point whose activation it reads
 * @param writesAt  the hook point whose activation it replaces: {@code readsAt} or a later point
 * @param points    the whole names of its own hook points, in the order in which it reaches them
 * @param transform computes the replacement
 */
public record Attachment(String readsAt, String writesAt, List<String> points, Transform transform) {
    /** Copies the list of points. */
    public Attachment {
        points = List.copyOf(points);
    }

    /** The computation of an attachment. */
    @FunctionalInterface
    public interface Transform {
        /**
         * Computes the tensor that replaces the activation.
         *
         * @param read   the activation at {@link #readsAt}
         * @param there  the activation at {@link #writesAt}, which is replaced
         * @param tokens the token ids of the run, int64 [batch, pos]
         * @param points calls the hooks at the attachment's own points
         * @return the replacement, with the shape, dtype and device of {@code there}
         * @throws Exception any failure; it ends the run and reaches the caller of the run unchanged
         */
        Tensor apply(Tensor read, Tensor there, Tensor tokens, PointHooks points) throws Exception;
    }

    /**
     * Adds this attachment to the hooks of a run, after those that the table holds already. Hooks at the attachment's
     * own points, which the model does not know, leave the table and are called by the attachment.
     *
     * @param tokens supplies the token ids of the run
     */
    void addTo(HookTable table, Supplier<Tensor> tokens) {
        HookTable own = table.takeOut(points);
        Tensor[] read = new Tensor[1];
        if (!readsAt.equals(writesAt)) {
            table.add(readsAt, (activation, _) -> {
                read[0] = activation.promote();
                return null;
            });
        }
        table.add(writesAt, (activation, point) -> {
            Tensor input = readsAt.equals(writesAt) ? activation : read[0];
            if (input == null)
                throw new IllegalStateException("this run reached " + point + " without passing " + readsAt);
            return transform.apply(input, activation, tokens.get(), own::call);
        });
    }

    /** Calls the hooks at an attachment's own points. */
    @FunctionalInterface
    public interface PointHooks {
        /**
         * Calls the hooks at one point.
         *
         * @param name  the whole name of the point
         * @param value the tensor that the attachment computed there
         * @return the tensor that the hooks return; {@code value} itself if there are none
         * @throws Exception any exception of a hook
         */
        Tensor at(String name, Tensor value) throws Exception;
    }
}
