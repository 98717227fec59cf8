package io.github.panascope.hub;

import io.github.panascope.InputException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.NoRouteToHostException;
import java.net.Proxy;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;
import java.util.zip.InflaterInputStream;
import javax.net.ssl.SSLException;
import okhttp3.Authenticator;
import okhttp3.Call;
import okhttp3.HttpUrl;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;

/**
 * Requests to the hub and to the servers that it redirects to. They go through the proxy that the environment names,
 * send the token to the hub only, and have timeouts throughout. A busy or failing server is asked again, after the
 * delay that it asks for.
 */
final class HubHttp {
    /** The largest number of redirects of a request, which is that of Python's requests. */
    private static final int MAX_REDIRECTS = 30;

    private static final Set<Integer> REDIRECTS = Set.of(301, 302, 303, 307, 308);
    private static final Pattern STRAY_PERCENT = Pattern.compile("%(?![0-9A-Fa-f]{2})");
    /** The message of OkHttp for a proxy that refuses to open a tunnel. */
    private static final Pattern NO_TUNNEL = Pattern.compile("Unexpected response code for CONNECT: (\\d{3})");
    /**
     * Bytes per second; a body that arrives more slowly than this for a whole timeout counts as a stalled connection.
     */
    private static final int SLOWEST = 1024;

    /**
     * Limits of waiting and of repeated requests.
     *
     * @param attempts number of consecutive attempts without any byte received
     * @param first    the pause after the first failed attempt; each further pause is twice as long
     * @param pauses   the longest total of all pauses, regardless of the delay that a server asks for
     * @param head     the time without a byte after which a request for the description of a file fails
     * @param get      the time without a byte after which a request for the bytes of a file or for a list fails
     */
    record Patience(int attempts, Duration first, Duration pauses, Duration head, Duration get) {
        static final Patience DEFAULT = new Patience(
                5, Duration.ofSeconds(1), Duration.ofMinutes(5), Duration.ofSeconds(10), Duration.ofSeconds(10));

        Patience timeouts(Duration forHead, Duration forGet) {
            return new Patience(attempts, first, pauses, forHead, forGet);
        }

        Duration timeout(String method) {
            return method.equals("HEAD") ? head : get;
        }
    }

    /** A failure for which a repeated request does not help. */
    static final class FinalException extends IOException {
        private static final long serialVersionUID = 1L;

        FinalException(String message) {
            super(message);
        }
    }

    /** The budget of one file or list: a number of consecutive failures, and a total time of pauses between them. */
    final class Attempts {
        private int failures;
        private Duration left = patience.pauses;

        /** Counts a failure and pauses before the next attempt; throws the cause if no attempt is left. */
        void failed(IOException cause, Duration asked) throws IOException, InterruptedException {
            failures++;
            boolean unreachable = cause instanceof ConnectException
                    || cause instanceof UnknownHostException
                    || cause instanceof NoRouteToHostException;
            boolean hopeless =
                    cause instanceof FinalException || cause instanceof SSLException || unreachable && failures >= 2;
            if (hopeless || failures >= patience.attempts || left.isZero()) throw cause;
            Duration pause = asked != null ? asked : patience.first.multipliedBy(1L << Math.min(failures - 1, 10));
            if (pause.compareTo(left) > 0) pause = left;
            left = left.minus(pause);
            Thread.sleep(pause);
        }

        /** Returns whether a further failure leaves another attempt. */
        boolean mayFail() {
            return failures + 1 < patience.attempts && !left.isZero();
        }

        /**
         * Records an answer of the server: resets the number of failures, but not the time that was spent on pauses.
         */
        void answered() {
            failures = 0;
        }

        /**
         * Records received bytes: resets the number of failures if they are more than a stalled connection delivers.
         */
        void gained(long bytes) {
            if (bytes * 1000 >= SLOWEST * patience.get.toMillis()) failures = 0;
        }
    }

    /** The properties of a request that determine which client sends it. */
    private record Way(Optional<EnvironmentProxy.Server> proxy, boolean direct, String method) {}

    private final HttpUrl endpoint;
    private final String token;
    private final EnvironmentProxy proxies;
    private final Optional<Path> certificates;
    private final Patience patience;
    private final ConcurrentHashMap<Way, OkHttpClient> clients = new ConcurrentHashMap<>();
    /** Created when first needed. */
    private OkHttpClient base;

    /** Creates a client of the hub that the variables describe. */
    HubHttp(HubVariables variables, Patience patience) {
        this.endpoint = address(variables.endpoint());
        this.token = variables.token();
        this.proxies = variables.proxies();
        this.certificates = variables.certificates();
        this.patience = patience;
    }

    private static HttpUrl address(String endpoint) {
        HttpUrl address = endpoint.contains("://") ? HttpUrl.parse(endpoint) : null;
        if (address == null || address.query() != null || address.fragment() != null) {
            throw new InputException(
                    "HF_ENDPOINT is not an address such as https://huggingface.co: '" + endpoint + "'.");
        }
        if (!address.username().isEmpty() || !address.password().isEmpty()) {
            throw new InputException(
                    "HF_ENDPOINT should hold no user and password, which would show up in messages; HF_TOKEN is for"
                            + " that.");
        }
        return address;
    }

