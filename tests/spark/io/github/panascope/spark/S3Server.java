package io.github.panascope.spark;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** An S3 server with one bucket, in a process of its own, on this machine. */
final class S3Server implements AutoCloseable {
    static final String BUCKET = "features";
    private static final String LOOPBACK = "127.0.0.1";
    private static final long START = TimeUnit.SECONDS.toNanos(180);
    /** Executors get their settings when they start, which is before a test starts the server. */
    private static final int PORT = freePort();

    private final Process process;

    private S3Server(Process process) {
        this.process = process;
    }

    static S3Server start(Path folder) throws IOException, InterruptedException {
        Files.createDirectories(folder);
        Process process = new ProcessBuilder(List.of(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xmx512m",
                        "-XX:TieredStopAtLevel=1",
                        "-jar",
                        Path.of("target", "s3mock", "s3mock.jar").toString(),
                        "--server.address=" + LOOPBACK,
                        "--server.port=" + freePort(),
                        "--com.adobe.testing.s3mock.httpPort=" + PORT,
                        "--com.adobe.testing.s3mock.store.initialBuckets=" + BUCKET,
                        "--com.adobe.testing.s3mock.store.root=" + folder))
                .redirectErrorStream(true)
                .redirectOutput(folder.resolveSibling("s3.log").toFile())
                .start();
        S3Server server = new S3Server(process);
        long began = System.nanoTime();
        while (!server.answers()) {
            if (!process.isAlive() || System.nanoTime() - began > START) {
                server.close();
                throw new IOException(Files.readString(folder.resolveSibling("s3.log")));
            }
            Thread.sleep(200);
        }
        return server;
    }

    private static int freePort() {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getByName(LOOPBACK))) {
            return socket.getLocalPort();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private boolean answers() {
        try (Socket _ = new Socket(LOOPBACK, PORT)) {
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    /** {@return Spark's settings for the server} */
    static Map<String, String> settings() {
        Map<String, String> settings = new HashMap<>();
        String prefix = "spark.hadoop.fs.s3a.";
        settings.put(prefix + "endpoint", "http://" + LOOPBACK + ":" + PORT);
        settings.put(prefix + "endpoint.region", "us-east-1");
        settings.put(prefix + "path.style.access", "true");
        settings.put(prefix + "access.key", "test");
        settings.put(prefix + "secret.key", "test");
        settings.put(prefix + "connection.ssl.enabled", "false");
        return settings;
    }

    @Override
    public void close() {
        process.destroyForcibly();
        process.onExit().join();
    }
}
