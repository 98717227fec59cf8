package io.github.panascope.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Files of the Hugging Face hub: from its cache on this machine, without a request if they are there, else downloaded
 * into it. {@code HF_HOME}, {@code HF_HUB_CACHE}, {@code HF_HUB_OFFLINE}, {@code HF_ENDPOINT}, {@code HF_TOKEN} and the usual proxy
 * variables mean what they mean to Python's huggingface_hub, which can share the cache. Safe to use from many threads at once.
 */
public final class Hub {
    private static final int DOWNLOADS_AT_ONCE = 4;
    /** What datasets call one part of many: its number, and how many there are. */
    private static final Pattern SHARD = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})(.*)");

    /** Somebody to tell how a download goes. Called from several threads. */
    @FunctionalInterface
    public interface Progress {
        /**
         * Tells of one file.
         *
         * @param file  its name
         * @param done  bytes that are here
         * @param total bytes in all, or -1 if the hub does not say
         */
        void update(String file, long done, long total);
    }

    private final Path cache;
    private final boolean offline;
    private final HubDownload download;

    private Hub(Path cache, boolean offline, HubDownload download) {
        this.cache = cache;
        this.offline = offline;
        this.download = download;
    }

    /** The hub as the environment describes it. */
    public static Hub fromEnvironment() {
        return of(System.getenv());
    }

    /** The hub as these variables describe it; what is absent takes Hugging Face's default. */
    public static Hub of(Map<String, String> environment) {
        Path home = variable(environment, "HF_HOME").map(value -> path("HF_HOME", value)).orElseGet(() ->
                variable(environment, "XDG_CACHE_HOME").map(value -> path("XDG_CACHE_HOME", value))
                        .orElse(Path.of(System.getProperty("user.home"), ".cache")).resolve("huggingface"));
        Path cache = variable(environment, "HF_HUB_CACHE").or(() -> variable(environment, "HUGGINGFACE_HUB_CACHE")).map(value -> path("HF_HUB_CACHE", value)).orElse(home.resolve("hub"));
        boolean offline = variable(environment, "HF_HUB_OFFLINE").filter(v -> List.of("1", "ON", "YES", "TRUE").contains(v.toUpperCase(Locale.ROOT))).isPresent();
        String endpoint = variable(environment, "HF_ENDPOINT").orElse("https://huggingface.co").replaceAll("/+$", "");
        String token = variable(environment, "HF_TOKEN").or(() -> readToken(home.resolve("token"))).map(String::strip).orElse(null);
        return new Hub(cache, offline, new HubDownload(endpoint, token, EnvironmentProxy.of(environment), HubDownload.Patience.DEFAULT));
    }

    private static Optional<String> variable(Map<String, String> environment, String name) {
        return Optional.ofNullable(environment.get(name)).filter(value -> !value.isBlank());
    }

    private static Path path(String variable, String value) {
        try {
            return Path.of(value.startsWith("~/") ? System.getProperty("user.home") + value.substring(1) : value);
        } catch (java.nio.file.InvalidPathException e) {
            throw new InputException(variable + " is not a path: '" + value + "'.", e);
        }
    }

    private static Optional<String> readToken(Path file) {
        try {
            return Files.isReadable(file) ? Optional.of(Files.readString(file)).filter(t -> !t.isBlank()) : Optional.empty();
        } catch (IOException e) {
            return Optional.empty(); // an unreadable token is no token, as for Python
        }
    }

    /** The same hub, telling somebody of its downloads. */
    public Hub reporting(Progress progress) {
        return new Hub(cache, offline, download.reporting(progress));
    }

    /** The same hub with other ideas of how long to wait. */
    Hub patient(HubDownload.Patience patience) {
        return new Hub(cache, offline, download.patient(patience));
    }

    /**
     * A file of a repository on this machine.
     *
     * @param name its path in the repository
     * @throws InputException if it is neither in the cache nor to be had
     */
    public Path file(HubRepo repo, String name) {
        return optionalFile(repo, name).orElseThrow(() -> offline
                ? new InputException(repo + " has no file '" + name + "' in the hub cache " + cache + ", and HF_HUB_OFFLINE is set: unset it, or run `panascope fetch` where there is a network.")
                : new InputException(repo + " has no file '" + name + "'."));
    }

    /** The same for a file that a repository may do without. */
    public Optional<Path> optionalFile(HubRepo repo, String name) {
        requireInside(name);
        HubCache cached = new HubCache(cache, repo);
        Optional<Path> here = cached.file(name);
        if (here.isPresent()) return here;
        if (offline) {
            if (cached.hasSnapshot()) return Optional.empty();
            throw notCached(repo);
        }
        return cached.isKnownMissing(name) ? Optional.empty() : download.fetch(repo, name, cached);
    }

    /**
     * Several files of a repository on this machine, up to four being fetched at once.
     *
     * @throws InputException if one is neither in the cache nor to be had; what the others brought stays in the cache
     */
    public List<Path> files(HubRepo repo, List<String> names) {
        try (ExecutorService workers = Executors.newFixedThreadPool(DOWNLOADS_AT_ONCE, Thread.ofVirtual().factory())) {
            List<Future<Path>> futures = names.stream().map(name -> workers.submit(() -> file(repo, name))).toList();
            List<Path> files = new ArrayList<>();
            for (Future<Path> future : futures) {
                try {
                    files.add(future.get());
                } catch (ExecutionException e) {
                    workers.shutdownNow();
                    if (e.getCause() instanceof InputException refused) throw refused;
                    throw new IllegalStateException(e.getCause());
                }
            }
            return files;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InputException("fetching " + repo + " was interrupted.", e);
        }
    }

    /**
     * Some of the names of a repository's files: of its cached snapshot if they are there, and all parts of what is in parts; else as
     * the hub lists them.
     *
     * @param choice picks from the sorted names; an empty list says that what is wanted is not among them
     */
    public List<String> names(HubRepo repo, UnaryOperator<List<String>> choice) {
        HubCache cached = new HubCache(cache, repo);
        List<String> here = choice.apply(cached.files());
        String missing = missingShard(here);
        if (!here.isEmpty() && missing == null) return here;
        if (!offline) return choice.apply(download.list(repo).stream().sorted().toList());
        if (!cached.hasSnapshot()) throw notCached(repo);
        if (missing == null) return here;
        throw new InputException(repo + " is not whole in the hub cache " + cache + " (" + missing + " is missing), and HF_HUB_OFFLINE is set: unset it, or run `panascope fetch` where there is a network.");
    }

    /** One of the parts that are not there of a file in parts, or null. */
    private static String missingShard(List<String> names) {
        for (String name : names) {
            Matcher shard = SHARD.matcher(name);
            if (!shard.matches()) continue;
            for (int i = 0; i < Integer.parseInt(shard.group(3)); i++) {
                String sibling = "%s-%05d-of-%s%s".formatted(shard.group(1), i, shard.group(3), shard.group(4));
                if (!names.contains(sibling)) return sibling;
            }
        }
        return null;
    }

    private InputException notCached(HubRepo repo) {
        return new InputException(repo + " is not in the hub cache " + cache + ", and HF_HUB_OFFLINE is set: unset it, or run `panascope fetch` where there is a network.");
    }

    /** A file's name becomes part of a path here and of an address there. */
    private static void requireInside(String name) {
        for (String part : name.split("/", -1)) {
            if (part.isEmpty() || part.equals(".") || part.equals("..") || part.indexOf('\\') >= 0 || part.indexOf('\0') >= 0) {
                throw new InputException("'" + name.replace("\0", "\\0") + "' is not the name of a file in a repository.");
            }
        }
    }
}
