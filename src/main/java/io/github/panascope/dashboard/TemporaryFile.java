package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.internal.AtomicFile;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;

/** A temporary file for what a sink needs at its end, so that the number of features is not limited by memory. */
final class TemporaryFile implements AutoCloseable {
    private final FileChannel channel;
    private final OutputStream out;

    /**
     * Makes an empty file.
     *
     * @throws InputException if it cannot be made
     */
    TemporaryFile(String suffix) {
        try {
            // The channel deletes the file on close, and when the process ends without closing it.
            channel = FileChannel.open(
                    Files.createTempFile("panascope", suffix),
                    StandardOpenOption.READ,
                    StandardOpenOption.WRITE,
                    StandardOpenOption.DELETE_ON_CLOSE);
            out = new BufferedOutputStream(Channels.newOutputStream(channel), 1 << 16);
        } catch (IOException e) {
            throw cannot(e);
        }
    }

    /** {@return the buffered stream to the end of the file} */
    OutputStream out() {
        return out;
    }

    /**
     * Runs a step that writes to {@link #out}.
     *
     * @throws InputException if the step fails with an I/O error
     */
    void write(AtomicFile.Step step) {
        try {
            step.run();
        } catch (IOException e) {
            throw cannot(e);
        }
    }

    /** {@return a stream of all that was written, from the beginning; not buffered} */
    InputStream in() throws IOException {
        write(out::flush);
        channel.position(0);
        return Channels.newInputStream(channel);
    }

    /** Deletes the file. */
    @Override
    public void close() {
        write(channel::close);
    }

    private static InputException cannot(IOException e) {
        return new InputException(
                "a temporary file in " + System.getProperty("java.io.tmpdir") + " cannot be written: "
                        + InputException.reason(e) + ".",
                e);
    }
}
