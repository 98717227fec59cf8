package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A TorchScript module, whose methods Panascope compiles from source. The source may call
 * {@code lens.hook_point(tensor, "name")}, which returns the tensor or the hook's replacement. With
 * {@code lens.hook_point(tensor, self.part, "name")} the hook point's name is both texts joined. A module belongs to
 * the scope that it was made in, and shares its parameters' memory with the tensors that they were made from. Any
 * number of threads may call it at the same time.
 *
 * <pre>{@code
 * try (TensorScope scope = TensorScope.open()) {
 *     ScriptModule module = ScriptModule.create("Double", scope);
 *     module.define("""
 *             def forward(self, x):
 *                 return lens.hook_point(x * 2, "doubled")
 *             """);
 *     ActivationHook negate = (activation, name) -> activation.mul(-1);
 *     try (RunHooks hooks = new RunHooks(List.of("doubled"), negate)) {
 *         Tensor x = Tensor.of(new float[] {1, 2}, Shape.of(2));
 *         Tensor y = module.call("forward", hooks, x);
 *         System.out.println(Arrays.toString(y.toFloats())); // [-2.0, -4.0]
 *     }
 * }
 * }</pre>
 */
public final class ScriptModule {
    private final MemorySegment handle;
    private final TensorScope scope;

    private ScriptModule(MemorySegment pointer, TensorScope scope) {
        this.handle = scope.ownModule(pointer);
        this.scope = scope;
    }

    private MemorySegment handle() {
        scope.checkUsable();
        return handle;
    }

