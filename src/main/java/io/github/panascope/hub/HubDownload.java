package io.github.panascope.hub;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
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
 * Downloads files of the hub into its cache. Asks for the description of a file with a HEAD request that follows no
 * redirect to another host, and lets {@link BlobDownload} download the bytes. Also lists the files of a repository.
 */
final class HubDownload {
    private static final Pattern NEXT =
            Pattern.compile("<([^>]*)>[^<]*;\\s*rel\\s*=\\s*\"?next\\b", Pattern.CASE_INSENSITIVE);
    private static final int MAX_LISTED = 100_000;
    private static final int MAX_PAGES = 1000;
    private static final int MAX_PAGE = 32 << 20;

    private final HubHttp http;
    private final Hub.Progress progress;
    private final BlobDownload bytes;

    HubDownload(HubHttp http, Hub.Progress progress) {
        this.http = http;
        this.progress = progress;
        this.bytes = new BlobDownload(http, progress);
    }

    /**
     * The hub's description of a file.
     *
     * @param commit  the commit of the revision
     * @param etag    the name of the blob, in most cases a checksum
     * @param size    size in bytes, or -1 if the hub does not report it
     * @param address the address of the bytes
     */
    record Description(String commit, String etag, long size, HttpUrl address) {}

    /** Downloads one file into the cache of its repository; empty if the repository has no file of that name. */
    Optional<Path> fetch(HubRepo repo, String name, HubCache cache) {
        HubHttp.Attempts attempts = http.attempts();
        String fetching = "fetching " + name + " of " + repo;
        try {
            Optional<Description> there = asked(repo, name, cache, attempts);
            if (there.isEmpty()) return Optional.empty();
            attempts.answered();
            return Optional.of(store(name, there.get(), cache, attempts));
        } catch (InterruptedException e) {
            throw RunInterruptedException.of(fetching, e);
        } catch (BlobDownload.CacheException e) {
            RunInterruptedException.check(fetching, e);
            throw new InputException(
                    name + " of " + repo + " cannot be stored in the hub cache " + cache.root() + " (" + e.getMessage()
                            + "): make room or give access there, or name another folder in HF_HUB_CACHE; what is"
                            + " there already is kept.",
                    e);
        } catch (IOException e) { // the hub is reachable, as it has described the file
            RunInterruptedException.check(fetching, e);
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

    /**
     * Returns the sizes in bytes of those files that the repository has; a size is -1 where the hub does not report it.
     */
    Map<String, Long> sizes(HubRepo repo, List<String> names, HubCache cache) {
        Map<String, Long> sizes = new TreeMap<>();
        HubHttp.Attempts attempts = http.attempts();
        for (String name : names) {
            try {
                asked(repo, name, cache, attempts).ifPresent(there -> sizes.put(name, there.size));
            } catch (InterruptedException e) {
                throw RunInterruptedException.of("asking for the size of " + name + " of " + repo, e);
            }
            attempts.answered();
        }
        return sizes;
    }

    private Path store(String name, Description file, HubCache cache, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        try {
            Path blob = cache.blob(file.etag);
            if (!Files.exists(blob))
                cache.locked(
                        file.etag,
                        () -> tell(name, BlobDownload.part(blob), file.size),
                        () -> fetched(name, file, blob, attempts));
            Path linked = cache.link(file.commit, name, blob);
            cache.refer(file.commit);
            return linked;
        } catch (FileSystemException e) {
            throw new BlobDownload.CacheException(e);
        }
    }

    /** Downloads a blob, unless another process has stored it in the meantime. */
    private Path fetched(String name, Description file, Path blob, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        if (!Files.exists(blob)) return bytes.to(name, file, blob, attempts);
        tell(name, blob, Files.size(blob));
        return blob;
    }

    private void tell(String name, Path file, long total) {
        try {
            progress.update(name, Files.exists(file) ? Files.size(file) : 0, total);
        } catch (IOException e) {
            // the partial file was moved to its final place in the meantime
        }
    }

    /**
     * Returns the names of a repository's files, sorted, with their sizes in bytes; a size is -1 where the hub does not
     * report it.
     */
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
            throw RunInterruptedException.of("listing " + repo, e);
        } catch (IOException e) {
            throw unreachable(repo.toString(), e);
        }
    }

    /** Adds one page of the list of files and returns the address of the next page, or null after the last. */
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

    /** Explains why the hub does not give access to a repository, unless the response has status 200. */
    private void requireFound(Response response, HubRepo repo) {
        int status = response.code();
        if (status == 200) return;
        String code = response.header("X-Error-Code", "");
        String reason = switch (status) {
            case 401, 403 ->
                code.equals("GatedRepo")
                        ? "its terms have to be accepted on " + http + "/" + repo.path() + " first, by the account"
                                + (http.hasToken()
                                        ? " of HF_TOKEN"
                                        : " whose token HF_TOKEN should hold; it is not set")
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
        RunInterruptedException.check("asking for " + what, e);
        String sentence = notFetched(what, e);
        return e instanceof HubHttp.FinalException
                ? new InputException(sentence, e)
                : new HubUnreachableException(sentence, e);
    }
}
