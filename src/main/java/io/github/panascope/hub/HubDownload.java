package io.github.panascope.hub;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Downloads from the hub into its cache: asks what a file is (a HEAD request that follows no redirect to other hosts), fetches what is
 * missing of it from wherever the hub points to, and checks length and checksum before it takes its place. What was cut is
 * resumed; a busy or failing server is asked again, as late as it says.
 */
final class HubDownload {
    private static final int MAX_REDIRECTS = 5;
    private static final int SHA256 = 64, GIT_BLOB = 40; // hexadecimal digits: of files in large storage, and of small ones
    private static final Pattern NEXT = Pattern.compile("<([^>]+)>\\s*;\\s*rel=\"next\"");

    /**
     * How long to wait, and how often.
     *
     * @param attempts in a row without a byte gained
     * @param first    the pause after the first one; it doubles
     * @param longest  a pause that a server may ask for
     * @param stall    without a byte, after which a connection counts as cut
     */
    record Patience(int attempts, Duration first, Duration longest, Duration stall) {
        static final Patience DEFAULT = new Patience(5, Duration.ofSeconds(1), Duration.ofMinutes(5), Duration.ofSeconds(30));
    }

    private final URI endpoint;
    private final String token;
    private final EnvironmentProxy proxy;
    private final Patience patience;
    private final Hub.Progress progress;
    private volatile HttpClient client; // made when first needed: an offline run opens nothing

    HubDownload(String endpoint, String token, EnvironmentProxy proxy, Patience patience) {
        this(address(endpoint), token, proxy, patience, (file, done, total) -> {});
    }

    private HubDownload(URI endpoint, String token, EnvironmentProxy proxy, Patience patience, Hub.Progress progress) {
        this.endpoint = endpoint;
        this.token = token;
        this.proxy = proxy;
        this.patience = patience;
        this.progress = progress;
    }

    private static URI address(String endpoint) {
        try {
            URI uri = URI.create(endpoint);
            if (uri.getHost() == null || !(uri.getScheme().equals("http") || uri.getScheme().equals("https"))) throw new IllegalArgumentException("no host");
            if (uri.getPort() > 65535) throw new IllegalArgumentException("no such port");
            if (uri.getUserInfo() != null) throw new InputException("HF_ENDPOINT should hold no user and password, which would show up in messages; HF_TOKEN is for that.");
            return uri;
        } catch (IllegalArgumentException | NullPointerException e) {
            throw new InputException("HF_ENDPOINT is not an address such as https://huggingface.co: '" + endpoint + "'.", e);
        }
    }

    HubDownload reporting(Hub.Progress listener) {
        return new HubDownload(endpoint, token, proxy, patience, listener);
    }

    HubDownload patient(Patience other) {
        return new HubDownload(endpoint, token, proxy, other, progress);
    }

    /** What asking again does not mend. */
    private static final class FinalException extends IOException {
        private static final long serialVersionUID = 1L;

        FinalException(String message) {
            super(message);
        }
    }

    // ------------------------------------------------------------------------------------------------- what can be asked

    /** What the hub says of a file before it is fetched; size is -1 if it does not say. */
    private record Description(String commit, String etag, long size, URI address) {}

    /** Fetches one file into a repository's cache; empty if the repository has none of that name. */
    Optional<Path> fetch(HubRepo repo, String name, HubCache cache) {
        try {
            Optional<Description> there = describe(repo, name, cache);
            if (there.isEmpty()) return Optional.empty();
            Description file = there.get();
            Path blob = cache.blob(file.etag);
            if (!Files.exists(blob)) cache.locked(file.etag, () -> Files.exists(blob) ? blob : download(name, file, blob)); // perhaps another process was faster
            Path linked = cache.link(file.commit, name, blob);
            cache.refer(file.commit);
            return Optional.of(linked);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InputException("fetching " + name + " of " + repo + " was interrupted; what is here is kept, and the next run goes on from there.", e);
        } catch (IOException e) {
            throw unreachable(name + " of " + repo, e);
        }
    }

