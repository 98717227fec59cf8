package io.github.panascope.spark;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;
import org.apache.spark.TaskContext;

/**
 * This machine's disk under the scheme {@code faulty:}, with the faults that a file of properties names: {@code full},
 * the bytes that the files of a folder may have together; {@code create}, {@code close} and {@code rename}, the files
 * at which these fail, as regular expressions; {@code attempts}, the number of attempts of a task that the faults
 * concern; {@code sleep}, the milliseconds that {@code create} takes instead of failing.
 */
public final class FaultyFileSystem extends RawLocalFileSystem {
    private static final String SCHEME = "faulty";
    private static final String FILE = "fs.faulty.file";
    private static final java.nio.file.Path FAULTS =
            java.nio.file.Path.of("target", "faults.properties").toAbsolutePath();

    /** {@return the settings that make the file system known to Hadoop, on the driver and on executors} */
    static Map<String, String> settings() {
        return Map.of(
                "spark.hadoop.fs.faulty.impl",
                FaultyFileSystem.class.getName(),
                "spark.hadoop." + FILE,
                FAULTS.toString());
    }

    /** Names the faults from now on; none if the map is empty. */
    static void faults(Map<String, String> faults) {
        Properties properties = new Properties();
        properties.putAll(faults);
        java.nio.file.Path part = FAULTS.resolveSibling("faults.part");
        try {
            try (OutputStream out = Files.newOutputStream(part)) {
                properties.store(out, null);
            }
            Files.move(part, FAULTS, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static String uri(java.nio.file.Path folder) {
        return SCHEME + ":" + folder;
    }

    private Properties faults() throws IOException {
        Properties properties = new Properties();
        try (var in = Files.newInputStream(java.nio.file.Path.of(getConf().get(FILE)))) {
            properties.load(in);
        }
        return properties;
    }

    private boolean concerns(String operation, Path file) throws IOException {
        Properties faults = faults();
        TaskContext task = TaskContext.get();
        int attempt = task == null ? 0 : task.attemptNumber();
        return file.toUri().getPath().matches(faults.getProperty(operation, ""))
                && attempt < Integer.parseInt(faults.getProperty("attempts", "100"));
    }

    @Override
    public void initialize(URI uri, Configuration conf) throws IOException {
        super.initialize(uri, conf);
        setConf(conf);
    }

    @Override
    public URI getUri() {
        return URI.create(SCHEME + ":///");
    }

    @Override
    public String getScheme() {
        return SCHEME;
    }

    @Override
    public FSDataOutputStream create(
            Path file,
            FsPermission permission,
            boolean overwrite,
            int bufferSize,
            short replication,
            long blockSize,
            Progressable progress)
            throws IOException {
        fail(file);
        return faulty(file, super.create(file, permission, overwrite, bufferSize, replication, blockSize, progress));
    }

    @Override
    public FSDataOutputStream create(
            Path file, boolean overwrite, int bufferSize, short replication, long blockSize, Progressable progress)
            throws IOException {
        fail(file);
        return faulty(file, super.create(file, overwrite, bufferSize, replication, blockSize, progress));
    }

    private void fail(Path file) throws IOException {
        if (!concerns("create", file)) return;
        String sleep = faults().getProperty("sleep");
        if (sleep == null) throw new IOException("the server does not answer");
        try {
            Thread.sleep(Long.parseLong(sleep));
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    private FSDataOutputStream faulty(Path file, FSDataOutputStream to) throws IOException {
        return new FSDataOutputStream(new Faulty(file, to), null);
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        return !concerns("rename", to) && super.rename(from, to);
    }

    private final class Faulty extends FilterOutputStream {
        private final Path file;
        private final long most;

        Faulty(Path file, OutputStream to) throws IOException {
            super(to);
            this.file = file;
            this.most = Long.parseLong(faults().getProperty("full", Long.toString(Long.MAX_VALUE)));
        }

        @Override
        public void write(int oneByte) throws IOException {
            write(new byte[] {(byte) oneByte}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            if (most < Long.MAX_VALUE && used() + length > most) throw new IOException("No space left on device");
            out.write(bytes, offset, length);
        }

        private long used() throws IOException {
            java.nio.file.Path top = java.nio.file.Path.of(faults().getProperty("folder"));
            try (Stream<java.nio.file.Path> files = Files.walk(top)) {
                return files.map(file -> file.toFile())
                        .filter(file -> file.isFile())
                        .mapToLong(file -> file.length())
                        .sum();
            }
        }

        @Override
        public void close() throws IOException {
            super.close();
            if (concerns("close", file)) throw new IOException("the server does not answer");
        }
    }
}