    /**
     * Makes an empty module.
     *
     * @param name  the name of its type in saved code
     * @param scope the scope that owns the module
     * @return the module
     */
    public static ScriptModule create(String name, TensorScope scope) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_new(scratch.text(name), out), "making module " + name);
            return new ScriptModule(out.get(ADDRESS, 0), scope);
        }
    }

    /**
     * Makes another module of this one's type: with the methods compiled for it, and without a value for any parameter,
     * text or submodule. Each of those has to be registered again before a call.
     *
     * @param scope the scope that owns the new module
     * @return the new module
     */
    public ScriptModule like(TensorScope scope) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_like(handle(), out), "making a module like another");
            return new ScriptModule(out.get(ADDRESS, 0), scope);
        }
    }

    /**
     * A module loaded from a {@code .pt} file, and the metadata saved with it.
     *
     * @param module   the module
     * @param metadata the metadata; empty if the file has none
     */
    public record Loaded(ScriptModule module, String metadata) {}

    /**
     * Loads a {@code .pt} file onto a device. TorchScript in a file is code, and some of it ({@code __setstate__}) runs
     * during loading: load only files that are trusted.
     *
     * @param file   the file
     * @param device the device that holds the parameters
     * @param scope  the scope that owns the module
     * @return the module and its metadata
     * @throws TorchException if the file is missing or is not TorchScript
     * @throws IllegalArgumentException if the device cannot be used
     */
    public static Loaded load(Path file, Device device, TensorScope scope) {
        device.requireUsable();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            MemorySegment metadata = scratch.pointer();
            Native.check(
                    Psc.psc_module_load(scratch.text(file.toString()), device.code(), device.index(), out, metadata),
                    "loading " + file);
            return new Loaded(new ScriptModule(out.get(ADDRESS, 0), scope), Native.text(metadata.get(ADDRESS, 0)));
        } catch (TorchOutOfMemoryException e) {
            throw e;
        } catch (TorchException e) { // the lines after the first one are source code of libtorch or of the file
            throw new TorchException(e.getMessage().lines().findFirst().orElse("loading " + file + " failed"));
        }
    }

    /**
     * Writes a {@code .pt} file in place: the former file is lost even if the disk is full before the new one is
     * complete. Other programs can load the file where {@code lens::hook_point} is registered.
     *
     * @param file     the file to write
     * @param metadata a text saved beside the code
     * @throws TorchException if the file cannot be written
     */
    public void save(Path file, String metadata) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(
                    Psc.psc_module_save(handle(), scratch.text(file.toString()), scratch.text(metadata)),
                    "saving " + file);
        }
    }

    /**
     * Registers a parameter, which shares the tensor's memory.
     *
     * @param name   the name of the parameter
     * @param tensor its value
     * @return this module
     */
    public ScriptModule parameter(String name, Tensor tensor) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(
                    Psc.psc_module_add_parameter(handle(), scratch.text(name), tensor.handle()),
                    "adding parameter " + name);
        }
        return this;
    }

    /**
     * Registers a text, which methods can read as an attribute.
     *
     * @param name the name of the attribute
     * @param text its value
     * @return this module
     */
    public ScriptModule text(String name, String text) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(
                    Psc.psc_module_add_text(handle(), scratch.text(name), scratch.text(text)), "adding text " + name);
        }
        return this;
    }

    /**
     * Registers a submodule.
     *
     * @param name   the name of the submodule
     * @param module the submodule
     * @return this module
     */
    public ScriptModule child(String name, ScriptModule module) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(
                    Psc.psc_module_add_child(handle(), scratch.text(name), module.handle()), "adding module " + name);
        }
        return this;
    }

    /**
     * Compiles methods.
     *
     * @param source TorchScript source of one or more methods
     * @return this module
     * @throws TorchException with the compiler's message, if the source does not compile
     */
    public ScriptModule define(String source) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(Psc.psc_module_define(handle(), scratch.text(source)), "compiling TorchScript");
        }
        return this;
    }

    /**
     * Returns a submodule by name.
     *
     * @param name the name of the submodule
     * @return the submodule, in this module's scope
     * @throws TorchException if there is no such submodule
     */
    public ScriptModule child(String name) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_child(handle(), scratch.text(name), out), "submodule " + name);
            return new ScriptModule(out.get(ADDRESS, 0), scope);
        }
    }

    /**
     * Returns a parameter of this module by name.
     *
     * @param name the name of the parameter
     * @return a handle to the parameter, in the innermost scope
     * @throws TorchException if there is no such parameter
     */
    public Tensor parameter(String name) {
        TensorScope current = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_parameter(handle(), scratch.text(name), out), "parameter " + name);
            return current.own(out.get(ADDRESS, 0));
        }
    }

    /**
     * Lists the parameters, including those of submodules.
     *
     * @return the names, such as {@code blocks_0.W_O}
     */
    public List<String> parameterNames() {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_parameter_names(handle(), out), "parameter names");
            return Native.text(out.get(ADDRESS, 0)).lines().toList();
        }
    }

    /**
     * Calls a method and returns its first result, which has to be a tensor. Records gradients only while
     * {@link GradMode} is enabled for the thread. An exception of a hook ends the run and is rethrown unchanged, even a
     * checked one.
     *
     * @param method    the name of the method
     * @param hooks     the hook points and their hook; null for none
     * @param arguments the arguments, as for {@link Op#call}
     * @return the first result, in the innermost scope
     * @throws IllegalStateException if no scope is open, or the first result is not a tensor
     * @throws TorchException if the arguments do not fit the method, or it fails
     * @throws StackOverflowError if too little of the thread's stack is left to call a hook
     */
    public Tensor call(String method, @Nullable RunHooks hooks, @Nullable Object... arguments) {
        Tensor[] results = callForAll(method, hooks, arguments);
        return Op.tensors(1, results, "the method " + method)[0];
    }

    /**
     * Calls a method and returns all its results, which have to be tensors. Records gradients only while
     * {@link GradMode} is enabled for the thread. An exception of a hook ends the run and is rethrown unchanged, even a
     * checked one.
     *
     * @param method    the name of the method
     * @param hooks     the hook points and their hook; null for none
     * @param arguments the arguments, as for {@link Op#call}
     * @return the results in order, in the innermost scope
     * @throws IllegalStateException if no scope is open, or a result is not a tensor
     * @throws TorchException if the arguments do not fit the method, or it fails
     * @throws StackOverflowError if too little of the thread's stack is left to call a hook
     */
    public Tensor[] callForAll(String method, @Nullable RunHooks hooks, @Nullable Object... arguments) {
        TensorScope current = TensorScope.current();
        Events.Allocation allocation = Events.allocation();
        Events.Operator event = Events.operator();
        try (Scratch scratch = Scratch.open();
                Values values = Values.of(scratch, arguments)) {
            MemorySegment results = values.results();
            MemorySegment count = scratch.ints(1);
            MemorySegment call = Native.call(scratch, allocation != null);
            MemorySegment listening = hooks == null ? MemorySegment.NULL : hooks.handle();
            int status;
            scope.acquire(); // so that no other thread can close the scope between this check and the call
            try {
                status = Psc.psc_module_call(
                        handle,
                        scratch.text(method),
                        listening,
                        call,
                        values.segment(),
                        arguments.length,
                        results,
                        Values.MAX_RESULTS,
                        count);
            } finally {
                scope.release();
            }
            if (allocation != null) allocation.watched(call);
            if (status == Psc.PSC_ERR_CALLBACK() && hooks != null) {
                hooks.rethrow();
                throw new StackOverflowError(
                        Native.text(Psc.psc_last_error())); // the shim calls no hook when the stack is too small
            }
            Native.check(status, () -> method + Values.describe(arguments));
            Object[] found = Values.read(results, count, current);
            return Op.tensors(found.length, found, "the method " + method);
        } finally {
            if (allocation != null) allocation.finish("TorchScript " + method);
            if (event != null) event.finish("TorchScript " + method, arguments);
        }
    }

    /** {@return the scope that owns the module} */
    @Override
    public String toString() {
        return "ScriptModule(" + scope + ")";
    }
}