    /** Returns a builder of addresses that begin with the hub's own. */
    HttpUrl.Builder address() {
        return endpoint.newBuilder();
    }

    boolean hasToken() {
        return token != null;
    }

    Attempts attempts() {
        return new Attempts();
    }

    @Override
    public String toString() {
        return endpoint.toString().replaceFirst("/$", "");
    }

    // ------------------------------------------------------------------------------------------------- asking

    /**
     * Sends a request, and repeats it while the server is busy or the connection fails.
     *
     * @param method   GET or HEAD
     * @param address  the address of the request
     * @param from     the first byte that is wanted; 0 for the whole content
     * @param what     what is asked for, for messages
     * @param attempts the budget of failures
     * @return the last response, with any status; the caller closes it
     */
    Response ask(String method, HttpUrl address, long from, String what, Attempts attempts)
            throws IOException, InterruptedException {
        while (true) {
            try {
                Response response = follow(method, address, from, what);
                if (!isBusy(response.code()) || !attempts.mayFail()) return response;
                response.close();
                attempts.failed(
                        new IOException("the server answered with status " + response.code()), retryAfter(response));
            } catch (IOException e) {
                attempts.failed(e, null);
            }
        }
    }

    /** Returns whether a later request may succeed where a response has this status. */
    private static boolean isBusy(int status) {
        return status == 408 || status == 429 || status / 100 == 5;
    }

    /** Returns the delay of the Retry-After header, which is a number of seconds or a date; null if there is none. */
    private static Duration retryAfter(Response response) {
        String value = response.header("Retry-After", "").strip();
        if (value.matches("\\d{1,6}")) return Duration.ofSeconds(Long.parseLong(value));
        try {
            Duration until =
                    Duration.between(Instant.now(), ZonedDateTime.parse(value, DateTimeFormatter.RFC_1123_DATE_TIME));
            return until.isNegative() ? Duration.ZERO : until;
        } catch (DateTimeException e) {
            return null;
        }
    }

    /**
     * Sends one request and follows its redirects. A HEAD request stays on the hub: a redirect to another host is
     * itself the wanted response.
     */
    private Response follow(String method, HttpUrl address, long from, String what) throws IOException {
        HttpUrl at = address;
        for (int hop = 0; hop <= MAX_REDIRECTS; hop++) {
            Response response = once(method, at, from);
            String location = response.header("Location");
            if (!REDIRECTS.contains(response.code())) return response;
            try {
                if (location == null) throw new FinalException("a redirect without a target, asking for " + what);
                HttpUrl target = target(at, location, what);
                if (method.equals("HEAD") && !isHub(target)) return response;
                at = target;
            } catch (FinalException e) {
                response.close();
                throw e;
            }
            response.close();
        }
        throw new FinalException("more than " + MAX_REDIRECTS + " redirects, asking for " + what);
    }

    /** Returns the target of a redirect or link; escapes characters that the server left unescaped. */
    HttpUrl target(HttpUrl from, String location, String what) throws FinalException {
        HttpUrl target =
                from.resolve(STRAY_PERCENT.matcher(location).replaceAll("%25").replace("\\", "%5C"));
        if (target == null)
            throw new FinalException("the server points to '" + location
                    + "', which is no address of the web, asking for " + what + "; refused");
        if (from.isHttps() && !target.isHttps())
            throw new FinalException("the server points from https to http, asking for " + what + "; refused");
        return target;
    }

    private Response once(String method, HttpUrl address, long from) throws IOException {
        // Bytes are counted and verified as they are stored, so the server is asked not to compress them.
        Request.Builder request = new Request.Builder()
                .url(address)
                .method(method, null)
                .header("User-Agent", "panascope")
                .header("Accept-Encoding", "identity");
        if (from > 0) request.header("Range", "bytes=" + from + "-");
        if (token != null && isHub(address))
            request.header("Authorization", authorization()); // never sent to a host that the hub redirects to
        Optional<EnvironmentProxy.Server> proxy = proxies.select(address);
        // Not for https: the proxy gets a CONNECT request with a header of its own, and the header of this request
        // would travel through the tunnel to the server.
        if (!address.isHttps())
            proxy.flatMap(EnvironmentProxy.Server::authorization)
                    .ifPresent(value -> request.header("Proxy-Authorization", value));
        Call call = client(new Way(proxy, proxies.bypasses(address), method)).newCall(request.build());
        try {
            Response response = answer(call, patience.timeout(method));
            if (response.code() == 407) {
                response.close();
                throw HubProxies.refused(
                        proxy.map(EnvironmentProxy.Server::toString).orElse("in between"));
            }
            return response;
        } catch (SocketTimeoutException e) {
            throw new IOException(
                    "no answer from "
                            + proxy.map(server -> "the proxy " + server).orElse(address.host()) + " within "
                            + seconds(patience.timeout(method)),
                    e);
        } catch (ConnectException e) {
            if (proxy.isEmpty()) throw e;
            throw new ConnectException(
                    "the proxy " + proxy.get() + " of " + proxy.get().variable() + " does not accept connections");
        } catch (UnknownHostException e) {
            throw new UnknownHostException("no host of the name "
                    + proxy.map(EnvironmentProxy.Server::host).orElse(address.host()) + " is known");
        }
    }

