package io.github.panascope.lens;

import io.github.panascope.torch.Tensor;
import java.util.List;
import java.util.function.Supplier;

/**
 * Something with hook points of its own that takes the place of an activation: an SAE, a transcoder. What is attached
 * to a run is called after the hooks at the point that it writes, and the cache holds, under that point's name, the
 * activation that came to it.
 *
 * @param readsAt  the hook point whose activation it reads
 * @param writesAt the hook point whose activation it replaces; the same, or a later one
 * @param points   the whole names of its own hook points, in the order in which it reaches them
 * @param transform what it does
 */
public record Attachment(String readsAt, String writesAt, List<String> points, Transform transform) {
    /** Copies the points. */
    public Attachment {
        points = List.copyOf(points);
    }

    /** What an attachment does with activations. */
    @FunctionalInterface
    public interface Transform {
        /**
         * Works out what takes the activation's place.
         *
         * @param read   the activation at {@link #readsAt}
         * @param there  the activation at {@link #writesAt}, which is replaced
         * @param tokens the ids of the run, int64 [batch, pos]
         * @param points to be asked at each point of its own
         * @return of the shape, dtype and device of {@code there}
         */
        Tensor apply(Tensor read, Tensor there, Tensor tokens, PointHooks points) throws Exception;
    }

    /**
     * Makes hooks of this, after those that are there; those at its own points, of which the model knows nothing, are
     * called from there.
     *
     * @param tokens gives the ids of what is run
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

    /** The hooks at an attachment's own points. */
    @FunctionalInterface
    public interface PointHooks {
        /** What the hooks at a point make of a value; the value itself, if there are none. */
        Tensor at(String name, Tensor value) throws Exception;
    }
}
