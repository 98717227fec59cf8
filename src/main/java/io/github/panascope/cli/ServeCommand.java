package io.github.panascope.cli;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.github.panascope.InputException;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** The command {@code serve}, which shows pages on the loopback address, as the notebook's display_vis_inline does. */
@Command(
        name = "serve",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Shows a page, or a folder of pages, on the loopback address of this machine, until it is interrupted."
                        + " No other machine can reach it.")
final class ServeCommand implements Callable<Integer> {
    @Parameters(
            index = "0",
            arity = "0..1",
            paramLabel = "FILE|DIR",
            defaultValue = "panascope-out",
            description = "what to show (default: ${DEFAULT-VALUE})")
    private Path what;

    @Option(
            names = "--port",
            paramLabel = "N",
            defaultValue = "8000",
            description = "or, if it is taken, any free one (default: ${DEFAULT-VALUE})")
    private int port;

    @Option(names = "--debug", description = "show stack traces")
    private boolean debug;

    @Override
    public Integer call() throws Exception {
        if (port < 0 || port > 65535)
            throw new InputException("--port should lie between 0 and 65535, not at " + port + ".");
        if (!Files.isReadable(what))
            throw new InputException(what + " does not exist: `panascope dashboard` writes panascope-out.");
        if (Files.isDirectory(what) && !Files.exists(what.resolve("index.html"))) pages(what);
        HttpServer server = start(what, port);
        String page = Files.isDirectory(what)
                ? (Files.exists(what.resolve("index.html")) ? "index.html" : "")
                : what.getFileName().toString();
        String address = "http://127.0.0.1:" + server.getAddress().getPort();
        if (page.isEmpty())
            for (Path each : pages(what))
                System.out.println(address + escaped(each.getFileName().toString()));
        System.out.println(page.isEmpty() ? "(Ctrl-C ends it)" : address + escaped(page) + " (Ctrl-C ends it)");
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(0)));
        ended.await();
        return 0;
    }

    /** Returns the pages of a folder without an index.html; at least one. */
    private static List<Path> pages(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            List<Path> pages = files.filter(file -> file.toString().endsWith(".html") && Files.isRegularFile(file))
                    .sorted()
                    .toList();
            if (pages.isEmpty())
                throw new InputException(
                        folder + " holds no page: `panascope tutorial` and `panascope dashboard` write some.");
            return pages;
        }
    }

    /** Starts a server on the loopback address, on the given port or, if that is in use, on another. */
    static HttpServer start(Path what, int port) throws IOException {
        InetAddress loopback = InetAddress.getByAddress(new byte[] {127, 0, 0, 1});
        HttpServer server;
        try {
            server = HttpServer.create(new InetSocketAddress(loopback, port), 0);
        } catch (BindException e) {
            server = HttpServer.create(new InetSocketAddress(loopback, 0), 0);
        }
        Path folder = (Files.isDirectory(what) ? what : what.toAbsolutePath().getParent()).toRealPath();
        Path only = Files.isDirectory(what) ? null : folder.resolve(what.getFileName());
        server.createContext("/", exchange -> {
            try (exchange) {
                answer(exchange, folder, only);
            }
        });
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.start();
        return server;
    }

    private static void answer(HttpExchange exchange, Path folder, Path only) throws IOException {
        List<String> hosts = exchange.getRequestHeaders().getOrDefault("Host", List.of());
        String target = exchange.getRequestURI().getRawAuthority(); // present if the request has an absolute address
        String path = exchange.getRequestURI().getPath();
        if (hosts.size() != 1 || path == null || !path.startsWith("/")) {
            refuse(exchange, 400);
            return;
        }
        // Refuses foreign host names that resolve to the loopback address.
        if (!isOurs(hosts.getFirst()) || target != null && !isOurs(target)) {
            refuse(exchange, 403);
            return;
        }
        boolean get = exchange.getRequestMethod().equals("GET");
        if (!get && !exchange.getRequestMethod().equals("HEAD")) {
            exchange.getResponseHeaders().set("Allow", "GET, HEAD");
            refuse(exchange, 405);
            return;
        }
        Path file = file(folder, path, only);
        if (file == null) {
            refuse(exchange, 404);
        } else if (only == null && !path.endsWith("/") && Files.isDirectory(named(folder, path))) {
            String query = exchange.getRequestURI().getRawQuery();
            String relative = folder.relativize(named(folder, path)).toString();
            // Without the slash at the end, relative links of the page would lead to the parent folder.
            exchange.getResponseHeaders()
                    .set(
                            "Location",
                            (relative.isEmpty() ? "/" : escaped(relative + "/")) + (query == null ? "" : "?" + query));
            refuse(exchange, 302);
        } else {
            send(exchange, file, get);
        }
    }

    private static boolean isOurs(String host) {
        return host.toLowerCase(Locale.ROOT).matches("(127\\.0\\.0\\.1|localhost)(:\\d*)?");
    }

    private static void refuse(HttpExchange exchange, int status) throws IOException {
        exchange.sendResponseHeaders(status, -1);
    }

    /**
     * Sends the current content of a file. The file stays open, so replacing it meanwhile does not change the response.
     */
    private static void send(HttpExchange exchange, Path file, boolean withBody) throws IOException {
        FileChannel opened;
        try {
            opened = FileChannel.open(file, StandardOpenOption.READ);
        } catch (IOException e) {
            refuse(exchange, 404);
            return;
        }
        try (opened) {
            String name = file.getFileName().toString();
            long size = opened.size();
            String type = name.endsWith(".html")
                    ? "text/html; charset=utf-8"
                    : name.endsWith(".json")
                            ? "application/json"
                            : name.endsWith(".svg") ? "image/svg+xml" : "application/octet-stream";
            Headers headers = exchange.getResponseHeaders();
            headers.set("Content-Type", type);
            headers.set("X-Content-Type-Options", "nosniff");
            headers.set("Cache-Control", "no-store");
            if (!withBody) headers.set("Content-Length", Long.toString(size)); // the server sets it if there is a body
            exchange.sendResponseHeaders(200, withBody && size > 0 ? size : -1);
            if (!withBody) return;
            WritableByteChannel body = Channels.newChannel(exchange.getResponseBody());
            for (long sent = 0, now; sent < size && (now = opened.transferTo(sent, size - sent, body)) > 0; )
                sent += now;
        }
    }

    /** {@return a path with a leading slash, escaped for an address} */
    static String escaped(String path) {
        try {
            return new URI(null, null, "/" + path, null).toASCIIString();
        } catch (URISyntaxException e) {
            throw new IllegalStateException("any path that begins with a slash can be escaped", e);
        }
    }

    /** {@return the path that an address names, whether it exists or not} */
    private static Path named(Path folder, String address) {
        return folder.resolve("." + address).normalize();
    }

    /**
     * Returns the file of an address, or null if there is none. Without {@code only}, symbolic links that leave the
     * folder are refused.
     *
     * @param only the only file that may be returned; null for all files of the folder
     */
    private static Path file(Path folder, String address, Path only) {
        try {
            Path file = named(folder, address);
            if (only != null && !file.equals(only)) return null;
            if (Files.isDirectory(file)) file = file.resolve("index.html");
            else if (address.endsWith("/")) return null;
            Path real = file.toRealPath();
            return (only != null || real.startsWith(folder)) && Files.isRegularFile(real) ? real : null;
        } catch (IOException | InvalidPathException e) {
            return null;
        }
    }
}
