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
 * One forward pass of a model, which is described first and then run: {@code model.forward(tokens).hooks(h).loss()}.
 * Results belong to the scope that is innermost when the pass runs; temporaries are freed before the call returns. An
 * instance is used by one thread and runs once.
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small")) {
 *     Forward forward = model.forward("The Eiffel Tower is in the city of Paris")
 *             .hooks(Hooks.at("blocks.3.hook_attn_out", Edits.zero()))
 *             .caching("blocks.6.hook_resid_pre");
 *     double loss = forward.loss();
 *     Tensor stream = forward.cache().get("blocks.6.hook_resid_pre"); // [1, pos, d_model]
 *     System.out.println("loss without the attention of block 3: " + loss + ", " + stream);
 * }
 * }</pre>
 */
public final class Forward {
    /**
     * The name of no hook point. An exact run has a hook at it, and the TorchScript sources ask {@code
     * lens.hooked("exact")} to choose the operators that go step by step.
     */
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
    private LossWorkspace lossWorkspace;
    private Hooks backwardHooks = Hooks.NONE;

    Forward(HookedTransformer model, Tensor tokens) {
        this.model = model;
        this.tokens = tokens;
        this.hooks = model.hooks();
    }

    /**
     * Adds hooks that are called during the run, after those of {@link HookedTransformer#with(Hooks)} and those added
     * before.
     *
     * @param hooks the hooks
     * @return this forward pass
     */
    public Forward hooks(Hooks hooks) {
        this.hooks = this.hooks.and(Objects.requireNonNull(hooks, "hooks should not be null: Hooks.NONE has none"));
        return this;
    }

    /**
     * Attaches a component to this run. Its own hook points can then be named by hooks and by {@link #caching}.
     *
     * @param attachment the component, such as an SAE
     * @return this forward pass
     * @throws IllegalArgumentException if the model lacks a point that the attachment reads or writes, or if another
     *     attachment writes the same point
     */
    public Forward attach(Attachment attachment) {
        for (String point : List.of(attachment.readsAt(), attachment.writesAt()))
            Hooks.requirePoint(point, model.hookNames(), model.hookNamesOnRequest());
        if (attached.stream().anyMatch(other -> other.writesAt().equals(attachment.writesAt())))
            throw new IllegalArgumentException("something is attached at " + attachment.writesAt() + " already");
        attached.add(attachment);
        return this;
    }

    /** Returns the names of the hook points of the model and of the attachments. */
    private List<String> points() {
        return Stream.concat(model.hookNames().stream(), attached.stream().flatMap(each -> each.points().stream()))
                .toList();
    }

    /**
     * Keeps the activations at the hook points whose names the predicate accepts, as the other hooks leave them. {@link
     * #cache} returns them after the run. Points that are reached on request only ({@link HookPoint#onRequest}) are not
     * offered to the predicate; name them in {@link #caching(String...)}. The points of an attachment are offered if it
     * was attached before this call.
     *
     * @param names the predicate of whole hook point names
     * @return this forward pass
     */
    public Forward caching(Predicate<String> names) {
        points().stream().filter(names).forEach(cached::add);
        if (cache == null) cache = new ActivationCache(model, tokens.size(0));
        return this;
    }

    /**
     * Keeps the activations at these hook points, as the other hooks leave them. {@link #cache} returns them after the
     * run.
     *
     * @param names the whole names of hook points, those that are reached on request included
     * @return this forward pass
     * @throws IllegalArgumentException if neither the model nor an attachment has a hook point of that name
     */
    public Forward caching(String... names) {
        for (String name : names) Hooks.requirePoint(name, points(), model.hookNamesOnRequest());
        cached.addAll(List.of(names));
        if (cache == null) cache = new ActivationCache(model, tokens.size(0));
        return this;
    }

    /**
     * Keeps only a range of positions of the activations that {@link #caching} selects; at attention scores and
     * patterns, of the query positions. The kept parts are copies, so that the memory of the other positions is freed.
     *
     * @param start the first position, from 0
     * @param end   the position after the last
     * @return this forward pass
     * @throws IllegalArgumentException if {@code start} is negative or {@code end} is not greater than {@code start}
     */
    public Forward cachingPositions(long start, long end) {
        if (start < 0 || end <= start)
            throw new IllegalArgumentException("positions from " + start + " to " + end + " are none");
        this.firstKept = start;
        this.endKept = end;
        return this;
    }

