package io.github.panascope.torch;

import io.github.panascope.bindings.psc_call;
import java.lang.foreign.MemorySegment;
import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.FlightRecorder;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Threshold;

/**
 * Events of native calls in a flight recording: {@code panascope.Operator} (those over 1 ms), {@code panascope.Hook},
 * {@code panascope.Copy} and {@code panascope.Allocation}. The last one has to be enabled by name, since it costs a
 * lookup at every allocation. The method that begins an event returns null while no recording runs: a call is then as
 * fast as without events, and the recorder, which is slow to start, is not started. While allocations are watched,
 * libtorch may write to standard error that it frees blocks of unknown size: those are blocks allocated before.
 */
final class Events {
    private Events() {}

    static Operator operator() {
        if (!FlightRecorder.isInitialized()) return null;
        Operator event = new Operator();
        if (!event.isEnabled()) return null;
        event.begin();
        return event;
    }

    static Hook hook() {
        if (!FlightRecorder.isInitialized()) return null;
        Hook event = new Hook();
        if (!event.isEnabled()) return null;
        event.begin();
        return event;
    }

    static Copy copy() {
        if (!FlightRecorder.isInitialized()) return null;
        Copy event = new Copy();
        if (!event.isEnabled()) return null;
        event.begin();
        return event;
    }

    static Allocation allocation() {
        if (!FlightRecorder.isInitialized()) return null;
        Allocation event = new Allocation();
        if (!event.isEnabled() || Allocation.WATCHING.get()) return null;
        Allocation.WATCHING.set(true);
        event.begin();
        return event;
    }

    @Name("panascope.Operator")
    @Label("Operator")
    @Category("Panascope")
    @Description("A call of a libtorch operator or of a TorchScript method")
    @Threshold("1 ms")
    static final class Operator extends Event {
        @Label("Operator")
        String operator;

        @Label("Arguments")
        String arguments;

        void finish(String name, Object... values) {
            end();
            if (!shouldCommit()) return;
            operator = name;
            arguments = Values.describe(values);
            commit();
        }
    }

    @Name("panascope.Hook")
    @Label("Hook")
    @Category("Panascope")
    @Description("A hook in Java, called at a hook point or for a gradient")
    @StackTrace(false)
    static final class Hook extends Event {
        @Label("Hook Point")
        String point;

        @Label("Replaced")
        boolean replaced;

        void finish(String name, boolean changed) {
            end();
            if (!shouldCommit()) return;
            point = name;
            replaced = changed;
            commit();
        }
    }

    @Name("panascope.Copy")
    @Label("Copy")
    @Category("Panascope")
    @Description("Elements copied between devices, or between native memory and Java's heap or a channel")
    static final class Copy extends Event {
        @Label("From")
        String from;

        @Label("To")
        String to;

        @DataAmount
        @Label("Bytes")
        long bytes;

        void finish(Object source, Object target, long size) {
            end();
            if (!shouldCommit()) return;
            from = source.toString();
            to = target.toString();
            bytes = size;
            commit();
        }
    }

    @Name("panascope.Allocation")
    @Label("Allocation")
    @Category("Panascope")
    @Description("What an outermost call asked libtorch's allocators for, that of calls out of its hooks included")
    @Enabled(false)
    static final class Allocation extends Event {
        private static final ThreadLocal<Boolean> WATCHING = ThreadLocal.withInitial(() -> false);

        @Label("Operator")
        String operator;

        @DataAmount
        @Label("Allocated")
        long allocated;

        @DataAmount
        @Label("Peak")
        @Description("the most in use at once")
        long peak;

        /** Takes the totals that a call has counted. */
        void watched(MemorySegment call) {
            allocated = psc_call.allocated(call);
            peak = psc_call.peak(call);
        }

        void finish(String name) {
            end();
            WATCHING.set(false);
            if (allocated == 0 || !shouldCommit()) return;
            operator = name;
            commit();
        }
    }
}
