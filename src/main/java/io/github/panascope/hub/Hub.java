package io.github.panascope.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/**
 * Files of the Hugging Face hub: from its cache on this machine, without a request if they are there, else downloaded
 * into it. {@code HF_HOME}, {@code HF_HUB_CACHE}, {@code HF_HUB_OFFLINE}, {@code HF_ENDPOINT} and {@code HF_TOKEN} mean
 * what they mean to Python's huggingface_hub, which can share the cache.
 */
public final class Hub {
    private static final String REVISION = "main";

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
        Path home = variable(environment, "HF_HOME").map(Path::of).orElseGet(() ->
                variable(environment, "XDG_CACHE_HOME").map(Path::of)
                        .orElse(Path.of(System.getProperty("user.home"), ".cache")).resolve("huggingface"));
        Path cache = variable(environment, "HF_HUB_CACHE").or(() -> variable(environment, "HUGGINGFACE_HUB_CACHE")).map(Path::of).orElse(home.resolve("hub"));
        boolean offline = variable(environment, "HF_HUB_OFFLINE").filter(v -> List.of("1", "ON", "YES", "TRUE").contains(v.toUpperCase(java.util.Locale.ROOT))).isPresent();
        String endpoint = variable(environment, "HF_ENDPOINT").orElse("https://huggingface.co").replaceAll("/+$", "");
        String token = variable(environment, "HF_TOKEN").or(() -> readToken(home.resolve("token"))).map(String::strip).orElse(null);
        return new Hub(cache, offline, new HubDownload(endpoint, token));
    }

    private static Optional<String> variable(Map<String, String> environment, String name) {
        return Optional.ofNullable(environment.get(name)).filter(value -> !value.isBlank());
    }

    private static Optional<String> readToken(Path file) {
        try {
            return Files.isReadable(file) ? Optional.of(Files.readString(file)).filter(t -> !t.isBlank()) : Optional.empty();
        } catch (IOException e) {
            return Optional.empty(); // an unreadable token is no token, as for Python
        }
    }

    /**
     * A file of a repository on this machine.
     *
     * @throws InputException if it is neither in the cache nor to be had
     */
    public Path file(HubRepo repo, String name) {
        return optionalFile(repo, name).orElseThrow(() -> new InputException(repo + " has no file '" + name + "'."));
    }

    /** The same for a file that a repository may do without. */
    public Optional<Path> optionalFile(HubRepo repo, String name) {
        Optional<Path> snapshot = cachedSnapshot(repo);
        if (snapshot.isPresent()) {
            Path file = snapshot.get().resolve(name);
            if (Files.exists(file)) return Optional.of(file);
        }
        if (offline) {
            if (snapshot.isPresent()) return Optional.empty();
            throw new InputException(repo + " is not in the hub cache " + cache + ", and HF_HUB_OFFLINE is set: unset it, or fetch it on a machine with a network.");
        }
        Path marker = cache.resolve(repo.folder()).resolve(".no_exist").resolve(snapshot.map(s -> s.getFileName().toString()).orElse(REVISION)).resolve(name);
        if (Files.exists(marker)) return Optional.empty();
        return download.fetch(repo, REVISION, name, cache.resolve(repo.folder()));
    }

    /** The names of a repository's files: of its cached snapshot, or else asked of the hub. */
    public List<String> files(HubRepo repo) {
        Optional<Path> snapshot = cachedSnapshot(repo);
        if (snapshot.isPresent()) {
            Path root = snapshot.get();
            try (Stream<Path> walk = Files.walk(root, java.nio.file.FileVisitOption.FOLLOW_LINKS)) {
                List<String> names = walk.filter(Files::isRegularFile).map(file -> root.relativize(file).toString().replace('\\', '/')).sorted().toList();
                if (!names.isEmpty()) return names;
            } catch (IOException e) {
                throw new InputException(root + " cannot be read: " + e.getMessage(), e);
            }
        }
        if (offline) throw new InputException(repo + " is not in the hub cache " + cache + ", and HF_HUB_OFFLINE is set: unset it, or fetch it on a machine with a network.");
        return download.list(repo, REVISION).valueStream().filter(node -> "file".equals(node.path("type").asString("")))
                .map((JsonNode node) -> node.path("path").asString()).sorted().toList();
    }

    private Optional<Path> cachedSnapshot(HubRepo repo) {
        Path folder = cache.resolve(repo.folder());
        Path ref = folder.resolve("refs").resolve(REVISION);
        if (!Files.isReadable(ref)) return Optional.empty();
        try {
            Path snapshot = folder.resolve("snapshots").resolve(Files.readString(ref).strip());
            return Files.isDirectory(snapshot) ? Optional.of(snapshot) : Optional.empty();
        } catch (IOException e) {
            throw new InputException(ref + " cannot be read: " + e.getMessage(), e);
        }
    }
}
