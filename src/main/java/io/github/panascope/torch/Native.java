package io.github.panascope.torch;

import io.github.panascope.bindings.Psc;
import io.github.panascope.bindings.psc_call;
import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;

/** Turns statuses of the shim into exceptions; no other class does. */
final class Native {
    private Native() {}

    /**
     * Throws the exception that a status other than PSC_OK stands for.
     *
     * @param what the operation that failed, in words, for the message
     */
    static void check(int status, String what) {
        if (status != Psc.PSC_OK()) throw exception(status, text(Psc.psc_last_error()), what);
    }

    /**
     * Throws the exception that a status other than PSC_OK stands for.
     *
     * @param what describes the operation that failed; called only on failure, as describing it takes time
     */
    static void check(int status, Supplier<String> what) {
        if (status == Psc.PSC_OK()) return;
        String words = text(Psc.psc_last_error()); // read first: the supplier may describe tensors, which may fail too
        throw exception(status, words, what.get());
    }

    private static RuntimeException exception(int status, String words, String what) {
        if (status == Psc.PSC_ERR_OUT_OF_MEMORY()) return TorchOutOfMemoryException.of(what, words);
        String message = what + ": " + words;
        if (status == Psc.PSC_ERR_INDEX()) return new IndexOutOfBoundsException(message);
        if (status == Psc.PSC_ERR_NOT_IMPLEMENTED()) return new UnsupportedOperationException(message);
        return new TorchException(message);
    }

    /** Fills a psc_call of psc.h: with gradients if they are on for this thread. */
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
