package io.github.panascope.hub;

import io.github.panascope.InputException;
import java.util.Locale;

/**
 * A repository on the hub at one revision.
 *
 * @param kind     model or dataset
 * @param id       the id, {@code NAME} or {@code OWNER/NAME}, such as {@code gpt2} or {@code NeelNanda/pile-10k}
 * @param revision a branch, a tag or a commit
 */
public record HubRepo(Kind kind, String id, String revision) {
    /** The kinds of repositories. */
    public enum Kind {
        /** A repository of a model or of SAEs. */
        MODEL,
        /** A repository of a dataset. */
        DATASET
    }

    /**
     * Creates a repository after checking the form of id and revision, which become parts of paths.
     *
     * @throws InputException if the id or the revision does not have the form of one
     */
    public HubRepo {
        if (!id.matches("[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?")
                || id.contains("..")
                || id.startsWith(".")
                || id.contains("/.")) {
            throw new InputException("'" + id
                    + "' is not a hub id: it should be NAME or OWNER/NAME, with @REVISION after it where that"
                    + " is not main.");
        }
        if (!revision.matches("[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*") || revision.contains("..")) {
            throw new InputException(
                    "'" + revision + "' is not a revision of " + id + ": it should be a branch, a tag or a commit.");
        }
    }

    /**
     * Returns the model repository of a name.
     *
     * @param name {@code NAME} or {@code OWNER/NAME}, with {@code @REVISION} appended where that is not {@code main}
     * @return the repository
     * @throws InputException if the name does not have that form
     */
    public static HubRepo model(String name) {
        return of(Kind.MODEL, name);
    }

    /**
     * Returns the dataset repository of a name.
     *
     * @param name {@code NAME} or {@code OWNER/NAME}, with {@code @REVISION} appended where that is not {@code main}
     * @return the repository
     * @throws InputException if the name does not have that form
     */
    public static HubRepo dataset(String name) {
        return of(Kind.DATASET, name);
    }

    private static HubRepo of(Kind kind, String name) {
        int at = name.indexOf('@');
        return at < 0
                ? new HubRepo(kind, name, "main")
                : new HubRepo(kind, name.substring(0, at), name.substring(at + 1));
    }

    /** Returns the name of the repository's folder in the cache, such as {@code models--owner--name}. */
    String folder() {
        return kind.name().toLowerCase(Locale.ROOT) + "s--" + id.replace("/", "--");
    }

    /** Returns the path below the hub's address; models have no prefix. */
    String path() {
        return kind == Kind.MODEL ? id : "datasets/" + id;
    }

    @Override
    public String toString() {
        return (kind == Kind.MODEL ? "model " : "dataset ") + id + (revision.equals("main") ? "" : "@" + revision);
    }
}