    /**
     * Keeps the residual stream that enters every n-th block, as a checkpoint. From it {@link ActivationCache#get}
     * computes an activation that was not kept, when it is asked for: at most n blocks run again, under the hooks and
     * attachments of this run. The result differs from the first run if a hook returns something else the second time.
     *
     * @param everyBlocks the number of blocks from one checkpoint to the next, at least 1
     * @return this forward pass
     * @throws IllegalArgumentException if {@code everyBlocks} is less than 1
     */
    public Forward checkpoints(int everyBlocks) {
        if (everyBlocks < 1)
            throw new IllegalArgumentException("checkpoints are every 1 block or more, not every " + everyBlocks);
        this.checkpointEvery = everyBlocks;
        if (cache == null) cache = new ActivationCache(model, tokens.size(0));
        return this;
    }

    /**
     * Sets an attention mask. Positions at which it is 0 are not attended to, get no position number (the next position
     * takes it), and no loss.
     *
     * @param mask [batch, pos] of numbers or bool, as {@link HookedTransformer#attentionMask} makes it
     * @return this forward pass
     * @throws IllegalArgumentException if the mask does not have the shape of the tokens
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
     * Computes, before the run, how many bytes {@link #caching} and {@link #checkpoints} will keep. Activations of the
     * model's own points count as float32, hook_tokens as int64. Points of attachments, and hooks that change the
     * number of positions, are not considered.
     *
     * @return the number of bytes
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

    /**
     * Limits the memory of kept activations. If {@link #cacheBytes} is larger, the run is refused before anything is
     * computed, with an {@link IllegalStateException}.
     *
     * @param bytes the limit in bytes
     * @return this forward pass
     */
    public Forward cacheLimit(long bytes) {
        this.cacheLimit = bytes;
        return this;
    }

    /**
     * Starts the run at a block, with this residual stream as its input.
     *
     * @param layer    the block, counted from the end if negative
     * @param residual the stream that enters the block, [batch, pos, d_model] in the model's dtype, for the tokens of
     *     this run
     * @return this forward pass
     * @throws IllegalArgumentException if the model has no such block, or if the stream has another shape or dtype
     */
    public Forward startAtLayer(int layer, Tensor residual) {
        Objects.requireNonNull(residual, "startAtLayer needs the residual stream that comes into the block");
        Shape expected = Shape.of(tokens.size(0), tokens.size(1), model.config().dModel());
        if (!residual.shape().equals(expected) || residual.dtype() != model.dtype())
            throw new IllegalArgumentException("the residual stream should be " + expected + " of " + model.dtype()
                    + " for these tokens, not " + residual.describe());
        startFrom(model.layerIndex(layer), residual);
        return this;
    }

    private void startFrom(int layer, Tensor stream) {
        this.startLayer = layer;
        this.residual = stream;
    }

    /**
     * {@return the activations that {@link #caching} or {@link #checkpoints} asked for, after the run}
     *
     * @throws IllegalStateException if nothing was asked for, or if the pass has not run yet
     */
    public ActivationCache cache() {
        if (cache != null && !ran)
            throw new IllegalStateException(
                    "nothing is cached before the run: call logits(), loss() or another method that runs first");
        if (cache == null) throw new IllegalStateException("nothing was cached: call caching(...) before the run");
        return cache;
    }

    /**
     * Runs the model to its end.
     *
     * @return the logits, [batch, pos, d_vocab] in the model's dtype, in the innermost scope
     * @throws IllegalStateException if this pass has run already, or if {@link #cacheLimit} is exceeded
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor logits() {
        return run(model.config().nLayers(), (resid, set) -> model.unembed().call("forward", set, resid));
    }

    /**
     * Runs the model to its end and unembeds a range of positions only. Hooks are called with all positions.
     *
     * @param first the first position, from 0
     * @param end   the position after the last
     * @return the logits, [batch, end - first, d_vocab] in the model's dtype, in the innermost scope
     * @throws IndexOutOfBoundsException if the range is not within the positions of the run
     * @throws IllegalStateException if this pass has run already, or if {@link #cacheLimit} is exceeded
     * @throws RunInterruptedException if the thread is interrupted
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
     * A number computed from a run, and its gradients with respect to activations. The tensors belong to the scope that
     * was innermost when the run began.
     *
     * @param value       the number
     * @param activations the activations at the requested hook points, as the other hooks left them
     * @param gradients   the gradients of the number with respect to these activations, under the same names and of the
     *     same shapes
     */
    public record Gradients(double value, ActivationCache activations, ActivationCache gradients) {}

