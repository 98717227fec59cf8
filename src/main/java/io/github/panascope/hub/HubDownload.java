package io.github.panascope.hub;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Downloads from the hub into its cache: blobs by checksum, snapshots of links to them, as huggingface_hub lays them out. */
final class HubDownload {
    private static final int MAX_REDIRECTS = 5;

    private final URI endpoint;
    private final String token;
    private HttpClient client; // made when first needed: an offline run opens nothing

    HubDownload(String endpoint, String token) {
        try {
            this.endpoint = URI.create(endpoint);
        } catch (IllegalArgumentException e) {
            throw new InputException("HF_ENDPOINT is not an address: '" + endpoint + "'.", e);
        }
        this.token = token;
    }

    /** Fetches one file into a repository's cache folder; empty if the repository has none of that name. */
    Optional<Path> fetch(HubRepo repo, String revision, String name, Path folder) {
        URI address = URI.create(endpoint + "/" + repo.path() + "/resolve/" + revision + "/" + name.replace(" ", "%20"));
        try {
            Answer answer = get(address, repo + " (file " + name + ")");
            try (InputStream body = answer.response.body()) {
                if (answer.response.statusCode() == 404 && "EntryNotFound".equals(answer.errorCode)) return Optional.empty();
                requireOk(answer, repo.toString());
                String commit = answer.commit == null ? revision : answer.commit;
                Path blob = store(body, folder.resolve("blobs"), answer);
                return Optional.of(link(folder, revision, commit, name, blob));
            }
        } catch (IOException e) {
            throw unreachable(repo.toString(), e);
        }
    }

    /** The hub's list of a repository's files. */
    JsonNode list(HubRepo repo, String revision) {
        String kind = repo.kind() == HubRepo.Kind.MODEL ? "models" : "datasets";
        URI address = URI.create(endpoint + "/api/" + kind + "/" + repo.id() + "/tree/" + revision + "?recursive=true");
        try {
            Answer answer = get(address, repo.toString());
            try (InputStream body = answer.response.body()) {
                requireOk(answer, repo.toString());
                return JsonMapper.shared().readTree(body.readAllBytes());
            }
        } catch (JacksonException e) {
            throw new InputException("the hub's list of the files of " + repo + " is not JSON.", e);
        } catch (IOException e) {
            throw unreachable(repo.toString(), e);
        }
    }

    /** The last response, and what the first one of the chain said (redirects to storage do not repeat it). */
    private record Answer(HttpResponse<InputStream> response, String commit, String etag, String errorCode) {}

    private Answer get(URI address, String what) throws IOException {
        String commit = null, etag = null;
        for (int hop = 0; hop <= MAX_REDIRECTS; hop++) {
            HttpRequest.Builder request = HttpRequest.newBuilder(address).timeout(Duration.ofMinutes(30)).header("User-Agent", "panascope");
            // The token is for the hub alone, never for a host that it redirects to.
            if (token != null && address.getAuthority().equals(endpoint.getAuthority()) && address.getScheme().equals(endpoint.getScheme())) {
                request.header("Authorization", "Bearer " + token);
            }
            HttpResponse<InputStream> response = send(request.build());
            var headers = response.headers();
            if (commit == null) commit = headers.firstValue("X-Repo-Commit").orElse(null);
            if (etag == null) etag = headers.firstValue("X-Linked-Etag").or(() -> headers.firstValue("ETag")).orElse(null);
            if (response.statusCode() / 100 != 3) return new Answer(response, commit, etag, headers.firstValue("X-Error-Code").orElse(null));
            response.body().close();
            address = address.resolve(headers.firstValue("Location").orElseThrow(() -> new IOException("a redirect without a target, asking for " + what)));
        }
        throw new IOException("more than " + MAX_REDIRECTS + " redirects, asking for " + what);
    }

    private HttpResponse<InputStream> send(HttpRequest request) throws IOException {
        if (client == null) {
            client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(20)).followRedirects(HttpClient.Redirect.NEVER)
                    .proxy(java.net.ProxySelector.getDefault()).build();
        }
        try {
            return client.send(request, HttpResponse.BodyHandlers.ofInputStream());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
    }

    private void requireOk(Answer answer, String what) {
        int status = answer.response.statusCode();
        if (status == 200) return;
        String reason = switch (status) {
            case 401, 403 -> token == null ? "it is private, gated or does not exist: set HF_TOKEN" : "HF_TOKEN gives no access to it";
            case 404 -> "it does not exist";
            case 429 -> "too many requests: wait a while, or set HF_TOKEN";
            default -> "the hub answered with status " + status;
        };
        throw new InputException(what + " cannot be fetched from " + endpoint + ": " + reason + ".");
    }

    private InputException unreachable(String what, IOException e) {
        String why = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        return new InputException(what + " is not in the hub cache, and " + endpoint + " cannot be reached (" + why
                + "): check the network and HF_ENDPOINT, or give a folder on this machine.", e);
    }

    /** Writes the body beside its place, checks length and checksum, and moves it there. */
    private static Path store(InputStream body, Path blobs, Answer answer) throws IOException {
        String etag = answer.etag == null ? null : answer.etag.replaceFirst("^W/", "").replace("\"", "");
        Files.createDirectories(blobs);
        Path part = Files.createTempFile(blobs, "download", ".incomplete");
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            long written;
            try (OutputStream out = new DigestOutputStream(Files.newOutputStream(part), digest)) {
                written = body.transferTo(out);
            }
            long expected = answer.response.headers().firstValueAsLong("Content-Length").orElse(written);
            if (written != expected) throw new IOException("the download ended after " + written + " of " + expected + " bytes");
            String sha256 = HexFormat.of().formatHex(digest.digest());
            boolean lfs = etag != null && etag.matches("[0-9a-f]{64}");
            if (lfs && !sha256.equals(etag)) throw new IOException("the download is damaged: its SHA-256 is " + sha256 + " and should be " + etag);
            Path blob = blobs.resolve(etag != null && etag.matches("[0-9a-zA-Z]+") ? etag : sha256);
            Files.move(part, blob, StandardCopyOption.ATOMIC_MOVE);
            return blob;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    private static Path link(Path folder, String revision, String commit, String name, Path blob) throws IOException {
        Path file = folder.resolve("snapshots").resolve(commit).resolve(name).normalize();
        Files.createDirectories(file.getParent());
        Files.deleteIfExists(file);
        Files.createSymbolicLink(file, file.getParent().relativize(blob));
        Path ref = folder.resolve("refs").resolve(revision);
        Files.createDirectories(ref.getParent());
        Path part = Files.createTempFile(ref.getParent(), "ref", ".part");
        Files.writeString(part, commit);
        Files.move(part, ref, StandardCopyOption.ATOMIC_MOVE);
        return file;
    }
}
