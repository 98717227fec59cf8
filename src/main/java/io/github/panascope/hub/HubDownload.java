package io.github.panascope.hub;

import io.github.panascope.InputException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import okhttp3.HttpUrl;
import okhttp3.Response;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Downloads from the hub into its cache: asks what a file is (a HEAD request that follows no redirect to other hosts),
 * fetches what is missing of it from wherever the hub points to, and checks length and checksum before it takes its
 * place. What was cut is resumed.
 */
final class HubDownload {
    private static final int SHA256 = 64;
    private static final int GIT_BLOB = 40; // hexadecimal digits: of files in large storage, and of small ones
    private static final Pattern NEXT =
            Pattern.compile("<([^>]*)>[^<]*;\\s*rel\\s*=\\s*\"?next\\b", Pattern.CASE_INSENSITIVE);
    private static final int MAX_LISTED = 100_000;
    private static final int MAX_PAGES = 1000;
    private static final int MAX_PAGE = 32 << 20;

    private final HubHttp http;
    private final Hub.Progress progress;

    HubDownload(HubHttp http, Hub.Progress progress) {
        this.http = http;
        this.progress = progress;
    }

    /** The cache's disk is at fault, not the network. */
    private static final class CacheException extends IOException {
        private static final long serialVersionUID = 1L;

        CacheException(IOException cause) {
            super(InputException.reason(cause), cause);
        }
    }

    // ------------------------------------------------------------------------------------------------- what can be
    // asked

    /** What the hub says of a file before it is fetched; size is -1 if it does not say. */
    private record Description(String commit, String etag, long size, HttpUrl address) {}

    /** Fetches one file into a repository's cache; empty if the repository has none of that name. */
    Optional<Path> fetch(HubRepo repo, String name, HubCache cache) {
        HubHttp.Attempts attempts = http.attempts();
        try {
            Optional<Description> there = asked(repo, name, cache, attempts);
            if (there.isEmpty()) return Optional.empty();
            attempts.answered();
            return Optional.of(store(name, there.get(), cache, attempts));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InputException(
                    "fetching " + name + " of " + repo
                            + " was interrupted; what is here is kept, and the next run goes on from there.",
                    e);
        } catch (CacheException e) {
            throw new InputException(
                    name + " of " + repo + " cannot be stored in the hub cache " + cache.root() + " (" + e.getMessage()
                            + "): make room or give access there, or name another folder in HF_HUB_CACHE; what is"
                            + " there already is kept.",
                    e);
        } catch (IOException e) { // a hub that has answered is there, and has the file
            throw new InputException(notFetched(name + " of " + repo, e), e);
        }
    }

    private Optional<Description> asked(HubRepo repo, String name, HubCache cache, HubHttp.Attempts attempts)
            throws InterruptedException {
        try {
            return describe(repo, name, cache, attempts);
        } catch (IOException e) {
            throw unreachable(name + " of " + repo, e);
        }
    }

    private Path store(String name, Description file, HubCache cache, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        try {
            Path blob = cache.blob(file.etag);
            if (!Files.exists(blob))
                cache.locked(
                        file.etag, () -> tell(name, part(blob), file.size), () -> fetched(name, file, blob, attempts));
            Path linked = cache.link(file.commit, name, blob);
            cache.refer(file.commit);
            return linked;
        } catch (FileSystemException e) {
            throw new CacheException(e);
        }
    }

    /** Perhaps another process was faster. */
    private Path fetched(String name, Description file, Path blob, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        if (!Files.exists(blob)) return download(name, file, blob, attempts);
        tell(name, blob, Files.size(blob));
        return blob;
    }

    private void tell(String name, Path file, long total) {
        try {
            progress.update(name, Files.exists(file) ? Files.size(file) : 0, total);
        } catch (IOException e) {
            // just moved to its place
        }
    }

    private static Path part(Path blob) {
        return blob.resolveSibling(blob.getFileName() + ".panascope.incomplete");
    }

