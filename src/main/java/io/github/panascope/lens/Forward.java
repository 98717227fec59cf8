package io.github.panascope.lens;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.GradMode;
import io.github.panascope.torch.RunHooks;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Stream;
import jdk.jfr.FlightRecorder;

/**
 * One forward pass, described and then run: {@code model.forward(tokens).hooks(h).loss()}. Results belong to the scope
 * that is innermost when it runs; temporaries are freed before it returns. Used by one thread, once.
 */
public final class Forward {
    /** What a run that is to be exact seems to have a hook at; the model's source asks for it. */
    static final String EXACT = "exact";

    private final HookedTransformer model;
    private final Tensor tokens;
    private Hooks hooks;
    private final List<Attachment> attached = new ArrayList<>();
    private int startLayer;
    private Tensor residual;
    private final Map<Integer, Tensor> checkpoints = new HashMap<>();
    private final Set<String> cached = new LinkedHashSet<>();
    private ActivationCache cache;
    private long cacheLimit = Long.MAX_VALUE;
    private long firstKept;
    private long endKept = Long.MAX_VALUE;
    private int checkpointEvery;
    private int endLayer;
    private boolean unembedded = true;
    private boolean ran;
    private Tensor mask;
    private LossWorkspace lossMemory;
    private Hooks backwardHooks = Hooks.NONE;

    Forward(HookedTransformer model, Tensor tokens) {
        this.model = model;
        this.tokens = tokens;
        this.hooks = model.hooks();
    }

    /** Calls these hooks during the run, after those of the model's view and those given before. */
    public Forward hooks(Hooks hooks) {
        this.hooks = this.hooks.and(Objects.requireNonNull(hooks, "hooks should not be null: Hooks.NONE has none"));
        return this;
    }

    /**
     * Attaches something to this run; its own hook points are then among those that hooks and {@link #caching} can
     * name.
     *
     * @throws IllegalArgumentException if something is attached there already
     */
    public Forward attach(Attachment attachment) {
        for (String point : List.of(attachment.readsAt(), attachment.writesAt()))
            Hooks.requirePoint(point, model.hookNames(), model.hookNamesOnRequest());
        if (attached.stream().anyMatch(other -> other.writesAt().equals(attachment.writesAt())))
            throw new IllegalArgumentException("something is attached at " + attachment.writesAt() + " already");
        attached.add(attachment);
        return this;
    }

    /** The model's hook points, and those of what is attached. */
    private List<String> points() {
        return Stream.concat(model.hookNames().stream(), attached.stream().flatMap(each -> each.points().stream()))
                .toList();
    }

    /**
     * Keeps the activations at the hook points whose names pass, as the other hooks leave them; {@link #cache} has them
     * afterwards. Points that are reached on request only ({@link HookPoint#onRequest}) have to be named.
     */
    public Forward caching(Predicate<String> names) {
        points().stream().filter(names).forEach(cached::add);
        if (cache == null) cache = new ActivationCache(model);
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
        if (cache == null) cache = new ActivationCache(model);
        return this;
    }

    /**
     * Of what {@link #caching} keeps, only positions from start (inclusive) to end (exclusive), of queries where there
     * are two; copies, so that the rest is let go.
     */
    public Forward cachingPositions(long start, long end) {
        if (start < 0 || end <= start)
            throw new IllegalArgumentException("positions from " + start + " to " + end + " are none");
        this.firstKept = start;
        this.endKept = end;
        return this;
    }

    /**
     * Keeps the residual stream that comes into every n-th block, from which {@link ActivationCache#get} works out what
     * was not kept, when it is asked for: at most n blocks run again, under the hooks and attachments of this run.
     * Hooks that give something else the second time make the two differ.
     */
    public Forward checkpoints(int everyBlocks) {
        if (everyBlocks < 1)
            throw new IllegalArgumentException("checkpoints are every 1 block or more, not every " + everyBlocks);
        this.checkpointEvery = everyBlocks;
        if (cache == null) cache = new ActivationCache(model);
        return this;
    }

    /**
     * Positions that are 0 here are not looked at, and those of a row are counted from its first that is not; losses
     * leave them out.
     *
     * @param mask [batch, pos] of numbers or bool, as {@link HookedTransformer#attentionMask} makes it
     */
    public Forward attentionMask(Tensor mask) {
        Objects.requireNonNull(mask, "an attention mask should not be null: a run without one needs no call");
        if (!mask.shape().equals(tokens.shape()))
            throw new IllegalArgumentException(
                    "the attention mask should have the tokens' shape " + tokens.shape() + ", not " + mask.shape());
        this.mask = LmMetrics.binary(mask).to(model.device());
        return this;
    }

