package io.github.panascope.lens;

import io.github.panascope.internal.Suggestions;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Predicate;

/**
 * Hooks for a run, as an immutable value: which functions are called at which hook points. Hooks at one point are
 * called in the order in which they were added, each with the activation that the one before it left.
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small")) {
 *     Tensor tokens = model.toTokens("The Eiffel Tower is in the city of");
 *     Hooks hooks = Hooks.at("blocks.5.attn.hook_z", Edits.atHead(1, Edits.zero()))
 *             .andWhere(name -> name.endsWith("hook_resid_post"), (activation, point) -> {
 *                 System.out.println(point.block() + ": " + activation.norm().item());
 *                 return null; // leaves the activation as it is
 *             });
 *     Tensor logits = model.runWithHooks(tokens, hooks);
 *     System.out.println(logits);
 * }
 * }</pre>
 */
public final class Hooks {
    /** The value without hooks. */
    public static final Hooks NONE = new Hooks(List.of());

    /** A hook with either a name or a predicate of names; the other is null. */
    private record Entry(String name, Predicate<String> matches, Hook hook) {}

    private final List<Entry> entries;

    private Hooks(List<Entry> entries) {
        this.entries = entries;
    }

    /**
     * Creates hooks with one hook at one point. Whether the point exists is checked when a model runs.
     *
     * @param name the whole name of the hook point
     * @param hook the hook
     * @return the hooks
     */
    public static Hooks at(String name, Hook hook) {
        Objects.requireNonNull(name, "a hook needs the name of its hook point");
        return NONE.and(name, hook);
    }

    /**
     * Creates hooks with one hook at every point whose name passes. Points that are reached on request only are not
     * offered to the predicate.
     *
     * @param names the predicate of whole hook point names
     * @param hook  the hook
     * @return the hooks
     */
    public static Hooks where(Predicate<String> names, Hook hook) {
        Objects.requireNonNull(names, "a hook needs to know at which points");
        return NONE.andWhere(names, hook);
    }

    /**
     * Returns these hooks with one more at a point, which is called after them.
     *
     * @param name the whole name of the hook point
     * @param hook the hook
     * @return the new hooks
     */
    public Hooks and(String name, Hook hook) {
        return with(new Entry(name, null, Objects.requireNonNull(hook, "a hook should not be null")));
    }

    boolean isEmpty() {
        return entries.isEmpty();
    }

    /**
     * Returns these hooks followed by others.
     *
     * @param others the hooks that are called after these
     * @return the new hooks
     */
    public Hooks and(Hooks others) {
        List<Entry> all = new ArrayList<>(entries);
        all.addAll(others.entries);
        return new Hooks(List.copyOf(all));
    }

    /**
     * Returns these hooks with one more at every point whose name passes, which is called after them. Points that are
     * reached on request only are not offered to the predicate.
     *
     * @param names the predicate of whole hook point names
     * @param hook  the hook
     * @return the new hooks
     */
    public Hooks andWhere(Predicate<String> names, Hook hook) {
        return with(new Entry(null, names, Objects.requireNonNull(hook, "a hook should not be null")));
    }

    private Hooks with(Entry entry) {
        List<Entry> more = new ArrayList<>(entries);
        more.add(entry);
        return new Hooks(List.copyOf(more));
    }

    /**
     * Checks that a model has a hook point, which a run reaches always or on request.
     *
     * @throws IllegalArgumentException if there is no such hook point
     */
    static void requirePoint(String name, List<String> points, List<String> onRequest) {
        if (!points.contains(name) && !onRequest.contains(name))
            throw new IllegalArgumentException(
                    "the model has no hook point '" + name + "'." + Suggestions.didYouMean(name, points));
    }

    /**
     * Collects the hooks of each hook point in the order in which they are called. Predicates select only among the
     * points that a run always reaches.
     *
     * @param points    the points that a run always reaches
     * @param onRequest the points that a run reaches on request only
     * @throws IllegalArgumentException if a hook names a point that is in neither list
     */
    HookTable resolve(List<String> points, List<String> onRequest) {
        HookTable resolved = new HookTable();
        for (Entry entry : entries) {
            if (entry.name != null) {
                requirePoint(entry.name, points, onRequest);
                resolved.add(entry.name, entry.hook);
                continue;
            }
            for (String point : points) if (entry.matches.test(point)) resolved.add(point, entry.hook);
        }
        return resolved;
    }

    /** {@return the number of hooks} */
    @Override
    public String toString() {
        return "Hooks(" + entries.size() + ")";
    }
}
