package io.github.panascope.hub;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.DeflaterOutputStream;
import java.util.zip.GZIPOutputStream;
import javax.net.ssl.SSLContext;

/**
 * A hub in this process: small files itself, large ones by a redirect to a second host; and all that can go wrong on
 * the way.
 */
public final class FakeHub implements AutoCloseable {
    static final String COMMIT = "a".repeat(40);

    /** Something to do in the place of the next answer. */
    interface Mishap {
        void answer(HttpExchange exchange, byte[] content) throws IOException;
    }

    public final List<String> requests = new CopyOnWriteArrayList<>();

    final List<String> hubTokens = new CopyOnWriteArrayList<>();
    final List<String> storageTokens = new CopyOnWriteArrayList<>();
    final List<String> proxyTokens = new CopyOnWriteArrayList<>();
    final Deque<Mishap> hubMishaps = new ConcurrentLinkedDeque<>();
    final Deque<Mishap> storageMishaps = new ConcurrentLinkedDeque<>();
    private final Map<String, byte[]> small = new ConcurrentHashMap<>();
    private final Map<String, byte[]> large = new ConcurrentHashMap<>();
    private final HttpServer hub, storage;

    public FakeHub() throws IOException {
        this(null);
    }

    /** A hub behind TLS, for small files only. */
    FakeHub(SSLContext tls) throws IOException {
        hub = serve(tls, this::answerAsHub);
        storage = serve(null, this::answerAsStorage);
    }

    private interface Handler {
        void handle(HttpExchange exchange) throws IOException;
    }

    private static HttpServer serve(SSLContext tls, Handler handler) throws IOException {
        InetSocketAddress anywhere = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        HttpServer server = tls == null ? HttpServer.create(anywhere, 0) : HttpsServer.create(anywhere, 0);
        if (server instanceof HttpsServer https) https.setHttpsConfigurator(new HttpsConfigurator(tls));
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.createContext("/", exchange -> {
            try (exchange) {
                handler.handle(exchange);
            }
        });
        server.start();
        return server;
    }

    public FakeHub small(String path, String content) {
        small.put(path, content.getBytes(StandardCharsets.UTF_8));
        return this;
    }

    public FakeHub large(String path, byte[] content) {
        large.put(path, content);
        return this;
    }

    public String endpoint() {
        return "http://127.0.0.1:" + port();
    }

    int port() {
        return hub.getAddress().getPort();
    }

    private String storageAddress() {
        return "http://localhost:" + storage.getAddress().getPort();
    }

    static String sha256(byte[] content) {
        return digest("SHA-256", content);
    }

    static String gitBlob(byte[] content) {
        byte[] head = ("blob " + content.length + "\0").getBytes(StandardCharsets.US_ASCII);
        byte[] all = Arrays.copyOf(head, head.length + content.length);
        System.arraycopy(content, 0, all, head.length, content.length);
        return digest("SHA-1", all);
    }