    /**
     * How many bytes {@link #caching} will keep, worked out before the run: of the model's own points, in float32
     * (int64 for hook_tokens). What is attached, and hooks that change the number of positions, are not counted.
     */
    public long cacheBytes() {
        long checkpoints = checkpointEvery == 0
                ? 0
                : (model.config().nLayers() - startLayer + checkpointEvery - 1) / checkpointEvery;
        return checkpoints * tokens.shape().elements() * model.config().dModel() * DType.FLOAT32.bytes()
                + cached.stream()
                        .filter(name -> attached.stream()
                                .noneMatch(each -> each.points().contains(name)))
                        .mapToLong(this::bytes)
                        .sum();
    }

    private long bytes(String name) {
        Shape whole = point(name).shape(model.config(), tokens.size(0), tokens.size(1));
        long kept = Math.min(endKept, tokens.size(1)) - Math.min(firstKept, tokens.size(1));
        return Math.multiplyExact(whole.elements() / tokens.size(1) * kept, (long)
                (name.equals("hook_tokens") ? DType.INT64 : DType.FLOAT32).bytes());
    }

    /** Refuses the run, before anything is computed, if {@link #cacheBytes} is more than this. */
    public Forward cacheLimit(long bytes) {
        this.cacheLimit = bytes;
        return this;
    }

    /**
     * Begins at a block, with this residual stream coming into it. A negative layer counts from the end.
     *
     * @param residual [batch, pos, d_model] in the model's dtype, for the tokens of this run
     * @throws IllegalArgumentException if it has another shape or dtype
     */
    public Forward startAtLayer(int layer, Tensor residual) {
        Objects.requireNonNull(residual, "startAtLayer needs the residual stream that comes into the block");
        Shape expected = Shape.of(tokens.size(0), tokens.size(1), model.config().dModel());
        if (!residual.shape().equals(expected) || residual.dtype() != model.dtype())
            throw new IllegalArgumentException("the residual stream should be " + expected + " of " + model.dtype()
                    + " for these tokens, not " + residual);
        startFrom(model.layerIndex(layer), residual);
        return this;
    }

    private void startFrom(int layer, Tensor stream) {
        this.startLayer = layer;
        this.residual = stream;
    }

    /**
     * What {@link #caching} asked for; after the run.
     *
     * @throws IllegalStateException if nothing was asked for, or before the run
     */
    public ActivationCache cache() {
        if (cache != null && !ran)
            throw new IllegalStateException(
                    "nothing is cached before the run: call logits(), loss() or another method that runs first");
        if (cache == null) throw new IllegalStateException("nothing was cached: call caching(...) before the run");
        return cache;
    }

    /** Runs everything. Logits [batch, pos, d_vocab] in the model's dtype. */
    public Tensor logits() {
        return run(model.config().nLayers(), (resid, set) -> model.unembed().call("forward", set, resid));
    }

    /**
     * The logits [batch, end - first, d_vocab] of the positions from first (inclusive) to end (exclusive); hooks hear
     * of all positions.
     */
    public Tensor logits(long first, long end) {
        return run(model.config().nLayers(), (resid, set) -> {
            if (first < 0 || end < first || end > resid.size(1))
                throw new IndexOutOfBoundsException("positions from " + first + " to " + end + " are outside the "
                        + resid.size(1) + " positions of the run");
            return model.isExact()
                    ? model.unembed().call("forward", set, resid).slice(1, first, end)
                    : model.unembed().call("forward", set, resid, first, end);
        });
    }

    /**
     * A number that a run ended in, and what it depends on at hook points: the activations, as the other hooks left
     * them, and its gradients with respect to them, under the same names and of the same shapes. The tensors belong to
     * the scope that was innermost when the run began.
     */
    public record Gradients(double value, ActivationCache activations, ActivationCache gradients) {}

