package io.github.panascope.hub;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Files of the Hugging Face hub: from its cache on this machine, without a request if they are there, else downloaded
 * into it. The variables that huggingface_hub reads (the README lists them) and those of proxies mean what they mean to
 * Python, which can share the cache. Safe to use from many threads at once.
 */
public final class Hub {
    private static final int DOWNLOADS_AT_ONCE = 4;
    /** Of one dataset; more are hardly meant. */
    private static final int MAX_FILES = 1000;
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

        /**
         * Tells what is about to be downloaded, where that is known beforehand: the files of a dataset that are not
         * here yet.
         *
         * @param repo  such as {@code dataset OWNER/NAME}
         * @param files how many, at least 1
         * @param bytes in all, or -1 if the hub does not say
         */
        default void begin(String repo, int files, long bytes) {}
    }

    private final HubVariables variables;
    private final Path cache;
    private final HubHttp.Patience patience;
    private final Progress progress;
    private HubHttp http; // made when first needed: most runs ask for nothing, and its classes take a while to load

    private Hub(HubVariables variables, Path cache, HubHttp.Patience patience, Progress progress) {
        this.variables = variables;
        this.cache = cache;
        this.patience = patience;
        this.progress = progress;
    }

    /** The hub as the environment describes it. */
    public static Hub fromEnvironment() {
        return of(System.getenv());
    }

    /** The hub as these variables describe it; what is absent takes Hugging Face's default. */
    public static Hub of(Map<String, String> environment) {
        HubVariables variables = new HubVariables(environment);
        return new Hub(variables, variables.cache(), variables.patience(), (_, _, _) -> {});
    }

    /**
     * The same hub, telling somebody of its downloads, unless {@code HF_HUB_DISABLE_PROGRESS_BARS} says that nobody
     * wants to know.
     */
    public Hub reporting(Progress listener) {
        return variables.isSilent() ? this : new Hub(variables, cache, patience, listener);
    }

    /** The same hub with other ideas of how long to wait. */
    Hub patient(HubHttp.Patience other) {
        return new Hub(variables, cache, other, progress);
    }

    private synchronized HubDownload download() {
        if (http == null) http = new HubHttp(variables, patience);
        return new HubDownload(http, progress);
    }

    /**
     * A file of a repository on this machine.
     *
     * @param name its path in the repository
     * @throws InputException          if it is neither in the cache nor to be had
     * @throws RunInterruptedException if the thread is interrupted; the next download goes on from what is here
     */
    public Path file(HubRepo repo, String name) {
        return optionalFile(repo, name).orElseThrow(() -> missing(repo, "no file '" + name + "'"));
    }

    /** The same for a file that a repository may do without. */
    public Optional<Path> optionalFile(HubRepo repo, String name) {
        requireInside(name);
        HubCache cached = new HubCache(cache, repo);
        Optional<Path> here = cached.file(name);
        if (here.isPresent()) return here;
        if (variables.offline(repo.kind()) != null) {
            if (cached.hasSnapshot()) return Optional.empty();
            throw notCached(repo);
        }
        if (cached.isKnownMissing(name)) return Optional.empty();
        return Interruptibly.call(
                "fetching " + name + " of " + repo, () -> download().fetch(repo, name, cached));
    }

    /** The same without asking the hub: empty if it is not in the cache. */
    public Optional<Path> cachedFile(HubRepo repo, String name) {
        requireInside(name);
        return new HubCache(cache, repo).file(name);
    }

    /**
     * Whether a file that is not in the cache is also known not to be in the repository; it need not be known where the
     * hub may not be asked.
     */
    public boolean isMissing(HubRepo repo, String name) {
        HubCache cached = new HubCache(cache, repo);
        return cached.file(name).isEmpty() && (variables.offline(repo.kind()) == null || cached.isKnownMissing(name));
    }

    /**
     * The first of several files that the repository has, on this machine.
     *
     * @throws InputException if none of them is in the cache or to be had
     */
    public Path firstFile(HubRepo repo, List<String> names) {
        return names.stream()
                .map(name -> optionalFile(repo, name))
                .flatMap(Optional::stream)
                .findFirst()
                .orElseThrow(() -> missing(repo, "none of " + String.join(", ", names)));
    }

    /**
     * Several files of a repository on this machine, up to four being fetched at once.
     *
     * @throws InputException          if one is neither in the cache nor to be had; the others stay in the cache
     * @throws RunInterruptedException if the thread is interrupted; the next download goes on from what is here
     */
    public List<Path> files(HubRepo repo, List<String> names) {
        ExecutorService workers = Executors.newFixedThreadPool(
                DOWNLOADS_AT_ONCE, Thread.ofVirtual().factory());
        try {
            List<Future<Path>> futures = names.stream()
                    .map(name -> workers.submit(() -> file(repo, name)))
                    .toList();
            List<Path> files = new ArrayList<>();
            for (Future<Path> future : futures) files.add(Interruptibly.get(future));
            return files;
        } catch (InterruptedException e) {
            throw RunInterruptedException.of("fetching " + repo, e);
        } finally {
            Interruptibly.end(workers);
        }
    }

    /**
     * Some of the names of a repository's files: of its cached snapshot if they are there, and all parts of what is in
     * parts; else as the hub lists them.
     *
     * @param choice picks from the sorted names; an empty list says that what is wanted is not among them
     * @throws InputException if the hub has so many of them that they can hardly be meant
     */
    public List<String> names(HubRepo repo, UnaryOperator<List<String>> choice) {
        HubCache cached = new HubCache(cache, repo);
        List<String> here = choice.apply(cached.files());
        String missing = missingShard(here);
        if (!here.isEmpty() && missing == null) return here;
        String offline = variables.offline(repo.kind());
        if (offline == null) return listed(repo, choice, cached);
        if (!cached.hasSnapshot()) throw notCached(repo);
        if (missing == null) return here;
        throw new InputException(repo + " is not whole in the hub cache " + cache + " (" + missing
                + " is missing), and " + goOnline(offline));
    }

    private List<String> listed(HubRepo repo, UnaryOperator<List<String>> choice, HubCache cached) {
        Map<String, Long> listed =
                Interruptibly.call("listing " + repo, () -> download().list(repo));
        List<String> chosen = choice.apply(List.copyOf(listed.keySet()));
        chosen.forEach(Hub::requireInside);
        List<String> absent =
                chosen.stream().filter(name -> cached.file(name).isEmpty()).toList();
        long bytes = absent.stream().anyMatch(name -> listed.get(name) < 0)
                ? -1
                : absent.stream().mapToLong(listed::get).sum();
        if (absent.size() > MAX_FILES) {
            String size = bytes < 0 ? "" : String.format(Locale.ROOT, " (%.1f GB)", bytes / 1e9);
            throw new InputException(
                    repo + " would be " + absent.size() + " files" + size + ", and at most " + MAX_FILES
                            + " are fetched: take another split, which may be any word that sets files apart by"
                            + " their names, or download some by other means and give the folder that they are in.");
        }
        if (!absent.isEmpty()) progress.begin(repo.toString(), absent.size(), bytes);
        return chosen;
    }

    /**
     * What to add to a sentence about what a repository has, where only the cache was asked; empty if the hub can be.
     */
    public String offlineNote(HubRepo repo) {
        String offline = variables.offline(repo.kind());
        return offline == null ? "" : " in the hub cache " + cache + " (" + offline + " is set)";
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

    private InputException missing(HubRepo repo, String what) {
        String offline = variables.offline(repo.kind());
        return new InputException(repo + " has " + what
                + (offline == null ? "." : " in the hub cache " + cache + ", and " + goOnline(offline)));
    }

    private InputException notCached(HubRepo repo) {
        return new InputException(
                repo + " is not in the hub cache " + cache + ", and " + goOnline(variables.offline(repo.kind())));
    }

    private static String goOnline(String variable) {
        return variable + " is set: unset it, or fetch the files where there is a network.";
    }

    /** Where it asks, and where it keeps what it gets, for people. */
    @Override
    public String toString() {
        // A user and a password there are refused when it is asked, and are not to be shown before.
        return "Hub " + variables.endpoint().replaceFirst("//[^/]*@", "//") + " with the cache " + cache;
    }

    /** A file's name becomes part of a path here and of an address there. */
    private static void requireInside(String name) {
        for (String part : name.split("/", -1)) {
            if (part.isEmpty()
                    || part.equals(".")
                    || part.equals("..")
                    || part.indexOf('\\') >= 0
                    || part.indexOf('\0') >= 0) {
                throw new InputException(
                        "'" + name.replace("\0", "\\0") + "' is not the name of a file in a repository.");
            }
        }
        try {
            Path.of(name);
        } catch (InvalidPathException e) {
            throw new InputException(
                    "'" + name
                            + "' cannot be the name of a file here: it has characters that are none, or that the"
                            + " locale has not (LC_ALL=C.UTF-8 has all).",
                    e);
        }
    }
}
