package io.github.panascope.torch;

import io.github.panascope.bindings.Psc;
import io.github.panascope.bindings.psc_call;
import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;

/** The one place where a status of the shim becomes an exception. */
final class Native {
    private Native() {}

    /** Throws what a status other than PSC_OK means. {@code what} says in words what was being done. */
    static void check(int status, String what) {
        if (status != Psc.PSC_OK()) throw exception(status, text(Psc.psc_last_error()), what);
    }

    /** As above, where saying it costs something. */
    static void check(int status, Supplier<String> what) {
        if (status == Psc.PSC_OK()) return;
        String words = text(Psc.psc_last_error()); // before what describes tensors, which may fail too
        throw exception(status, words, what.get());
    }

    private static RuntimeException exception(int status, String words, String what) {
        if (status == Psc.PSC_ERR_OUT_OF_MEMORY()) return TorchOutOfMemoryException.of(what, words);
        String message = what + ": " + words;
        if (status == Psc.PSC_ERR_INDEX()) return new IndexOutOfBoundsException(message);
        if (status == Psc.PSC_ERR_NOT_IMPLEMENTED()) return new UnsupportedOperationException(message);
        return new TorchException(message);
    }

    /** How to call, as psc.h's psc_call: with gradients if they are on for this thread. */
    static MemorySegment call(Scratch scratch, boolean watchMemory) {
        MemorySegment call = scratch.bytes(psc_call.sizeof());
        psc_call.gradients(call, GradMode.isEnabled() ? 1 : 0);
        psc_call.watch(call, watchMemory ? 1 : 0);
        return call;
    }

    static String text(MemorySegment pointer) {
        return pointer.reinterpret(Long.MAX_VALUE).getString(0);
    }
}
