package io.github.panascope.cli;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Keeps what is printed to standard output and standard error: as a registered extension during each test, or from
 * {@link #start} to {@link #close}.
 */
public final class CapturedOutput implements BeforeEachCallback, AfterEachCallback, AutoCloseable {
    private final ByteArrayOutputStream printed = new ByteArrayOutputStream();
    private final ByteArrayOutputStream complained = new ByteArrayOutputStream();
    private PrintStream out, err;

    /** Starts to capture, outside of an extension's life. */
    public static CapturedOutput start() {
        CapturedOutput captured = new CapturedOutput();
        captured.begin();
        return captured;
    }

    private void begin() {
        out = System.out;
        err = System.err;
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(complained, true, StandardCharsets.UTF_8));
    }

    @Override
    public void beforeEach(ExtensionContext context) {
        reset();
        begin();
    }

    @Override
    public void afterEach(ExtensionContext context) {
        close();
    }

    /** Puts back the streams that were there before; what was captured stays. */
    @Override
    public void close() {
        System.setOut(out);
        System.setErr(err);
    }

    /** Forgets what was captured. */
    public void reset() {
        printed.reset();
        complained.reset();
    }

    /** What was printed to standard output. */
    public String output() {
        return printed.toString(StandardCharsets.UTF_8);
    }

    /** What was printed to standard error. */
    public String complaint() {
        return complained.toString(StandardCharsets.UTF_8);
    }
}
