package io.github.panascope.budget;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * A library of native/test that counts: functions that take nothing, or one number or text, and give nothing, a number
 * or a text.
 */
final class TestLibrary {
    private final SymbolLookup library;

    TestLibrary(Path file) {
        library = SymbolLookup.libraryLookup(file, Arena.global());
    }

    void run(String function) {
        call(function, FunctionDescriptor.ofVoid());
    }

    void set(String function, long value) {
        call(function, FunctionDescriptor.ofVoid(JAVA_LONG), value);
    }

    long number(String function) {
        return (long) call(function, FunctionDescriptor.of(JAVA_LONG));
    }

    long number(String function, String text) {
        try (Arena arena = Arena.ofConfined()) {
            return (long) call(function, FunctionDescriptor.of(JAVA_LONG, ADDRESS), arena.allocateFrom(text));
        }
    }

    /** Lines of a name and a number. */
    Map<String, Long> table(String function) {
        MemorySegment text = (MemorySegment) call(function, FunctionDescriptor.of(ADDRESS));
        Map<String, Long> found = new TreeMap<>();
        for (String line : text.reinterpret(Long.MAX_VALUE).getString(0).lines().toList()) {
            int space = line.lastIndexOf(' ');
            found.put(line.substring(0, space), Long.parseLong(line.substring(space + 1)));
        }
        return found;
    }

    private Object call(String function, FunctionDescriptor descriptor, Object... arguments) {
        try {
            return Linker.nativeLinker()
                    .downcallHandle(library.find(function).orElseThrow(), descriptor)
                    .invokeWithArguments(arguments);
        } catch (Throwable t) {
            throw new IllegalStateException(function, t);
        }
    }
}