    /** The names of a repository's files, and how many bytes each has; -1 where the hub does not say. */
    Map<String, Long> list(HubRepo repo) {
        HttpUrl first = http.address()
                .addPathSegments(
                        "api/" + (repo.kind() == HubRepo.Kind.MODEL ? "models/" : "datasets/") + repo.id() + "/tree")
                .addPathSegment(repo.revision())
                .addQueryParameter("recursive", "true")
                .build();
        Map<String, Long> files = new TreeMap<>();
        HubHttp.Attempts attempts = http.attempts();
        Set<HttpUrl> seen = new HashSet<>();
        try {
            for (HttpUrl next = first; next != null; ) {
                if (!seen.add(next) || seen.size() > MAX_PAGES)
                    throw new HubHttp.FinalException("its list of files has no end");
                next = page(repo, next, files, attempts);
                if (files.size() > MAX_LISTED) {
                    throw new InputException(repo + " has more than " + MAX_LISTED
                            + " files, which are not listed here: download those you want by other means, "
                            + "and give the folder that they are in.");
                }
            }
            return files;
        } catch (JacksonException e) {
            throw new InputException("the hub's list of the files of " + repo + " is not what a hub sends.", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InputException("listing " + repo + " was interrupted.", e);
        } catch (IOException e) {
            throw unreachable(repo.toString(), e);
        }
    }

    /** Adds a page of a list; the address of the next one, or null. */
    private HttpUrl page(HubRepo repo, HttpUrl address, Map<String, Long> files, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        while (true) {
            try (Response response = http.ask("GET", address, 0, repo.toString(), attempts)) {
                requireFound(response, repo);
                byte[] page = http.body(response).readNBytes(MAX_PAGE);
                if (page.length == MAX_PAGE)
                    throw new HubHttp.FinalException("its list of files has more than " + MAX_PAGE + " bytes a page");
                JsonNode entries = JsonMapper.shared().readTree(page);
                if (!entries.isArray()) throw noHub("its list of files is none");
                for (JsonNode entry : entries) {
                    if ("file".equals(entry.path("type").asString("")))
                        files.put(
                                entry.path("path").stringValue(),
                                entry.path("size").asLong(-1));
                }
                attempts.answered();
                Matcher link = NEXT.matcher(String.join(", ", response.headers("Link")));
                return link.find() ? http.target(response.request().url(), link.group(1), repo.toString()) : null;
            } catch (IOException e) {
                attempts.failed(e, null);
            }
        }
    }

    private Optional<Description> describe(HubRepo repo, String name, HubCache cache, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        HttpUrl address = http.address()
                .addPathSegments(repo.path() + "/resolve")
                .addPathSegment(repo.revision())
                .build();
        HttpUrl.Builder file = address.newBuilder();
        for (String part : name.split("/")) file.addPathSegment(part);
        try (Response response = http.ask("HEAD", file.build(), 0, repo.toString(), attempts)) {
            Optional<String> commit =
                    Optional.ofNullable(response.header("X-Repo-Commit")).filter(HubCache::isCommit);
            if (response.code() == 404 && "EntryNotFound".equals(response.header("X-Error-Code"))) {
                commit.ifPresent(known -> cache.markMissing(known, name));
                return Optional.empty();
            }
            if (response.code() / 100 != 3) requireFound(response, repo);
            String etag = Optional.ofNullable(response.header("X-Linked-Etag", response.header("ETag")))
                    .map(tag -> tag.replaceFirst("^W/", "").replace("\"", ""))
                    .filter(tag -> tag.matches("[0-9A-Za-z_.-]{1,128}") && !tag.startsWith("."))
                    .orElseThrow(() -> noHub("no ETag"));
            long size = HubHttp.length(response, "X-Linked-Size");
            if (size < 0 && response.code() == 200 && !HubHttp.isEncoded(response))
                size = HubHttp.length(response, "Content-Length");
            return Optional.of(new Description(
                    commit.orElseThrow(() -> noHub("no X-Repo-Commit")),
                    etag,
                    size,
                    response.request().url()));
        }
    }

    private static HubHttp.FinalException noHub(String why) {
        return new HubHttp.FinalException("it does not answer as a hub does: " + why);
    }

    private void requireFound(Response response, HubRepo repo) {
        int status = response.code();
        if (status == 200) return;
        String code = response.header("X-Error-Code", "");
        String reason = switch (status) {
            case 401, 403 ->
                code.equals("GatedRepo")
                        ? "its owner wants to be asked for access on its page"
                                + (http.hasToken() ? "" : ", and HF_TOKEN is not set")
                        : http.hasToken()
                                ? "HF_TOKEN gives no access to it"
                                : "it is private, gated or does not exist: set HF_TOKEN";
            case 404 ->
                code.equals("RevisionNotFound") ? "it has no revision '" + repo.revision() + "'" : "it does not exist";
            case 429 -> "too many requests: wait a while, or set HF_TOKEN";
            default -> "the hub answered with status " + status;
        };
        throw new InputException(repo + " cannot be fetched from " + http + ": " + reason + ".");
    }

    private String notFetched(String what, IOException e) {
        String why = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        return what + " cannot be fetched from " + http + " (" + why
                + "): check the network and HF_ENDPOINT, or give a file or folder on this machine.";
    }

    private InputException unreachable(String what, IOException e) {
        String sentence = notFetched(what, e);
        return e instanceof HubHttp.FinalException
                ? new InputException(sentence, e)
                : new HubUnreachableException(sentence, e);
    }

    // ------------------------------------------------------------------------------------------------- the bytes

    /** Fetches a file's bytes, going on from where an earlier attempt was cut, and moves them into their place. */
    private Path download(String name, Description file, Path blob, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        Path part = part(blob);
        if (Files.exists(part, LinkOption.NOFOLLOW_LINKS) && !Files.isRegularFile(part, LinkOption.NOFOLLOW_LINKS)) {
            throw new CacheException(new IOException(
                    part.getFileName() + " there is a link or a folder, and should be a file: remove it"));
        }
        boolean resumed = Files.exists(part);
        fetchAll(name, file, part, attempts);
        String wrong = wrong(file, part);
        if (wrong != null && resumed) { // the older part may be to blame
            Files.delete(part);
            fetchAll(name, file, part, attempts);
            wrong = wrong(file, part);
        }
        if (wrong != null) {
            Files.delete(part);
            throw new IOException("the download is damaged: " + wrong);
        }
        return Files.move(part, blob, StandardCopyOption.ATOMIC_MOVE);
    }

    private void fetchAll(String name, Description file, Path part, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
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
                if (fetchRest(name, file, part, have, attempts)) {
                    progress.update(name, Files.size(part), Files.size(part));
                    return;
                }
                cut = new IOException("the server ended the download early");
            } catch (CacheException | FileSystemException e) {
                throw e; // not the network's fault
            } catch (IOException e) {
                cut = e;
            }
            long kept = Files.exists(part) ? Files.size(part) : 0;
            attempts.gained(kept - have);
            try {
                attempts.failed(cut, null);
            } catch (IOException e) {
                if (kept == 0) throw e;
                throw new IOException(
                        (e.getMessage() == null ? e.toString() : e.getMessage()) + "; " + kept
                                + " bytes are kept, and the next run goes on from there",
                        e);
            }
        }
    }

    /** One request for what is missing; whether the file is whole now. */
    private boolean fetchRest(String name, Description file, Path part, long have, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        try (Response response = http.ask("GET", file.address, have, name, attempts)) {
            int status = response.code();
            if (status == 416) { // nothing after what is here: the part is whole, or not of this file
                if (have == file.size || file.size < 0) return true;
                Files.deleteIfExists(part);
                return false;
            }
            if (status / 100 == 4) throw new HubHttp.FinalException("the server answered with status " + status);
            if (status != 200 && status != 206) throw new IOException("the server answered with status " + status);
            boolean append =
                    status == 206 && response.header("Content-Range", "").startsWith("bytes " + have + "-");
            if (status == 206
                    && HubHttp.isEncoded(
                            response)) { // a part of something else than the file: from the beginning, then
                Files.deleteIfExists(part);
                return false;
            }
            if (status == 206 && !append) throw new IOException("the server sent another range than it was asked for");
            long expected = HubHttp.isEncoded(response) ? -1 : HubHttp.length(response, "Content-Length");
            long end = file.size >= 0 ? file.size : expected >= 0 ? expected + (append ? have : 0) : Long.MAX_VALUE;
            try (OutputStream out = open(part, append)) {
                long done = copy(name, http.body(response), out, append ? have : 0, end, file.size);
                return end == Long.MAX_VALUE || done == end;
            }
        }
    }

    /** A link would lead to somebody else's file. */
    private static OutputStream open(Path part, boolean append) throws IOException {
        StandardOpenOption where = append ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING;
        return Files.newOutputStream(
                part, StandardOpenOption.CREATE, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS, where);
    }

    /** Copies until the end; never more than what was announced. */
    private long copy(String name, InputStream body, OutputStream out, long start, long end, long total)
            throws IOException {
        byte[] buffer = new byte[1 << 16];
        long done = start;
        for (int read; (read = body.read(buffer)) >= 0; ) {
            if (done + read > end)
                throw new HubHttp.FinalException("the server sent more than the " + end + " bytes that it announced");
            try {
                out.write(buffer, 0, read);
            } catch (IOException e) {
                throw new CacheException(e); // a full disk, which asking again does not mend
            }
            done += read;
            progress.update(name, done, total);
        }
        return done;
    }

    /**
     * What is wrong with a finished download, or null. An ETag of 64 digits is a SHA-256, one of 40 git's name of a
     * blob.
     */
    private static String wrong(Description file, Path part) throws IOException {
        long size = Files.size(part);
        if (file.size >= 0 && size != file.size) return "it has " + size + " bytes and should have " + file.size;
        if (!file.etag.matches("[0-9a-fA-F]{" + GIT_BLOB + "}|[0-9a-fA-F]{" + SHA256 + "}")) return null;
        boolean sha256 = file.etag.length() == SHA256;
        try (InputStream in = Files.newInputStream(part)) {
            MessageDigest digest = MessageDigest.getInstance(sha256 ? "SHA-256" : "SHA-1");
            if (!sha256) digest.update(("blob " + size + "\0").getBytes(StandardCharsets.US_ASCII));
            byte[] buffer = new byte[1 << 16];
            for (int read; (read = in.read(buffer)) >= 0; ) digest.update(buffer, 0, read);
            String found = HexFormat.of().formatHex(digest.digest());
            return found.equalsIgnoreCase(file.etag)
                    ? null
                    : "its " + (sha256 ? "SHA-256" : "git checksum") + " is " + found + " and should be " + file.etag;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256 and SHA-1", e);
        }
    }
}
