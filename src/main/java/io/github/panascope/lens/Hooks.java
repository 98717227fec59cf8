package io.github.panascope.lens;

import io.github.panascope.internal.Suggestions;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Predicate;

/**
 * Hooks for a run, as a value: what is called at which points. Several at one point are called in the order in which
 * they were added, each with what the one before it left. Immutable.
 */
public final class Hooks {
    /** No hooks. */
    public static final Hooks NONE = new Hooks(List.of());

    /** Either a name or a predicate. */
    private record Entry(String name, Predicate<String> matches, Hook hook) {}

    private final List<Entry> entries;

    private Hooks(List<Entry> entries) {
        this.entries = entries;
    }

    /** A hook at one point. That the point exists is checked when a model runs. */
    public static Hooks at(String name, Hook hook) {
        Objects.requireNonNull(name, "a hook needs the name of its hook point");
        return NONE.and(name, hook);
    }

    /** A hook at every point whose name passes. */
    public static Hooks where(Predicate<String> names, Hook hook) {
        Objects.requireNonNull(names, "a hook needs to know at which points");
        return NONE.andWhere(names, hook);
    }

    /** These hooks, and one more at a point. */
    public Hooks and(String name, Hook hook) {
        return with(new Entry(name, null, Objects.requireNonNull(hook, "a hook should not be null")));
    }

    /** These hooks, and then others. */
    public Hooks and(Hooks others) {
        List<Entry> all = new ArrayList<>(entries);
        all.addAll(others.entries);
        return new Hooks(List.copyOf(all));
    }

    /** These hooks, and one more at every point whose name passes. */
    public Hooks andWhere(Predicate<String> names, Hook hook) {
        return with(new Entry(null, names, Objects.requireNonNull(hook, "a hook should not be null")));
    }

    private Hooks with(Entry entry) {
        List<Entry> more = new ArrayList<>(entries);
        more.add(entry);
        return new Hooks(List.copyOf(more));
    }

    /** Complains unless a model has the hook point, always or on request. */
    static void requirePoint(String name, List<String> points, List<String> onRequest) {
        if (!points.contains(name) && !onRequest.contains(name))
            throw new IllegalArgumentException(
                    "the model has no hook point '" + name + "'." + Suggestions.didYouMean(name, points));
    }

    /**
     * For each of a model's points that has hooks, those hooks in order. Predicates choose among those that are always
     * there.
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

    /** How many there are. */
    @Override
    public String toString() {
        return "Hooks(" + entries.size() + ")";
    }
}
