package io.github.panascope.hub;

import io.github.panascope.InputException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The environment variables of Python's huggingface_hub, with its semantics. An empty variable counts as not set. */
final class HubVariables {
    private static final Set<String> TRUE = Set.of("1", "ON", "YES", "TRUE");
    private static final Pattern VARIABLE = Pattern.compile("\\$(\\w+|\\{[^}]*})");

    private final Map<String, String> environment;

    HubVariables(Map<String, String> environment) {
        this.environment = Map.copyOf(environment);
    }

    private Optional<String> first(String... names) {
        return Stream.of(names)
                .map(environment::get)
                .filter(value -> value != null && !value.isBlank())
                .findFirst();
    }

    private boolean isTrue(String name) {
        return first(name)
                .filter(value -> TRUE.contains(value.toUpperCase(Locale.ROOT)))
                .isPresent();
    }

    // ------------------------------------------------------------------------------------------------- places

    private Path home() {
        return place("HF_HOME", () -> first("XDG_CACHE_HOME").orElse("~/.cache") + "/huggingface");
    }

    /** Returns the folder of the cache. */
    Path cache() {
        return place(
                "HF_HUB_CACHE",
                () -> first("HUGGINGFACE_HUB_CACHE")
                        .orElseGet(() -> home().resolve("hub").toString()));
    }

    private Path place(String name, Supplier<String> otherwise) {
        return path(name, expanded(first(name).orElseGet(otherwise)));
    }

    private static Path path(String name, String value) {
        try {
            return Path.of(value);
        } catch (InvalidPathException e) {
            throw new InputException(name + " is not a path: '" + value + "'.", e);
        }
    }

    /**
     * Expands {@code ~} and {@code ~USER} at the beginning of a path, then {@code $NAME} and {@code ${NAME}}; an
     * unknown user or variable stays as it is.
     */
    private String expanded(String path) {
        String user = path.split("/", 2)[0];
        String home = !user.startsWith("~")
                ? user
                : user.equals("~") ? userHome() : homeOf(user.substring(1)).orElse(user);
        String whole = home + path.substring(user.length());
        return VARIABLE.matcher(whole.isEmpty() ? "/" : whole).replaceAll(found -> {
            String name = found.group(1).startsWith("{")
                    ? found.group(1).substring(1, found.group(1).length() - 1)
                    : found.group(1);
            return Matcher.quoteReplacement(environment.getOrDefault(name, found.group()));
        });
    }

    /** Returns the home folder that HOME names, which need not be the one of the user's account. */
    private String userHome() {
        return first("HOME").orElseGet(() -> System.getProperty("user.home")).replaceFirst("/+$", "");
    }

    private static Optional<String> homeOf(String user) {
        try (Stream<String> accounts = Files.lines(Path.of("/etc/passwd"), StandardCharsets.ISO_8859_1)) {
            return accounts.map(line -> line.split(":"))
                    .filter(account -> account.length > 5 && account[0].equals(user))
                    .map(account -> account[5])
                    .findFirst();
        } catch (IOException | UncheckedIOException e) {
            return Optional.empty();
        }
    }

    /** Returns a file of certificates, or a folder of such files, that replaces Java's own trusted certificates. */
    Optional<Path> certificates() {
        return first("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE").map(value -> path("REQUESTS_CA_BUNDLE", value));
    }

    // ------------------------------------------------------------------------------------------------- the rest

    EnvironmentProxy proxies() {
        return EnvironmentProxy.of(environment);
    }

    String endpoint() {
        return first("HF_ENDPOINT").orElse("https://huggingface.co").replaceAll("/+$", "");
    }

    /** Returns the access token to send, or null. */
    String token() {
        if (isTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return null;
        return first("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
                .or(this::savedToken)
                .map(token -> token.replaceAll("[\r\n]", "").strip())
                .orElse(null);
    }

    private Optional<String> savedToken() {
        Path file = place("HF_TOKEN_PATH", () -> home().resolve("token").toString());
        try {
            return Files.isReadable(file)
                    ? Optional.of(Files.readString(file)).filter(token -> !token.isBlank())
                    : Optional.empty();
        } catch (IOException e) {
            return Optional.empty(); // an unreadable token file counts as absent
        }
    }

    /**
     * Returns the name of the variable that forbids requests for a kind of repository, or null if requests are allowed.
     */
    String offline(HubRepo.Kind kind) {
        String decides = first("HF_HUB_OFFLINE").isPresent() ? "HF_HUB_OFFLINE" : "TRANSFORMERS_OFFLINE";
        if (isTrue(decides)) return decides;
        return kind == HubRepo.Kind.DATASET && isTrue("HF_DATASETS_OFFLINE") ? "HF_DATASETS_OFFLINE" : null;
    }

    /** Returns whether progress reports are turned off. */
    boolean isSilent() {
        return isTrue("HF_HUB_DISABLE_PROGRESS_BARS");
    }

    /**
     * Returns the limits of waiting, with the timeouts for descriptions of files and for their bytes from the
     * variables.
     */
    HubHttp.Patience patience() {
        return HubHttp.Patience.DEFAULT.timeouts(seconds("HF_HUB_ETAG_TIMEOUT"), seconds("HF_HUB_DOWNLOAD_TIMEOUT"));
    }

    private Duration seconds(String name) {
        String value = first(name).orElse("0").strip();
        if (!value.matches("\\d{1,6}"))
            throw new InputException(name + " should be a number of seconds, such as 30, not '" + value + "'.");
        return value.matches("0+") ? Duration.ofSeconds(10) : Duration.ofSeconds(Long.parseLong(value));
    }
}
