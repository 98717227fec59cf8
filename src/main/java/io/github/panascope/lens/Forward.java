package io.github.panascope.lens;

import io.github.panascope.torch.ActivationHook;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.GradMode;
import io.github.panascope.torch.HookSet;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * One forward pass, described and then run: {@code model.forward(tokens).hooks(h).loss()}. Results belong to the scope that
 * is innermost when it runs; temporaries are freed before it returns. Used by one thread, once.
 */
public final class Forward {
    private final HookedTransformer model;
    private final Tensor tokens;
    private Hooks hooks;
    private final List<Attachment> attached = new ArrayList<>();
    private int startLayer;
    private Tensor residual;
    private final Set<String> cached = new LinkedHashSet<>();
    private ActivationCache cache;
    private long cacheLimit = Long.MAX_VALUE;

    Forward(HookedTransformer model, Tensor tokens) {
        this.model = model;
        this.tokens = tokens;
        this.hooks = model.hooks();
    }

    /** Calls these hooks during the run, after those of the model's view. */
    public Forward hooks(Hooks hooks) {
        this.hooks = model.hooks().and(hooks);
        return this;
    }

    /**
     * Attaches something to this run; its own hook points are then among those that hooks and {@link #caching} can name.
     *
     * @throws IllegalArgumentException if something is attached there already
     */
    public Forward attach(Attachment attachment) {
        for (String point : List.of(attachment.readsAt(), attachment.writesAt())) Hooks.requirePoint(point, model.hookNames(), model.hookNamesOnRequest());
        if (attached.stream().anyMatch(other -> other.writesAt().equals(attachment.writesAt()))) throw new IllegalArgumentException("something is attached at " + attachment.writesAt() + " already");
        attached.add(attachment);
        return this;
    }

    /** The model's hook points, and those of what is attached. */
    private List<String> points() {
        return Stream.concat(model.hookNames().stream(), attached.stream().flatMap(each -> each.points().stream())).toList();
    }

    /**
     * Keeps the activations at the hook points whose names pass, as the other hooks leave them; {@link #cache} has them afterwards.
     * Points that are reached on request only ({@link HookNames#onRequest}) have to be named.
     */
    public Forward caching(Predicate<String> names) {
        points().stream().filter(names).forEach(cached::add);
        cache = new ActivationCache(model);
        return this;
    }

    /**
     * The same for these hook points.
     *
     * @throws IllegalArgumentException if the model has none of that name
     */
    public Forward caching(String... names) {
        for (String name : names) Hooks.requirePoint(name, points(), model.hookNamesOnRequest());
        cached.addAll(List.of(names));
        cache = new ActivationCache(model);
        return this;
    }

    /**
     * How many bytes {@link #caching} will keep, worked out before the run: of the model's own points, in float32 (int64 for hook_tokens). What is attached, and
     * hooks that change the number of positions, are not counted.
     */
    public long cacheBytes() {
        return cached.stream().filter(name -> attached.stream().noneMatch(each -> each.points().contains(name)))
                .mapToLong(name -> Math.multiplyExact(HookNames.shape(name, model.config(), tokens.size(0), tokens.size(1)).elements(), (long) (name.equals("hook_tokens") ? DType.INT64 : DType.FLOAT32).bytes())).sum();
    }

    /** Refuses the run, before anything is computed, if {@link #cacheBytes} is more than this. */
    public Forward cacheLimit(long bytes) {
        this.cacheLimit = bytes;
        return this;
    }

    /** Begins at a block, with this residual stream [batch, pos, d_model] coming into it. A negative layer counts from the end. */
    public Forward startAtLayer(int layer, Tensor residual) {
        this.startLayer = model.layerIndex(layer);
        this.residual = residual;
        return this;
    }

    /** What {@link #caching} asked for; after the run. */
    public ActivationCache cache() {
        if (cache == null) throw new IllegalStateException("nothing was cached: call caching(...) before the run");
        return cache;
    }

    /** Runs everything. Logits [batch, pos, d_vocab] in the model's dtype. */
    public Tensor logits() {
        return run(model.config().nLayers(), (resid, set) -> model.unembed().call("forward", set, resid));
    }

    /**
     * A number that a run ended in, and what it depends on at hook points: the activations, as the other hooks left them, and its gradients with respect
     * to them, under the same names and of the same shapes. The tensors belong to the scope that was innermost when the run began.
     */
    public record Gradients(double value, ActivationCache activations, ActivationCache gradients) {}

    /**
     * Runs everything, and goes back through it.
     *
     * @param metric one number of the logits [batch, pos, d_vocab], made with this library's operators
     * @param names  the hook points at which gradients are wanted
     * @throws IllegalArgumentException if there is no such hook point
     */
    public Gradients gradients(Function<Tensor, Tensor> metric, String... names) {
        for (String name : names) Hooks.requirePoint(name, points(), model.hookNamesOnRequest());
        TensorScope results = TensorScope.current();
        Map<String, Tensor> reached = new LinkedHashMap<>();
        Hooks all = hooks;
        try (var scope = TensorScope.open(); var _ = GradMode.enable()) {
            for (String name : names) {
                all = all.and(name, (activation, point) -> {
                    Tensor kept = GradMode.flowsThrough(activation) ? activation : GradMode.leaf(activation);
                    reached.put(point, scope.adopt(kept));
                    return kept;
                });
            }
            hooks = all;
            Tensor number = metric.apply(logits());
            List<String> points = List.copyOf(reached.keySet());
            Tensor[] found = GradMode.gradients(number, points.stream().map(reached::get).toArray(Tensor[]::new));
            ActivationCache activations = new ActivationCache(model), gradients = new ActivationCache(model);
            for (int i = 0; i < found.length; i++) {
                activations.put(points.get(i), results.adopt(reached.get(points.get(i)).detach()));
                gradients.put(points.get(i), results.adopt(found[i]));
            }
            return new Gradients(number.detach().item(), activations, gradients);
        }
    }

