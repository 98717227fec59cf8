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

/** The hooks of one run by the name of their point, in the order in which they are called. */
final class HookTable {
    private record Entry(HookPoint point, List<Hook> hooks) {}

    private final Map<String, Entry> entries = new LinkedHashMap<>();

    void add(String name, Hook hook) {
        at(name).hooks.add(hook);
    }

    /** Has a point reported to the model's source, though no hook is called there. */
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

    /** A table of the hooks at these points, which this one then has no longer. */
    HookTable takeOut(Collection<String> names) {
        HookTable others = new HookTable();
        for (String name : names) {
            Entry entry = entries.remove(name);
            if (entry != null) others.entries.put(name, entry);
        }
        return others;
    }

    /** What the hooks at a point leave of an activation; the activation itself, if there are none. */
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

    /** Makes these hooks a run's. */
    RunHooks open() {
        return new RunHooks(entries.keySet(), (activation, name) -> call(name, activation));
    }

    /** What the next layer multiplies with has to stay; what is unembedded may be any selection of positions. */
    private static void requireReplaceable(HookPoint point, Tensor before, Tensor after) {
        int rank = before.shape().rank();
        if (rank == 0 || after.shape().rank() != rank) return; // which is refused for any module
        boolean rows = before.size(0) == after.size(0) || point.part().equals("ln_final.hook_normalized");
        boolean last = before.size(-1) == after.size(-1) || point.endsInPositions();
        if (!rows || !last)
            throw new IllegalArgumentException("the hook at " + point + " returned " + after + " in the place of "
                    + before + ": the " + (rows ? "last dimension" : "number of rows") + " must stay");
    }
}