    /**
     * Calls these hooks with the gradients of activations as {@link #gradients} computes them, last points first; what
     * they return flows on. They may name any hook point, and are called like other hooks, with the point's name.
     */
    public Forward backwardHooks(Hooks hooks) {
        this.backwardHooks = backwardHooks.and(hooks);
        return this;
    }

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
        HookTable backward = backwardHooks.resolve(points(), model.hookNamesOnRequest());
        Set<String> wanted = new LinkedHashSet<>(List.of(names));
        Set<String> watched = new LinkedHashSet<>(wanted);
        watched.addAll(backward.names());
        Hooks all = hooks;
        try (var scope = TensorScope.open();
                var _ = GradMode.enable();
                RunHooks set = new RunHooks(List.of(), (gradient, name) -> backward.call(name, gradient))) {
            for (String name : watched) {
                all = all.and(name, (activation, point) -> {
                    Tensor kept = GradMode.flowsThrough(activation) ? activation : GradMode.leaf(activation);
                    reached.put(name, scope.adopt(kept));
                    if (backward.has(name)) set.onGradient(name, kept);
                    return kept;
                });
            }
            Tensor number = metric.apply(run(
                    results,
                    all,
                    true,
                    model.config().nLayers(),
                    (resid, handlers) -> model.unembed().call("forward", handlers, resid)));
            List<String> points = List.copyOf(reached.keySet());
            Tensor[] found = GradMode.gradients(
                    set, number, points.stream().map(reached::get).toArray(Tensor[]::new));
            ActivationCache activations = new ActivationCache(model);
            ActivationCache gradients = new ActivationCache(model);
            for (int i = 0; i < found.length; i++) {
                if (!wanted.contains(points.get(i))) continue;
                activations.put(
                        points.get(i), results.adopt(reached.get(points.get(i)).detach()));
                gradients.put(points.get(i), results.adopt(found[i]));
            }
            return new Gradients(number.detach().item(), activations, gradients);
        }
    }

    /** Uses memory that several runs share, one after the other, for {@link #lossPerToken}. */
    public Forward lossMemory(LossWorkspace memory) {
        this.lossMemory = memory;
        return this;
    }

    /**
     * Runs everything but the logits as a whole. Cross-entropy of each next token, in nats, float32 [batch, pos-1]; 0
     * where the attention mask has either of the two tokens at 0.
     */
    public Tensor lossPerToken() {
        requireTargets();
        return run(model.config().nLayers(), (resid, set) -> {
            LossWorkspace memory = lossMemory != null
                    ? lossMemory
                    : LossWorkspace.of(model, tokens.shape().elements());
            Tensor losses = model.unembed().call("loss", set, resid, tokens, memory.products(), memory.logits());
            return mask == null ? losses : LmMetrics.masked(losses, LmMetrics.nextTokenMask(mask));
        });
    }

    /** The mean of {@link #lossPerToken} over all positions that the attention mask leaves, in nats. */
    public double loss() {
        Tensor losses = lossPerToken(); // not inside a scope of its own, which would take what was cached with it
        try (var _ = TensorScope.open()) {
            return mask == null
                    ? losses.mean().item()
                    : losses.sum(DType.FLOAT32).item()
                            / LmMetrics.nextTokenMask(mask).sum(DType.INT64).item();
        } finally {
            losses.free();
        }
    }

    /** Logits, and the loss computed from them. */
    public record LogitsAndLoss(Tensor logits, double loss) {}

    /** Runs once for both. Holds all logits: [batch, pos, d_vocab]. */
    public LogitsAndLoss logitsAndLoss() {
        requireTargets();
        Tensor logits = logits();
        return new LogitsAndLoss(logits, LmMetrics.crossEntropyLoss(logits, tokens, mask));
    }

    /**
     * Runs the blocks before a layer; the residual stream [batch, pos, d_model] coming into it. Negative layers count
     * from the end.
     */
    public Tensor stopAtLayer(int layer) {
        unembedded = false;
        int stop = layer == model.config().nLayers() ? layer : model.layerIndex(layer);
        if (stop < startLayer)
            throw new IllegalArgumentException(
                    "a run that starts at layer " + startLayer + " cannot stop before layer " + stop);
        return run(stop, (resid, set) -> resid);
    }

    private void requireTargets() {
        if (tokens == null || tokens.size(1) < 2)
            throw new IllegalArgumentException("a loss needs at least two tokens: each position predicts the next");
    }

    @FunctionalInterface
    private interface Ending {
        Tensor apply(Tensor resid, RunHooks set);
    }

    private Tensor run(int stopLayer, Ending ending) {
        return run(TensorScope.current(), hooks, false, stopLayer, ending);
    }

    /**
     * The result lands in the innermost scope, what is kept elsewhere.
     *
     * @param detached whether what is kept is cut off from gradients, which it would keep alive
     */
    private Tensor run(TensorScope keep, Hooks under, boolean detached, int stopLayer, Ending ending) {
        if (ran)
            throw new IllegalStateException(
                    "this Forward has run already, and what it cached would be lost: describe another one with"
                            + " model.forward(tokens)");
        if (cacheLimit != Long.MAX_VALUE && cacheBytes() > cacheLimit) {
            throw new IllegalStateException("keeping " + cached.size() + " activations takes " + cacheBytes()
                    + " bytes, more than the limit of " + cacheLimit + ": keep fewer, or run fewer rows at once");
        }
        ran = true;
        RunEvent event =
                FlightRecorder.isInitialized() ? RunEvent.started() : null; // whose class would start the recorder
        endLayer = stopLayer;
        try {
            HookTable resolved = under.resolve(points(), model.hookNamesOnRequest());
            for (String point : cached) resolved.add(point, keepIn(keep, detached));
            for (Attachment attachment : attached) attachment.addTo(resolved, () -> tokens);
            if (checkpointEvery > 0) cache.recompute(this::recompute);
            if (model.isExact()) resolved.listen(EXACT);
            if (resolved.isEmpty()) return result(keep, null, detached, stopLayer, ending);
            try (RunHooks set = resolved.open()) {
                return result(keep, set, detached, stopLayer, ending);
            }
        } finally {
            if (event != null) event.finish(model.name(), tokens, startLayer, stopLayer, cached.size());
        }
    }

    private Tensor result(TensorScope keep, RunHooks set, boolean detached, int stopLayer, Ending ending) {
        TensorScope results = TensorScope.current();
        try (var _ = TensorScope.open()) {
            return results.adopt(ending.apply(blocks(keep, set, detached, stopLayer), set));
        }
    }

    /** Goes through the blocks, holding no more than the residual streams of two at a time, and checkpoints. */
    private Tensor blocks(TensorScope keep, RunHooks set, boolean detached, int stopLayer) {
        Tensor resid = residual != null ? residual.alias() : model.embed().call("forward", set, tokens, mask);
        for (int layer = startLayer; layer < stopLayer; layer++) {
            // A copy where something could write to it: a hook in place, on what comes in.
            if (checkpointEvery > 0 && (layer - startLayer) % checkpointEvery == 0)
                checkpoints.put(
                        layer, keep.adopt(detached ? resid.detach().copy() : set == null ? resid : resid.copy()));
            RunInterruptedException.check("running the model");
            Tensor next = model.block(layer).call("forward", set, resid, mask);
            resid.free();
            resid = next;
        }
        return resid;
    }

    private Hook keepIn(TensorScope keep, boolean detached) {
        return (activation, point) -> {
            Tensor kept = detached ? activation.detach() : activation;
            if (endKept != Long.MAX_VALUE) {
                int dimension = point.dimension(HookPoint.Axis.POS);
                kept = kept.slice(dimension, firstKept, Math.min(endKept, activation.size(dimension)))
                        .copy();
            }
            cache.put(point.name(), keep.adopt(kept));
            return null;
        };
    }

    /** What this run had at a point that was not kept; null if it did not pass there. */
    private Tensor recompute(String name) {
        if (!points().contains(name) && !model.hookNamesOnRequest().contains(name)) return null;
        int layers = model.config().nLayers();
        int layer = Math.min(point(name).block(), layers);
        boolean passed =
                layer < 0 ? residual == null : layer < layers ? layer >= startLayer && layer < endLayer : unembedded;
        if (!passed) return null;
        Forward again = new Forward(model, tokens);
        again.hooks = hooks;
        again.attached.clear();
        again.attached.addAll(attached);
        again.mask = mask;
        again.firstKept = firstKept;
        again.endKept = endKept;
        again.caching(name);
        try (var _ = TensorScope.open()) {
            int from = checkpointBefore(Math.min(layer, layers - 1));
            // Copies, as a hook may write to them; hooks may have changed the number of positions too.
            if (from >= 0) again.startFrom(from, checkpoints.get(from).copy());
            else if (residual != null) again.startFrom(startLayer, residual.copy());
            again.run(
                    TensorScope.current(),
                    hooks,
                    false,
                    layer + (layer < layers ? 1 : 0),
                    (resid, set) -> layer < layers ? resid : model.unembed().call("normalize", set, resid));
            return again.cache.has(name) ? again.cache.get(name).promote() : null;
        }
    }

    /** One of the points of the model, or of what is attached. */
    private static HookPoint point(String name) {
        return HookPoint.of(name).orElseThrow();
    }

    /** The last checkpoint at or before a block from which no attachment is cut in two; -1 if there is none. */
    private int checkpointBefore(int layer) {
        return checkpoints.keySet().stream()
                .filter(at -> at <= layer
                        && attached.stream()
                                .noneMatch(each -> point(each.readsAt()).block() < at
                                        && point(each.writesAt()).block() >= at))
                .mapToInt(Integer::intValue)
                .max()
                .orElse(-1);
    }

    /** The model, the shape of the tokens, and whether it has run. */
    @Override
    public String toString() {
        return "Forward(" + model.name() + ", tokens " + tokens.shape() + (ran ? ", has run" : "") + ")";
    }
}