    /**
     * Adds hooks that are called with the gradients of activations while {@link #gradients} computes them, in the
     * reverse order of the run. What a hook returns flows on in the place of the gradient. The hooks may name any hook
     * point and receive the gradient and the hook point, like hooks on activations.
     *
     * @param hooks the hooks, after those that were added before
     * @return this forward pass
     */
    public Forward backwardHooks(Hooks hooks) {
        this.backwardHooks = backwardHooks.and(hooks);
        return this;
    }

    /**
     * Runs the model to its end, computes a number from the logits, and computes the gradients of that number with
     * respect to activations.
     *
     * @param metric computes a tensor of one element from the logits [batch, pos, d_vocab], with this library's
     *     operators
     * @param names  the hook points at which gradients are wanted
     * @return the number, and the activations and gradients at those of these points that the run reached
     * @throws IllegalArgumentException if neither the model nor an attachment has a hook point of that name
     * @throws IllegalStateException if this pass has run already, or if {@link #cacheLimit} is exceeded
     * @throws RunInterruptedException if the thread is interrupted
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
            ActivationCache activations = new ActivationCache(model, tokens.size(0));
            ActivationCache gradients = new ActivationCache(model, tokens.size(0));
            for (int i = 0; i < found.length; i++) {
                if (!wanted.contains(points.get(i))) continue;
                activations.put(
                        points.get(i), results.adopt(reached.get(points.get(i)).detach()));
                gradients.put(points.get(i), results.adopt(found[i]));
            }
            return new Gradients(number.detach().item(), activations, gradients);
        }
    }

    /**
     * Sets the memory that {@link #lossPerToken} uses for logits, which several runs may share one after the other.
     * Without it each run allocates its own.
     *
     * @param memory a workspace made for this model
     * @return this forward pass
     */
    public Forward lossWorkspace(LossWorkspace memory) {
        this.lossWorkspace = memory;
        return this;
    }

    /**
     * Runs the model to its end, without holding all logits at once, and computes the cross-entropy of each next token.
     *
     * @return the losses in nats, float32 [batch, pos-1], in the innermost scope; 0 where the attention mask is 0 at
     *     either of the two tokens
     * @throws IllegalArgumentException if there are fewer than two positions
     * @throws IllegalStateException if this pass has run already, or if {@link #cacheLimit} is exceeded
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor lossPerToken() {
        requireTargets();
        return run(model.config().nLayers(), (resid, set) -> {
            LossWorkspace memory = lossWorkspace != null
                    ? lossWorkspace
                    : LossWorkspace.of(model, tokens.shape().elements());
            Tensor losses = model.unembed().call("loss", set, resid, tokens, memory.products(), memory.logits());
            return mask == null ? losses : LmMetrics.masked(losses, LmMetrics.nextTokenMask(mask));
        });
    }

    /**
     * Runs the model to its end and averages {@link #lossPerToken} over all positions where the attention mask is 1.
     *
     * @return the mean loss in nats
     * @throws IllegalArgumentException if there are fewer than two positions
     * @throws IllegalStateException if this pass has run already, or if {@link #cacheLimit} is exceeded
     * @throws RunInterruptedException if the thread is interrupted
     */
    public double loss() {
        Tensor losses = lossPerToken(); // outside the scope below, which would free the cached activations too
        try (var _ = TensorScope.open()) {
            return mask == null
                    ? losses.mean().item()
                    : losses.sum(DType.FLOAT32).item()
                            / LmMetrics.nextTokenMask(mask).sum(DType.INT64).item();
        } finally {
            losses.free();
        }
    }

    /**
     * Logits, and the loss computed from them.
     *
     * @param logits [batch, pos, d_vocab] in the model's dtype
     * @param loss   the mean cross-entropy of the next tokens, in nats
     */
    public record LogitsAndLoss(Tensor logits, double loss) {}

    /**
     * Runs the model to its end once for the logits and the loss. Holds all logits, [batch, pos, d_vocab].
     *
     * @return the logits, in the innermost scope, and the mean loss over the positions where the attention mask is 1
     * @throws IllegalArgumentException if there are fewer than two positions
     * @throws IllegalStateException if this pass has run already, or if {@link #cacheLimit} is exceeded
     * @throws RunInterruptedException if the thread is interrupted
     */
    public LogitsAndLoss logitsAndLoss() {
        requireTargets();
        Tensor logits = logits();
        return new LogitsAndLoss(logits, LmMetrics.crossEntropyLoss(logits, tokens, mask));
    }

