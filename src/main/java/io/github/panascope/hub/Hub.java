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
 * Access to the files of the Hugging Face hub. A file that is in the hub cache on this machine is returned without a
 * request; any other file is downloaded into the cache. The environment variables of Python's huggingface_hub (the page
 * on the command line lists them) and those of proxies have the meaning that they have for Python, which can share the
 * cache. Thread-safe.
 *
 * <pre>{@code
 * Hub hub = Hub.fromEnvironment()
 *         .reporting((file, done, total) -> System.err.println(file + ": " + done + "/" + total));
 * Path config = hub.file(HubRepo.model("gpt2"), "config.json");
 * System.out.println(config + " has " + config.toFile().length() + " bytes");
 * boolean cached = hub.cachedFile(HubRepo.model("gpt2"), "model.safetensors").isPresent();
 * System.out.println("the weights are " + (cached ? "" : "not ") + "in the cache");
 * }</pre>
 */
public final class Hub {
    private static final int DOWNLOADS_AT_ONCE = 4;
    /** The largest number of files of one dataset that is downloaded; more are hardly intended. */
    private static final int MAX_FILES = 1000;
    /** The largest number of files whose sizes are asked for one by one; of more, the list of all files is shorter. */
    private static final int MAX_ASKED = 8;
    /** The name of one file of a dataset that is split into several: its number, and the number of files. */
    private static final Pattern SHARD = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})(.*)");

    /** A listener that is notified of the progress of downloads. Called from several threads, possibly at once. */
    @FunctionalInterface
    public interface Progress {
        /**
         * Notifies the listener of the progress of one file.
         *
         * @param file  the path of the file in its repository
         * @param done  number of bytes that are on this machine
         * @param total size of the file in bytes, or -1 if the hub does not report it
         */
        void update(String file, long done, long total);

        /**
         * Notifies the listener of the files that are about to be downloaded, where they are known beforehand: the
         * files of a dataset that are not in the cache. Does nothing by default.
         *
         * @param repo  the repository, such as {@code dataset OWNER/NAME}
         * @param files number of files to download, at least 1
         * @param bytes total size of these files in bytes, or -1 if the hub does not report it
         */
        default void begin(String repo, int files, long bytes) {}
    }

    private final HubVariables variables;
    private final Path cache;
    private final HubHttp.Patience patience;
    private final Progress progress;
    /** Created when first needed: most runs send no request, and loading the classes of the client takes a while. */
    private HubHttp http;

    private Hub(HubVariables variables, Path cache, HubHttp.Patience patience, Progress progress) {
        this.variables = variables;
        this.cache = cache;
        this.patience = patience;
        this.progress = progress;
    }

    /** {@return the hub that the environment variables of this process describe} */
    public static Hub fromEnvironment() {
        return of(System.getenv());
    }

    /**
     * Returns the hub that a map of environment variables describes.
     *
     * @param environment names and values of the variables; an absent or empty variable has the default of
     *     huggingface_hub
     * @return the hub
     * @throws InputException if a variable has a value that cannot be understood
     */
    public static Hub of(Map<String, String> environment) {
        HubVariables variables = new HubVariables(environment);
        return new Hub(variables, variables.cache(), variables.patience(), (_, _, _) -> {});
    }

    /**
     * Returns a hub like this one that notifies a listener of its downloads, unless
     * {@code HF_HUB_DISABLE_PROGRESS_BARS} turns reports off.
     *
     * @param listener notified of downloads, from several threads
     * @return a hub that reports to the listener instead of to any earlier one; this hub where reports are turned off
     */
    public Hub reporting(Progress listener) {
        return variables.isSilent() ? this : new Hub(variables, cache, patience, listener);
    }

    /** Returns a hub like this one with other timeouts and numbers of attempts. */
    Hub patient(HubHttp.Patience other) {
        return new Hub(variables, cache, other, progress);
    }

    private synchronized HubDownload download() {
        if (http == null) http = new HubHttp(variables, patience);
        return new HubDownload(http, progress);
    }

    /**
     * Returns a file of a repository, downloading it if it is not in the cache.
     *
     * @param repo the repository and its revision
     * @param name the path of the file in the repository, with slashes
     * @return the path of the file in the cache
     * @throws InputException if the repository has no such file, or the file is not in the cache and cannot be
     *     downloaded
     * @throws HubUnreachableException if the hub does not answer
     * @throws RunInterruptedException if the thread is interrupted; the next download continues from the bytes received
     */
    public Path file(HubRepo repo, String name) {
        return optionalFile(repo, name).orElseThrow(() -> missing(repo, "no file '" + name + "'"));
    }

    /**
     * Returns a file that a repository may lack, downloading it if it is not in the cache.
     *
     * @param repo the repository and its revision
     * @param name the path of the file in the repository, with slashes
     * @return the path of the file in the cache; empty if the repository has no such file, or if the hub may not be
     *     asked and the cached snapshot has no such file
     * @throws InputException if the name is not that of a file in a repository, the repository is not in the cache and
     *     the hub may not be asked, or the download fails
     * @throws HubUnreachableException if the hub does not answer
     * @throws RunInterruptedException if the thread is interrupted; the next download continues from the bytes received
     */
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

    /**
     * Returns a file of a repository from the cache, without asking the hub.
     *
     * @param repo the repository and its revision
     * @param name the path of the file in the repository, with slashes
     * @return the path of the file in the cache; empty if it is not in the cache
     * @throws InputException if the name is not that of a file in a repository
     */
    public Optional<Path> cachedFile(HubRepo repo, String name) {
        requireInside(name);
        return new HubCache(cache, repo).file(name);
    }

    /**
     * Returns whether a file that {@link #optionalFile} did not find is absent from the repository. Where the hub may
     * not be asked, this is true only if the cache has a record that the file does not exist.
     *
     * @param repo the repository and its revision
     * @param name the path of the file in the repository, with slashes
     * @return true if the file is not in the cache and either the hub may be asked or the cache records its absence
     */
    public boolean isMissing(HubRepo repo, String name) {
        HubCache cached = new HubCache(cache, repo);
        return cached.file(name).isEmpty() && (variables.offline(repo.kind()) == null || cached.isKnownMissing(name));
    }

    /**
     * Returns the first of several files that the repository has, downloading it if it is not in the cache.
     *
     * @param repo  the repository and its revision
     * @param names paths in the repository, in order of preference
     * @return the path of the first file that exists, in the cache
     * @throws InputException if the repository has none of the files, or a download fails
     * @throws HubUnreachableException if the hub does not answer
     * @throws RunInterruptedException if the thread is interrupted; the next download continues from the bytes received
     */
    public Path firstFile(HubRepo repo, List<String> names) {
        return names.stream()
                .map(name -> optionalFile(repo, name))
                .flatMap(Optional::stream)
                .findFirst()
                .orElseThrow(() -> missing(repo, "none of " + String.join(", ", names)));
    }

    /**
     * Returns several files of a repository, downloading up to four at once.
     *
     * @param repo  the repository and its revision
     * @param names paths in the repository
     * @return the paths of the files in the cache, in the order of {@code names}
     * @throws InputException if a file is neither in the cache nor can be downloaded; the others stay in the cache
     * @throws HubUnreachableException if the hub does not answer
     * @throws RunInterruptedException if the thread is interrupted; the next download continues from the bytes received
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
     * Tells the listener how many files of a list have to be downloaded, and their size, before any of them is; files
     * that the repository does not have are left out. Does nothing where all are in the cache or the hub may not be
     * asked.
     *
     * @param repo  the repository and its revision
     * @param names paths in the repository
     * @throws InputException if the disk has less room than the files need
     * @throws HubUnreachableException if the hub does not answer
     * @throws RunInterruptedException if the thread is interrupted
     */
    public void announce(HubRepo repo, List<String> names) {
        names.forEach(Hub::requireInside);
        HubCache cached = new HubCache(cache, repo);
        List<String> absent = names.stream()
                .distinct()
                .filter(name -> cached.file(name).isEmpty() && !cached.isKnownMissing(name))
                .toList();
        if (absent.isEmpty() || variables.offline(repo.kind()) != null) return;
        Map<String, Long> sizes = Interruptibly.call(
                "asking for the sizes of files of " + repo,
                () -> absent.size() <= MAX_ASKED
                        ? download().sizes(repo, absent, cached)
                        : download().list(repo));
        List<Long> wanted =
                absent.stream().filter(sizes::containsKey).map(sizes::get).toList();
        if (wanted.isEmpty()) return;
        long bytes = wanted.contains(-1L)
                ? -1
                : wanted.stream().mapToLong(size -> size).sum();
        progress.begin(repo.toString(), wanted.size(), bytes);
        long room = BlobDownload.room(cache);
        if (bytes > room)
            throw new InputException(String.format(
                    Locale.ROOT,
                    "%s: %d files of %.1f GB are to be downloaded, and the hub cache %s has room for %.1f GB: make room"
                            + " there, or name another folder in HF_HUB_CACHE.",
                    repo,
                    wanted.size(),
                    bytes / 1e9,
                    cache,
                    room / 1e9));
    }

    /**
     * Chooses from the names of a repository's files. Uses the cached snapshot if the choice finds names there and no
     * shard of a sharded file is missing among them; otherwise asks the hub for its list of files.
     *
     * @param repo   the repository and its revision
     * @param choice picks names from the sorted list of all names; returns an empty list if none of them is wanted
     * @return the chosen names
     * @throws InputException if more than 1,000 of the chosen files would have to be downloaded, or the hub may not be
     *     asked and the cached snapshot is absent or incomplete
     * @throws HubUnreachableException if the hub does not answer
     * @throws RunInterruptedException if the thread is interrupted
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
     * Returns an addition to a message about the contents of a repository, which says that only the cache was searched.
     *
     * @param repo the repository
     * @return the addition, with a leading space; empty if the hub may be asked
     */
    public String offlineNote(HubRepo repo) {
        String offline = variables.offline(repo.kind());
        return offline == null ? "" : " in the hub cache " + cache + " (" + offline + " is set)";
    }

    /** Returns the name of a shard that is missing from a sharded file, or null if all are there. */
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

    /** Returns the advice to unset the variable that forbids requests. */
    private static String goOnline(String variable) {
        return variable + " is set: unset it, or fetch the files where there is a network.";
    }

    /** {@return a description with the address of the hub and the folder of the cache} */
    @Override
    public String toString() {
        // A user and a password in the address are refused by the first request; they are not shown before that.
        return "Hub " + variables.endpoint().replaceFirst("//[^/]*@", "//") + " with the cache " + cache;
    }

    /** Checks a file name, which becomes part of a local path and of an address. */
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