    private static String digest(String algorithm, byte[] content) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance(algorithm).digest(content));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private void answerAsHub(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        requests.add(exchange.getRequestMethod() + " " + path);
        hubTokens.add(String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
        proxyTokens.add(String.valueOf(exchange.getRequestHeaders().getFirst("Proxy-Authorization")));
        Mishap mishap = hubMishaps.poll();
        byte[] content = small.getOrDefault(path, large.get(path));
        if (mishap != null) {
            mishap.answer(exchange, content);
            return;
        }
        exchange.getResponseHeaders().add("X-Repo-Commit", COMMIT);
        if (path.startsWith("/api/")) {
            String list = Stream.concat(small.keySet().stream(), large.keySet().stream())
                    .filter(file -> file.contains("/resolve/"))
                    .map(file -> "{\"type\":\"file\",\"path\":\"" + file.substring(file.indexOf("/main/") + 6) + "\"}")
                    .collect(Collectors.joining(",", "[", ",{\"type\":\"directory\",\"path\":\"data\"}]"));
            send(exchange, list.getBytes(StandardCharsets.UTF_8));
        } else if (large.containsKey(path)) {
            exchange.getResponseHeaders().add("X-Linked-Etag", "\"" + sha256(content) + "\"");
            exchange.getResponseHeaders().add("X-Linked-Size", String.valueOf(content.length));
            exchange.getResponseHeaders().add("Location", storageAddress() + path);
            exchange.sendResponseHeaders(302, -1);
        } else if (small.containsKey(path)) {
            exchange.getResponseHeaders().add("ETag", "\"" + gitBlob(content) + "\"");
            send(exchange, content);
        } else if (path.startsWith("/secret/")) {
            exchange.sendResponseHeaders(401, -1);
        } else if (path.startsWith("/gated/")) {
            exchange.getResponseHeaders().add("X-Error-Code", "GatedRepo");
            exchange.sendResponseHeaders(403, -1);
        } else {
            exchange.getResponseHeaders()
                    .add(
                            "X-Error-Code",
                            path.startsWith("/absent/")
                                    ? "RepoNotFound"
                                    : path.contains("/resolve/main/") ? "EntryNotFound" : "RevisionNotFound");
            exchange.sendResponseHeaders(404, -1);
        }
    }

    private void answerAsStorage(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        String range = exchange.getRequestHeaders().getFirst("Range");
        requests.add("storage " + (range == null ? "all" : range));
        storageTokens.add(String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
        byte[] content = large.get(path);
        Mishap mishap = storageMishaps.poll();
        if (mishap != null) mishap.answer(exchange, content);
        else if (range == null) send(exchange, content);
        else sendFrom(exchange, content, Integer.parseInt(range.replaceAll("\\D", "")));
    }

    static void send(HttpExchange exchange, byte[] content, String... headers) throws IOException {
        for (int i = 0; i < headers.length; i += 2)
            exchange.getResponseHeaders().add(headers[i], headers[i + 1]);
        boolean head = exchange.getRequestMethod().equals("HEAD");
        if (head) exchange.getResponseHeaders().add("Content-Length", String.valueOf(content.length));
        exchange.sendResponseHeaders(200, head || content.length == 0 ? -1 : content.length);
        if (!head) exchange.getResponseBody().write(content);
    }

    static void sendFrom(HttpExchange exchange, byte[] content, int from) throws IOException {
        if (from >= content.length) {
            exchange.sendResponseHeaders(416, -1);
            return;
        }
        exchange.getResponseHeaders()
                .add("Content-Range", "bytes " + from + "-" + (content.length - 1) + "/" + content.length);
        exchange.sendResponseHeaders(206, content.length - from);
        exchange.getResponseBody().write(content, from, content.length - from);
    }

    // ------------------------------------------------------------------------------------------------- mishaps

    /** Announces all, sends some, and hangs up. */
    static Mishap cutAfter(int bytes) {
        return (exchange, content) -> {
            String range = exchange.getRequestHeaders().getFirst("Range");
            int from = range == null ? 0 : Integer.parseInt(range.replaceAll("\\D", ""));
            if (from > 0)
                exchange.getResponseHeaders()
                        .add("Content-Range", "bytes " + from + "-" + (content.length - 1) + "/" + content.length);
            exchange.sendResponseHeaders(from > 0 ? 206 : 200, content.length - from);
            exchange.getResponseBody().write(content, from, bytes);
            exchange.getResponseBody().flush();
            throw new UncheckedIOException(new IOException("cut"));
        };
    }

    static Mishap status(int status, String... headers) {
        return (exchange, content) -> {
            for (int i = 0; i < headers.length; i += 2)
                exchange.getResponseHeaders().add(headers[i], headers[i + 1]);
            exchange.sendResponseHeaders(status, -1);
        };
    }

    /** Other bytes than the file's. */
    static Mishap sends(byte[] other) {
        return (exchange, content) -> send(exchange, other);
    }

    /** Sends a small file, or what else is given, as a server does that packs everything for the way. */
    static Mishap packed(String encoding, byte[] other) {
        return (exchange, content) -> {
            byte[] plain = other == null ? content : other;
            ByteArrayOutputStream packed = new ByteArrayOutputStream();
            try (OutputStream out =
                    encoding.equals("gzip") ? new GZIPOutputStream(packed) : new DeflaterOutputStream(packed)) {
                out.write(plain);
            }
            exchange.getResponseHeaders().add("X-Repo-Commit", COMMIT);
            exchange.getResponseHeaders().add("ETag", "\"" + gitBlob(plain) + "\"");
            exchange.getResponseHeaders().add("Content-Encoding", encoding);
            send(exchange, packed.toByteArray());
        };
    }

    /** Sends a byte at a time, for ever. */
    static Mishap drips(long millis) {
        return (exchange, content) -> {
            exchange.sendResponseHeaders(200, 0);
            try {
                while (true) {
                    exchange.getResponseBody().write(' ');
                    exchange.getResponseBody().flush();
                    Thread.sleep(millis);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        };
    }

    /** Sends some and then nothing for a while. */
    static Mishap stallAfter(int bytes, long millis) {
        return stallAfter(bytes, null, millis);
    }

    /** Sends other bytes than the file's. */
    static Mishap stallAfter(int bytes, byte[] other, long millis) {
        return (exchange, file) -> {
            byte[] content = other == null ? file : other;
            exchange.sendResponseHeaders(200, content.length);
            exchange.getResponseBody().write(content, 0, bytes);
            exchange.getResponseBody().flush();
            try {
                Thread.sleep(millis);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        };
    }

    static Deque<Mishap> queue(Mishap... mishaps) {
        return new ArrayDeque<>(List.of(mishaps));
    }

    @Override
    public void close() {
        hub.stop(0);
        storage.stop(0);
    }

    /** The requests for the content of files, each with the bytes that were asked for. */
    List<String> storageRequests() {
        return requests.stream()
                .filter(request -> request.startsWith("storage"))
                .toList();
    }
}