    /**
     * Runs the blocks before a layer.
     *
     * @param layer the first block that does not run, counted from the end if negative; n_layers to run all blocks
     * @return the residual stream that enters the layer, [batch, pos, d_model] in the model's dtype, in the innermost
     *     scope
     * @throws IllegalArgumentException if the model has no such layer, or if the run starts after it
     * @throws IllegalStateException if this pass has run already, or if {@link #cacheLimit} is exceeded
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor stopAtLayer(int layer) {
        int stop = layer == model.config().nLayers() ? layer : model.layerIndex(layer);
        if (stop < startLayer)
            throw new IllegalArgumentException(
                    "a run that starts at layer " + startLayer + " cannot stop before layer " + stop);
        unembedded = false;
        return run(stop, (resid, set) -> resid);
    }

    /**
     * Runs the model as far as a hook point: no block after that of the point, and no unembedding.
     *
     * @param name the whole name of the hook point, which may be one that is reached on request
     * @return the activation at the point, as the hooks leave it, in the innermost scope
     * @throws IllegalArgumentException if neither the model nor an attachment has a hook point of that name, or if the
     *     run starts after it
     * @throws IllegalStateException if this pass has run already, or if {@link #cacheLimit} is exceeded
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor activation(String name) {
        Hooks.requirePoint(name, points(), model.hookNamesOnRequest());
        HookPoint point = point(name);
        int layers = model.config().nLayers();
        if (startLayer > 0 && point.block() < startLayer)
            throw new IllegalArgumentException(
                    "a run that starts at layer " + startLayer + " does not reach " + name + ", which is before it");
        boolean isInput = point.isInBlock() && point.part().equals("hook_resid_pre");
        // The input of a block needs no part of that block, unless the block has to tell of it.
        boolean isPlain = hooks.isEmpty() && attached.isEmpty() && cached.isEmpty() && endKept == Long.MAX_VALUE;
        if (isInput && isPlain) return stopAtLayer(point.block());
        caching(name);
        if (point.block() == HookPoint.AFTER_BLOCKS)
            run(layers, (resid, set) -> model.unembed().call("normalize", set, resid))
                    .free();
        else stopAtLayer(Math.min(point.block() + 1, layers)).free();
        return cache().get(name);
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
     * Runs the pass. The result belongs to the innermost scope.
     *
     * @param keep      the scope that kept activations belong to
     * @param under     the hooks of this run
     * @param detached  true to cut kept activations off from gradients, whose graph they would otherwise keep alive
     * @param stopLayer the first block that does not run
     * @param ending    computes the result from the residual stream
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
                FlightRecorder.isInitialized() ? RunEvent.started() : null; // loading RunEvent starts the recorder
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

    /** Runs the blocks. Besides checkpoints, it holds the residual streams of at most two blocks at a time. */
    private Tensor blocks(TensorScope keep, RunHooks set, boolean detached, int stopLayer) {
        Tensor resid = residual != null ? residual.alias() : model.embed().call("forward", set, tokens, mask);
        for (int layer = startLayer; layer < stopLayer; layer++) {
            // Copied where hooks are set, because a hook could edit the incoming stream in place.
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
                kept = cache.positions(kept, point, firstKept, endKept).copy();
            }
            cache.put(point.name(), keep.adopt(kept));
            return null;
        };
    }

    /**
     * Computes again what this run had at a point that was not kept. Returns null if the run did not pass the point.
     */
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
            // Copied, because a hook may edit the stream in place. Hooks may also have changed the number of positions.
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

    /** Returns the hook point of a name that the model or an attachment has. */
    private static HookPoint point(String name) {
        return HookPoint.of(name).orElseThrow();
    }

    /**
     * Returns the last checkpoint at or before a block such that no attachment reads before the checkpoint and writes
     * after it; -1 if there is none.
     */
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

    /** {@return the name of the model, the shape of the tokens, and whether the pass has run} */
    @Override
    public String toString() {
        return "Forward(" + model.name() + ", tokens " + tokens.shape() + (ran ? ", has run" : "") + ")";
    }
}