    /** Runs everything but the logits as a whole. Cross-entropy of each next token, in nats, float32 [batch, pos-1]. */
    public Tensor lossPerToken() {
        requireTargets();
        return run(model.config().nLayers(), (resid, set) -> model.unembed().call("loss", set, resid, tokens));
    }

    /** The mean of {@link #lossPerToken} over all positions, in nats. */
    public double loss() {
        try (var _ = TensorScope.open()) {
            return lossPerToken().mean().item();
        }
    }

    /** Logits, and the loss computed from them. */
    public record LogitsAndLoss(Tensor logits, double loss) {}

    /** Runs once for both. Holds all logits: [batch, pos, d_vocab]. */
    public LogitsAndLoss logitsAndLoss() {
        requireTargets();
        Tensor logits = logits();
        try (var _ = TensorScope.open()) {
            long positions = tokens.size(1) - 1;
            Tensor predicted = logits.slice(1, 0, positions).to(DType.FLOAT32);
            Tensor targets = tokens.slice(1, 1, positions + 1).unsqueeze(-1);
            return new LogitsAndLoss(logits, -predicted.logSoftmax(-1).gather(-1, targets).mean().item());
        }
    }

    /** Runs the blocks before a layer; the residual stream [batch, pos, d_model] coming into it. Negative layers count from the end. */
    public Tensor stopAtLayer(int layer) {
        return run(layer == model.config().nLayers() ? layer : model.layerIndex(layer), (resid, set) -> resid);
    }

    private void requireTargets() {
        if (tokens == null || tokens.size(1) < 2) throw new IllegalArgumentException("a loss needs at least two tokens: each position predicts the next");
    }

    @FunctionalInterface
    private interface Ending {
        Tensor apply(Tensor resid, HookSet set);
    }

    private Tensor run(int stopLayer, Ending ending) {
        TensorScope results = TensorScope.current();
        if (cacheLimit != Long.MAX_VALUE && cacheBytes() > cacheLimit) {
            throw new IllegalStateException("keeping " + cached.size() + " activations takes " + cacheBytes() + " bytes, more than the limit of " + cacheLimit + ": keep fewer, or run fewer rows at once");
        }
        Map<String, List<ActivationHook>> resolved = hooks.resolve(points(), model.hookNamesOnRequest());
        for (String point : cached) resolved.computeIfAbsent(point, p -> new ArrayList<>()).add(keepIn(results));
        for (Attachment attachment : attached) addTo(resolved, attachment);
        if (resolved.isEmpty()) return results(results, null, stopLayer, ending);
        try (HookSet set = new HookSet(resolved.keySet(), (activation, name) -> chain(resolved.get(name), activation, name))) {
            return results(results, set, stopLayer, ending);
        }
    }

    /** Makes hooks of an attachment; those at its own points, of which the model knows nothing, are called from there. */
    private void addTo(Map<String, List<ActivationHook>> resolved, Attachment attachment) {
        Map<String, List<ActivationHook>> own = new HashMap<>();
        for (String point : attachment.points()) {
            List<ActivationHook> there = resolved.remove(point);
            if (there != null) own.put(point, there);
        }
        Attachment.Points points = (name, value) -> own.containsKey(name) ? chain(own.get(name), value, name) : value;
        Tensor[] read = new Tensor[1];
        if (!attachment.readsAt().equals(attachment.writesAt())) {
            resolved.computeIfAbsent(attachment.readsAt(), p -> new ArrayList<>()).add((activation, name) -> {
                read[0] = activation.promote();
                return null;
            });
        }
        resolved.computeIfAbsent(attachment.writesAt(), p -> new ArrayList<>()).add((activation, name) -> {
            Tensor input = attachment.readsAt().equals(attachment.writesAt()) ? activation : read[0];
            if (input == null) throw new IllegalStateException("this run reached " + name + " without passing " + attachment.readsAt());
            return attachment.run().run(input, activation, tokens, points);
        });
    }

    private Tensor results(TensorScope results, HookSet set, int stopLayer, Ending ending) {
        try (var _ = TensorScope.open()) {
            return results.adopt(ending.apply(blocks(set, stopLayer), set));
        }
    }

    /** Goes through the blocks, holding no more than the residual streams of two at a time. */
    private Tensor blocks(HookSet set, int stopLayer) {
        Tensor resid = residual != null ? residual.alias() : model.embed().call("forward", set, tokens);
        for (int layer = startLayer; layer < stopLayer; layer++) {
            Tensor next = model.block(layer).call("forward", set, resid);
            resid.free();
            resid = next;
        }
        return resid;
    }

    private ActivationHook keepIn(TensorScope results) {
        return (activation, name) -> {
            cache.put(name, results.adopt(activation));
            return null;
        };
    }

    static Tensor chain(List<ActivationHook> hooks, Tensor activation, String name) throws Exception {
        Tensor current = activation;
        for (ActivationHook hook : hooks) {
            Tensor next = hook.apply(current, name);
            if (next != null) current = next;
        }
        return current;
    }
}
