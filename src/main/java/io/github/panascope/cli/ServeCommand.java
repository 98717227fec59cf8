package io.github.panascope.cli;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.github.panascope.hub.InputException;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Shows pages on this machine's own address, as the notebook's display_vis_inline does. */
@Command(name = "serve", mixinStandardHelpOptions = true, sortOptions = false, description = "Shows a page, or a folder of pages, on the loopback address of this machine, until it is interrupted. Nobody else can reach it.")
final class ServeCommand implements Callable<Integer> {
    @Parameters(index = "0", arity = "0..1", paramLabel = "FILE|DIR", defaultValue = "panascope-out", description = "what to show (default: ${DEFAULT-VALUE})")
    private Path what;

    @Option(names = "--port", paramLabel = "N", defaultValue = "8000", description = "or, if it is taken, any free one (default: ${DEFAULT-VALUE})")
    private int port;

    @Option(names = "--debug", description = "show stack traces")
    private boolean debug;

    @Override
    public Integer call() throws Exception {
        if (port < 0 || port > 65535) throw new InputException("--port should lie between 0 and 65535, not at " + port + ".");
        if (!Files.isReadable(what)) throw new InputException(what + " does not exist: `panascope dashboard` writes panascope-out.");
        if (Files.isDirectory(what) && !Files.exists(what.resolve("index.html"))) pages(what);
        HttpServer server = start(what, port);
        String page = Files.isDirectory(what) ? (Files.exists(what.resolve("index.html")) ? "index.html" : "") : what.getFileName().toString();
        String address = "http://127.0.0.1:" + server.getAddress().getPort() + "/";
        if (page.isEmpty()) for (Path each : pages(what)) System.out.println(address + each.getFileName());
        System.out.println(page.isEmpty() ? "(Ctrl-C ends it)" : address + page + " (Ctrl-C ends it)");
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(0)));
        ended.await();
        return 0;
    }

    /** Without an index.html, the pages that there are; at least one. */
    private static List<Path> pages(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            List<Path> pages = files.filter(file -> file.toString().endsWith(".html") && Files.isRegularFile(file)).sorted().toList();
            if (pages.isEmpty()) throw new InputException(folder + " holds no page: `panascope tutorial` and `panascope dashboard` write some.");
            return pages;
        }
    }

    /** Listens on the loopback address, on this port or, if it is taken, another. */
    static HttpServer start(Path what, int port) throws IOException {
        InetAddress loopback = InetAddress.getByAddress(new byte[] {127, 0, 0, 1});
        HttpServer server;
        try {
            server = HttpServer.create(new InetSocketAddress(loopback, port), 0);
        } catch (BindException e) {
            server = HttpServer.create(new InetSocketAddress(loopback, 0), 0);
        }
        Path folder = (Files.isDirectory(what) ? what : what.toAbsolutePath().getParent()).toRealPath(), only = Files.isDirectory(what) ? null : what.toRealPath();
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
        String host = exchange.getRequestHeaders().getFirst("Host");
        if (host == null || !host.matches("(127\\.0\\.0\\.1|localhost)(:\\d+)?")) { // a name that somebody made point here
            exchange.sendResponseHeaders(403, -1);
            return;
        }
        boolean get = exchange.getRequestMethod().equals("GET");
        if (!get && !exchange.getRequestMethod().equals("HEAD")) {
            exchange.sendResponseHeaders(405, -1);
            return;
        }
        Path file = file(folder, exchange.getRequestURI().getPath());
        if (file == null || only != null && !file.equals(only)) {
            exchange.sendResponseHeaders(404, -1);
            return;
        }
        String name = file.getFileName().toString();
        String type = name.endsWith(".html") ? "text/html; charset=utf-8" : name.endsWith(".json") ? "application/json" : name.endsWith(".svg") ? "image/svg+xml" : "application/octet-stream";
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.getResponseHeaders().set("X-Content-Type-Options", "nosniff");
        exchange.getResponseHeaders().set("Cache-Control", "no-store");
        exchange.sendResponseHeaders(200, get ? Math.max(Files.size(file), 0) : -1);
        if (get) Files.copy(file, exchange.getResponseBody());
    }

    /** The file of an address, if it lies in the folder; symbolic links that leave it lead nowhere. */
    private static Path file(Path folder, String address) {
        try {
            Path file = folder.resolve("." + address).normalize();
            if (Files.isDirectory(file)) file = file.resolve("index.html");
            Path real = file.toRealPath();
            return real.startsWith(folder) && Files.isRegularFile(real) ? real : null;
        } catch (IOException | java.nio.file.InvalidPathException e) {
            return null;
        }
    }
}