    /** The names of a repository's files. */
    List<String> list(HubRepo repo) {
        String kind = repo.kind() == HubRepo.Kind.MODEL ? "models" : "datasets";
        URI next = endpoint.resolve(endpoint.getRawPath() + "/api/" + kind + "/" + repo.id() + "/tree/" + encoded(repo.revision()) + "?recursive=true");
        List<String> names = new ArrayList<>();
        try {
            while (next != null) {
                HttpResponse<InputStream> response = withRetries("GET", next, -1, repo.toString());
                try (InputStream body = response.body()) {
                    requireFound(response, repo);
                    for (JsonNode entry : JsonMapper.shared().readTree(body)) if ("file".equals(entry.path("type").asString(""))) names.add(entry.path("path").asString());
                }
                Matcher link = NEXT.matcher(response.headers().firstValue("Link").orElse(""));
                next = link.find() ? response.uri().resolve(link.group(1)) : null;
            }
            return names;
        } catch (JacksonException e) {
            throw new InputException("the hub's list of the files of " + repo + " is not JSON.", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InputException("listing " + repo + " was interrupted.", e);
        } catch (IOException e) {
            throw unreachable(repo.toString(), e);
        }
    }

    private Optional<Description> describe(HubRepo repo, String name, HubCache cache) throws IOException, InterruptedException {
        String path = Arrays.stream(name.split("/")).map(HubDownload::encoded).collect(Collectors.joining("/"));
        URI address = endpoint.resolve(endpoint.getRawPath() + "/" + repo.path() + "/resolve/" + encoded(repo.revision()) + "/" + path);
        HttpResponse<InputStream> response = withRetries("HEAD", address, -1, repo.toString());
        response.body().close();
        HttpHeaders headers = response.headers();
        Optional<String> commit = headers.firstValue("X-Repo-Commit").filter(HubCache::isCommit);
        if (response.statusCode() == 404 && headers.firstValue("X-Error-Code").filter("EntryNotFound"::equals).isPresent()) {
            if (commit.isPresent()) cache.markMissing(commit.get(), name);
            return Optional.empty();
        }
        if (response.statusCode() / 100 != 3) requireFound(response, repo);
        String etag = headers.firstValue("X-Linked-Etag").or(() -> headers.firstValue("ETag")).map(tag -> tag.replaceFirst("^W/", "").replace("\"", "")).filter(tag -> tag.matches("[0-9A-Za-z_.-]{1,128}") && !tag.startsWith("."))
                .orElseThrow(() -> new IOException("it does not answer as a hub does: no ETag"));
        long size = headers.firstValueAsLong("X-Linked-Size").orElse(response.statusCode() == 200 ? headers.firstValueAsLong("Content-Length").orElse(-1) : -1);
        return Optional.of(new Description(commit.orElseThrow(() -> new IOException("it does not answer as a hub does: no X-Repo-Commit")), etag, size, response.uri()));
    }

    private void requireFound(HttpResponse<?> response, HubRepo repo) {
        int status = response.statusCode();
        if (status == 200) return;
        String code = response.headers().firstValue("X-Error-Code").orElse("");
        String reason = switch (status) {
            case 401, 403 -> code.equals("GatedRepo") ? "its owner wants to be asked for access on its page" + (token == null ? ", and HF_TOKEN is not set" : "")
                    : token == null ? "it is private, gated or does not exist: set HF_TOKEN" : "HF_TOKEN gives no access to it";
            case 404 -> code.equals("RevisionNotFound") ? "it has no revision '" + repo.revision() + "'" : "it does not exist";
            case 429 -> "too many requests: wait a while, or set HF_TOKEN";
            default -> "the hub answered with status " + status;
        };
        throw new InputException(repo + " cannot be fetched from " + endpoint + ": " + reason + ".");
    }

    private InputException unreachable(String what, IOException e) {
        String why = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        return new InputException(what + " cannot be fetched from " + endpoint + " (" + why + "): check the network and HF_ENDPOINT, or give a file or folder on this machine.", e);
    }

    // ------------------------------------------------------------------------------------------------- the bytes

    /** Fetches a file's bytes, going on from where an earlier attempt was cut, and moves them into their place. */
    private Path download(String name, Description file, Path blob) throws IOException {
        Path part = blob.resolveSibling(blob.getFileName() + ".panascope.incomplete");
        try {
            boolean resumed = Files.exists(part);
            fetchAll(name, file, part);
            String wrong = wrong(file, part);
            if (wrong != null && resumed) { // the older part may be to blame
                Files.delete(part);
                fetchAll(name, file, part);
                wrong = wrong(file, part);
            }
            if (wrong != null) {
                Files.delete(part);
                throw new IOException("the download is damaged: " + wrong);
            }
            return Files.move(part, blob, StandardCopyOption.ATOMIC_MOVE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted; what is here is kept, and the next run goes on from there", e);
        }
    }

    private void fetchAll(String name, Description file, Path part) throws IOException, InterruptedException {
        int failures = 0;
        while (true) {
            long have = Files.exists(part) ? Files.size(part) : 0;
            if (file.size >= 0 && have > file.size) {
                Files.delete(part);
                have = 0;
            }
            progress.update(name, have, file.size);
            if (have == file.size && have > 0) return;
            IOException cut;
            try {
                if (fetchRest(name, file, part, have)) {
                    progress.update(name, Files.size(part), Files.size(part));
                    return;
                }
                cut = new IOException("the server ended the download early");
            } catch (FinalException e) {
                throw e;
            } catch (IOException e) {
                cut = e;
            }
            failures = Files.exists(part) && Files.size(part) > have ? 1 : failures + 1;
            if (failures >= patience.attempts) {
                long kept = Files.exists(part) ? Files.size(part) : 0;
                throw new IOException((cut.getMessage() == null ? cut.toString() : cut.getMessage()) + (kept > 0 ? "; " + kept + " bytes are kept, and the next run goes on from there" : ""), cut);
            }
            pause(patience.first.multipliedBy(1L << Math.min(failures - 1, 10)));
        }
    }

    /** One request for what is missing; whether the file is whole now. */
    private boolean fetchRest(String name, Description file, Path part, long have) throws IOException, InterruptedException {
        HttpResponse<InputStream> response = withRetries("GET", file.address, have, name);
        try (InputStream body = response.body()) {
            int status = response.statusCode();
            if (status == 416) { // nothing after what is here: the part is whole, or not of this file
                if (have == file.size || file.size < 0) return true;
                Files.deleteIfExists(part);
                return false;
            }
            if (status != 200 && status != 206) throw new IOException("the server answered with status " + status);
            boolean append = status == 206 && response.headers().firstValue("Content-Range").orElse("").startsWith("bytes " + have + "-");
            if (status == 206 && !append) throw new IOException("the server sent another range than it was asked for");
            long expected = response.headers().firstValueAsLong("Content-Length").orElse(-1);
            long end = file.size >= 0 ? file.size : expected >= 0 ? expected + (append ? have : 0) : Long.MAX_VALUE;
            try (OutputStream out = Files.newOutputStream(part, StandardOpenOption.CREATE, StandardOpenOption.WRITE, append ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING)) {
                long done = copy(name, body, out, append ? have : 0, end, file.size);
                return end == Long.MAX_VALUE || done == end;
            }
        }
    }

    /** Copies until the end or until no byte came for too long; never more than what was announced. */
    private long copy(String name, InputStream body, OutputStream out, long start, long end, long total) throws IOException {
        AtomicLong last = new AtomicLong(System.nanoTime());
        Thread watch = Thread.ofVirtual().start(() -> {
            try {
                while (true) {
                    Thread.sleep(Math.max(1, patience.stall.toMillis() / 4));
                    if (System.nanoTime() - last.get() > patience.stall.toNanos()) {
                        body.close(); // wakes the reader with an exception
                        return;
                    }
                }
            } catch (InterruptedException | IOException e) {
                // the copy is over
            }
        });
        try {
            byte[] buffer = new byte[1 << 16];
            long done = start;
            for (int read; (read = body.read(buffer)) >= 0;) {
                last.set(System.nanoTime());
                if (done + read > end) throw new IOException("the server sent more than the " + end + " bytes that it announced");
                out.write(buffer, 0, read);
                done += read;
                progress.update(name, done, total);
            }
            return done;
        } finally {
            watch.interrupt();
        }
    }

    /** What is wrong with a finished download, or null. An ETag of 64 digits is a SHA-256, one of 40 git's name of a blob. */
    private static String wrong(Description file, Path part) throws IOException {
        long size = Files.size(part);
        if (file.size >= 0 && size != file.size) return "it has " + size + " bytes and should have " + file.size;
        if (!file.etag.matches("[0-9a-f]{" + GIT_BLOB + "}|[0-9a-f]{" + SHA256 + "}")) return null;
        boolean sha256 = file.etag.length() == SHA256;
        try (InputStream in = Files.newInputStream(part)) {
            MessageDigest digest = MessageDigest.getInstance(sha256 ? "SHA-256" : "SHA-1");
            if (!sha256) digest.update(("blob " + size + "\0").getBytes(StandardCharsets.US_ASCII));
            byte[] buffer = new byte[1 << 16];
            for (int read; (read = in.read(buffer)) >= 0;) digest.update(buffer, 0, read);
            String found = HexFormat.of().formatHex(digest.digest());
            return found.equals(file.etag) ? null : "its " + (sha256 ? "SHA-256" : "git checksum") + " is " + found + " and should be " + file.etag;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256 and SHA-1", e);
        }
    }

    // ------------------------------------------------------------------------------------------------- requests

    /** Asks, and asks again where the server is busy or the connection fails. */
    private HttpResponse<InputStream> withRetries(String method, URI address, long from, String what) throws IOException, InterruptedException {
        for (int attempt = 1;; attempt++) {
            Duration wait = patience.first.multipliedBy(1L << Math.min(attempt - 1, 10));
            try {
                HttpResponse<InputStream> response = follow(method, address, from, what);
                int status = response.statusCode();
                if (status != 429 && status != 408 && status / 100 != 5 || attempt >= patience.attempts) return response;
                wait = retryAfter(response.headers()).orElse(wait);
                response.body().close();
            } catch (FinalException e) {
                throw e;
            } catch (IOException e) {
                if (attempt >= patience.attempts || e instanceof java.net.ConnectException && attempt >= 2) throw e; // nobody is there
            }
            pause(wait.compareTo(patience.longest) > 0 ? patience.longest : wait);
        }
    }

    /** Seconds, or a date. */
    private static Optional<Duration> retryAfter(HttpHeaders headers) {
        return headers.firstValue("Retry-After").map(String::strip).flatMap(value -> {
            try {
                if (value.matches("\\d{1,6}")) return Optional.of(Duration.ofSeconds(Long.parseLong(value)));
                Duration until = Duration.between(java.time.Instant.now(), java.time.ZonedDateTime.parse(value, java.time.format.DateTimeFormatter.RFC_1123_DATE_TIME));
                return Optional.of(until.isNegative() ? Duration.ZERO : until);
            } catch (java.time.DateTimeException e) {
                return Optional.empty();
            }
        });
    }

    /** One request and its redirects. A HEAD request stays on the hub: where it points away, that answer says all. */
    private HttpResponse<InputStream> follow(String method, URI address, long from, String what) throws IOException, InterruptedException {
        URI at = address;
        for (int hop = 0; hop <= MAX_REDIRECTS; hop++) {
            HttpRequest.Builder request = HttpRequest.newBuilder(at).timeout(patience.stall).header("User-Agent", "panascope").method(method, HttpRequest.BodyPublishers.noBody());
            if (from > 0) request.header("Range", "bytes=" + from + "-");
            if (token != null && isHub(at)) request.header("Authorization", authorization()); // never to a host that the hub redirects to
            HttpResponse<InputStream> response = client().send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
            if (response.statusCode() / 100 != 3 || response.statusCode() == 304) return response;
            URI target = at.resolve(response.headers().firstValue("Location").orElseThrow(() -> new FinalException("a redirect without a target, asking for " + what)));
            if (method.equals("HEAD") && !isHub(target)) return response;
            response.body().close();
            if (!"http".equals(target.getScheme()) && !"https".equals(target.getScheme()) || target.getHost() == null || at.getScheme().equals("https") && target.getScheme().equals("http")) {
                throw new FinalException("a redirect from " + at.getScheme() + " to " + target.getScheme() + ", asking for " + what + "; refused");
            }
            at = target;
        }
        throw new FinalException("more than " + MAX_REDIRECTS + " redirects, asking for " + what);
    }

    private String authorization() throws IOException {
        if (!token.chars().allMatch(c -> c > ' ' && c < 127)) throw new InputException("HF_TOKEN holds characters that no token has.");
        return "Bearer " + token;
    }

    private boolean isHub(URI address) {
        return endpoint.getScheme().equals(address.getScheme()) && endpoint.getAuthority().equals(address.getAuthority());
    }

    private HttpClient client() {
        if (client == null) {
            synchronized (this) {
                if (client == null) {
                    HttpClient.Builder builder = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).followRedirects(HttpClient.Redirect.NEVER).proxy(proxy);
                    // With one, the client wants every 401 to say how to authenticate, and the hub's does not.
                    proxy.authenticator().ifPresent(builder::authenticator);
                    client = builder.build();
                }
            }
        }
        return client;
    }

    private void pause(Duration time) throws InterruptedException {
        Thread.sleep(time);
    }

    private static String encoded(String part) {
        return URLEncoder.encode(part, StandardCharsets.UTF_8).replace("+", "%20");
    }
}