    /**
     * Executes a call and limits the total time until its headers are complete, so that a server that sends them byte
     * by byte does not evade the read timeout.
     */
    private static Response answer(Call call, Duration timeout) throws IOException {
        Thread watch = Thread.ofVirtual().start(() -> {
            try {
                Thread.sleep(timeout.multipliedBy(3));
                call.cancel();
            } catch (InterruptedException e) {
                // the response has arrived
            }
        });
        try {
            return call.execute();
        } catch (IOException e) {
            if (call.isCanceled()) throw new SocketTimeoutException("canceled");
            Matcher tunnel = NO_TUNNEL.matcher(String.valueOf(e.getMessage()));
            if (!tunnel.matches()) throw e;
            String refused = "the proxy answers with status " + tunnel.group(1) + " to CONNECT";
            if (isBusy(Integer.parseInt(tunnel.group(1)))) throw new IOException(refused, e);
            throw new FinalException(refused);
        } finally {
            watch.interrupt();
        }
    }

    private String authorization() {
        if (!token.chars().allMatch(c -> c > ' ' && c < 127))
            throw new InputException("HF_TOKEN holds characters that no token has.");
        return "Bearer " + token;
    }

    private boolean isHub(HttpUrl address) {
        return endpoint.scheme().equals(address.scheme())
                && endpoint.host().equals(address.host())
                && endpoint.port() == address.port();
    }

    private OkHttpClient client(Way way) {
        return clients.computeIfAbsent(way, _ -> {
            Duration timeout = patience.timeout(way.method);
            OkHttpClient.Builder builder = base().newBuilder()
                    .connectTimeout(timeout)
                    .readTimeout(timeout)
                    .writeTimeout(timeout);
            way.proxy.ifPresentOrElse(proxy -> HubProxies.use(proxy, builder, base().sslSocketFactory()), () -> {
                if (way.direct) builder.proxy(Proxy.NO_PROXY); // else Java's setting, such as https.proxyHost
            });
            return builder.build();
        });
    }

    private synchronized OkHttpClient base() {
        if (base == null) {
            OkHttpClient.Builder builder = new OkHttpClient.Builder()
                    .followRedirects(false)
                    .followSslRedirects(false)
                    .proxyAuthenticator(Authenticator.JAVA_NET_AUTHENTICATOR);
            certificates.ifPresent(file -> Certificates.trust(file, builder));
            base = builder.build();
        }
        return base;
    }

    // ------------------------------------------------------------------------------------------------- answers

    /**
     * Returns whether a body is compressed for the transfer: the announced length is then not that of the file, and no
     * range of the file can be requested.
     */
    static boolean isEncoded(Response response) {
        return !response.header("Content-Encoding", "identity").strip().equalsIgnoreCase("identity");
    }

    /** Returns the number of bytes in a header; -1 if the header is absent or not a number. */
    static long length(Response response, String header) {
        String value = response.header(header, "").strip();
        return value.matches("\\d{1,18}") ? Long.parseLong(value) : -1;
    }

    /** Returns the decompressed body of a response; reading fails when the transfer stalls. */
    InputStream body(Response response) throws IOException {
        if (response.body().contentLength() < -1)
            throw new FinalException("the server announces '" + response.header("Content-Length") + "' bytes");
        InputStream in = new Watched(response.body().byteStream(), patience.get);
        String encoding =
                response.header("Content-Encoding", "identity").strip().toLowerCase(Locale.ROOT);
        return switch (encoding) {
            case "identity" -> in;
            case "gzip", "x-gzip" -> new GZIPInputStream(in);
            case "deflate" -> new InflaterInputStream(in);
            default ->
                throw new FinalException(
                        "the server packs what it sends as '" + encoding + "', though it was asked not to");
        };
    }

    private static String seconds(Duration time) {
        return (time.toMillis() % 1000 == 0
                        ? String.valueOf(time.toSeconds())
                        : String.valueOf(time.toMillis() / 1000.0))
                + " s";
    }

    /** A body whose reads fail if the server sends it more slowly than {@link #SLOWEST}. */
    private static final class Watched extends FilterInputStream {
        private final Duration timeout;
        private long waited, bytes;

        Watched(InputStream in, Duration timeout) {
            super(in);
            this.timeout = timeout;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            long start = System.nanoTime();
            int read;
            try {
                read = super.read(buffer, offset, length);
            } catch (SocketTimeoutException e) {
                throw new IOException("nothing more came within " + seconds(timeout), e);
            }
            waited += System.nanoTime() - start;
            bytes += Math.max(read, 0);
            if (read < 0 || waited < timeout.toNanos()) return read;
            if (bytes * 1000 < SLOWEST * timeout.toMillis())
                throw new IOException("only " + bytes + " bytes came within " + seconds(timeout));
            waited = 0;
            bytes = 0;
            return read;
        }
    }
}
