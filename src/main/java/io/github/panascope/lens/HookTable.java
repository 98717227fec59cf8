package io.github.panascope.lens;

import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.RunHooks;
import io.github.panascope.torch.Tensor;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The hooks of one run by the name of their hook point, in the order in which they are called. */
final class HookTable {
    private record Entry(HookPoint point, List<Hook> hooks) {}

    private final Map<String, Entry> entries = new LinkedHashMap<>();

    void add(String name, Hook hook) {
        at(name).hooks.add(hook);
    }

    /** Reports a point to the model's source as hooked, although no hook is called there. */
    void listen(String name) {
        at(name);
    }

    private Entry at(String name) {
        return entries.computeIfAbsent(name, _ -> new Entry(HookPoint.of(name).orElse(null), new ArrayList<>()));
    }

    boolean isEmpty() {
        return entries.isEmpty();
    }

    boolean has(String name) {
        return entries.containsKey(name);
    }

    Set<String> names() {
        return entries.keySet();
    }

    /** Moves the hooks at these points from this table into a new one. */
    HookTable takeOut(Collection<String> names) {
        HookTable others = new HookTable();
        for (String name : names) {
            Entry entry = entries.remove(name);
            if (entry != null) others.entries.put(name, entry);
        }
        return others;
    }

    /** Calls the hooks at a point. Returns the activation that they leave; the given one if there are none. */
    Tensor call(String name, Tensor activation) throws Exception {
        Entry entry = entries.get(name);
        if (entry == null) return activation;
        Tensor current = activation;
        for (Hook hook : entry.hooks) {
            Tensor next = hook.apply(current, entry.point);
            if (next == null) continue;
            requireReplaceable(entry.point, current, next);
            current = next;
        }
        return current;
    }

    /** Sets these hooks for a run; the result has to be closed after it. */
    RunHooks open() {
        return new RunHooks(entries.keySet(), (activation, name) -> call(name, activation));
    }

    /**
     * Checks the sizes that a hook has to keep: the next layer multiplies along the last dimension, and rows stay rows.
     * Before the unembedding a hook may select positions.
     */
    private static void requireReplaceable(HookPoint point, Tensor before, Tensor after) {
        int rank = before.shape().rank();
        if (rank == 0 || after.shape().rank() != rank) return; // RunHooks refuses this for every module
        boolean rows = before.size(0) == after.size(0) || point.part().equals("ln_final.hook_normalized");
        boolean last = before.size(-1) == after.size(-1) || point.endsInPositions();
        if (!rows || !last)
            throw new IllegalArgumentException(
                    "the hook at " + point + " returned " + after.describe() + " in the place of " + before.describe()
                            + ": the " + (rows ? "last dimension" : "number of rows") + " must stay");
    }
}
