package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A TorchScript module. Its source may call {@code lens.hook_point(tensor, "name")}, which returns the tensor, or what
 * a hook puts in its place; or {@code lens.hook_point(tensor, self.part, "name")}, which hooks at the name of both
 * together hear of. A module belongs to the scope it was made in; it shares its parameters' memory with the tensors
 * they were made from. Any number of threads may call it at once.
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

    /** An empty module. The name is that of its type in saved code. */
    public static ScriptModule create(String name, TensorScope scope) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_new(scratch.text(name), out), "making module " + name);
            return new ScriptModule(out.get(ADDRESS, 0), scope);
        }
    }

    /**
     * Another module of this one's type: with the methods compiled for it, and without a value for any parameter, text
     * or submodule, each of which has to be registered anew.
     */
    public ScriptModule like(TensorScope scope) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_like(handle(), out), "making a module like another");
            return new ScriptModule(out.get(ADDRESS, 0), scope);
        }
    }

    /** A module from a {@code .pt} file, and the metadata saved with it ("" if there is none). */
    public record Loaded(ScriptModule module, String metadata) {}

    /**
     * Loads a {@code .pt} file onto a device. TorchScript in a file is code, and some of it ({@code __setstate__}) runs
     * while it is loaded: load only what you would run.
     *
     * @throws TorchException if the file is missing or is not TorchScript
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
        } catch (TorchException e) { // what follows the first line is libtorch's own code, or the file's
            throw new TorchException(e.getMessage().lines().findFirst().orElse("loading " + file + " failed"));
        }
    }

    /**
     * Writes a {@code .pt} file, straight into its place: what was there is gone if the disk fills up on the way. Other
     * programs can load it where {@code lens::hook_point} is registered.
     *
     * @throws TorchException if it cannot be written
     */
    public void save(Path file, String metadata) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(
                    Psc.psc_module_save(handle(), scratch.text(file.toString()), scratch.text(metadata)),
                    "saving " + file);
        }
    }

    /** Registers a parameter. */
    public ScriptModule parameter(String name, Tensor tensor) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(
                    Psc.psc_module_add_parameter(handle(), scratch.text(name), tensor.handle()),
                    "adding parameter " + name);
        }
        return this;
    }

    /** Registers a text, which methods can read as an attribute. */
    public ScriptModule text(String name, String text) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(
                    Psc.psc_module_add_text(handle(), scratch.text(name), scratch.text(text)), "adding text " + name);
        }
        return this;
    }

    /** Registers a submodule. */
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
     * @throws TorchException with the compiler's message, if the source does not compile
     */
    public ScriptModule define(String source) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(Psc.psc_module_define(handle(), scratch.text(source)), "compiling TorchScript");
        }
        return this;
    }

    /** A submodule by its name, in the same scope as this module. */
    public ScriptModule child(String name) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_child(handle(), scratch.text(name), out), "submodule " + name);
            return new ScriptModule(out.get(ADDRESS, 0), scope);
        }
    }

    /** A parameter of this module by its name, in the innermost open scope. */
    public Tensor parameter(String name) {
        TensorScope current = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_parameter(handle(), scratch.text(name), out), "parameter " + name);
            return current.own(out.get(ADDRESS, 0));
        }
    }

    /** The names of all parameters, those of submodules included, such as {@code blocks_0.W_O}. */
    public List<String> parameterNames() {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_module_parameter_names(handle(), out), "parameter names");
            return Native.text(out.get(ADDRESS, 0)).lines().toList();
        }
    }

    /**
     * Calls a method without gradients, and returns its first result, in the innermost open scope.
     *
     * @param hooks     who hears of hook points, or null for nobody
     * @param arguments as for {@link Op#call}
     * @throws RuntimeException or any other {@link Throwable} that a hook threw, as itself
     */
    public Tensor call(String method, @Nullable RunHooks hooks, @Nullable Object... arguments) {
        Tensor[] results = callForAll(method, hooks, arguments);
        return Op.tensors(1, results, "the method " + method)[0];
    }

    /** The same for a method that returns several tensors. */
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
            scope.acquire(); // or another thread could close it between the look at it and the call
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
                        Native.text(Psc.psc_last_error())); // no hook was called: there was too little stack to do so
            }
            Native.check(status, () -> method + Values.describe(arguments));
            Object[] found = Values.read(results, count, current);
            return Op.tensors(found.length, found, "the method " + method);
        } finally {
            if (allocation != null) allocation.finish("TorchScript " + method);
            if (event != null) event.finish("TorchScript " + method, arguments);
        }
    }

    /** The scope that owns it. */
    @Override
    public String toString() {
        return "ScriptModule(" + scope + ")";
    }
}
